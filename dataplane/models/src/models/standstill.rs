//! Workers that let go of things, and that stand still.

use std::sync::Arc;

use loom::thread::spawn;

use super::{quiesce, reclaimer, try_all};
use crate::sync::{AtomicU64, Ordering};
use crate::tables::gate::Gate;
use crate::{Publisher, Reclaimer};

/// A value that loom sees being dropped: no read of it may be possible at the same time or later.
struct Value(AtomicU64);

impl Value {
    fn new(number: u64) -> Self {
        Self(AtomicU64::new(number))
    }

    fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A reader that comes and goes finds whole values that live, and each is newer than the one before.
pub fn a_published_value_lives_as_long_as_it_is_read() {
    try_all(3, || {
        let mut reclaimer = reclaimer(1);
        let mut publisher = Publisher::new(&reclaimer, Box::new(Value::new(0)));
        let table = publisher.subscribe();
        let mut reader = reclaimer.reader().expect("there is room for one");
        let thread = spawn(move || {
            let mut last = 0;
            for _ in 0..2 {
                let mut online = reader.online();
                for _ in 0..2 {
                    let value = table.read(&online);
                    assert!(value.number() >= last, "an older value");
                    last = value.number();
                    online.quiescent();
                }
            }
        });
        for number in 1..3 {
            publisher.publish(Box::new(Value::new(number)));
            reclaimer.reclaim();
        }
        thread.join().expect("the reader does not panic");
        reclaimer.reclaim();
        assert_eq!(reclaimer.pending(), 0);
    });
}

/// One that rests holds nothing up, and is waited for again when it is back.
pub fn who_is_back_is_waited_for() {
    try_all(3, || {
        let reclaimer = reclaimer(1);
        let place = Arc::new([AtomicU64::new(1), AtomicU64::new(7)]);
        let thread = spawn({
            let (mut reader, place) = (reclaimer.reader().expect("there is room for one"), Arc::clone(&place));
            move || {
                let mut online = reader.online();
                for _ in 0..2 {
                    if place[0].load(Ordering::Acquire) != 0 {
                        assert_eq!(place[1].load(Ordering::Relaxed), 7, "used again while it is read");
                    }
                    online.rest(|| ());
                }
            }
        });
        unlink_and_use_again(&reclaimer, &place);
        thread.join().expect("the reader does not panic");
    });
}

/// Two words that are changed while the gate is closed are seen changed both or none, also when it is closed again at once.
pub fn updates_behind_the_gate_are_seen_all_at_once() {
    try_all(3, || {
        let reclaimer = reclaimer(1);
        let shared = Arc::new((Gate::default(), [AtomicU64::new(0), AtomicU64::new(0)]));
        let thread = spawn({
            let (mut reader, shared) = (reclaimer.reader().expect("there is room for one"), Arc::clone(&shared));
            move || {
                let (gate, words) = &*shared;
                let mut online = reader.online();
                for _ in 0..2 {
                    gate.pass(&mut online, || false);
                    let [first, second] = [0, 1].map(|word: usize| words[word].load(Ordering::Relaxed));
                    assert_eq!(first, second, "a burst between two updates");
                    online.quiescent();
                }
            }
        });
        let (gate, words) = &*shared;
        for value in 1..3 {
            gate.close();
            quiesce(&reclaimer);
            for word in words {
                word.store(value, Ordering::Relaxed);
            }
            gate.open();
        }
        thread.join().expect("the worker does not panic");
    });
}

/// What two workers let go of is over for both when it is over.
pub fn a_grace_period_waits_for_everybody() {
    try_all(2, || {
        let reclaimer = reclaimer(2);
        let place = Arc::new([AtomicU64::new(1), AtomicU64::new(7)]);
        let threads = [(); 2].map(|()| {
            let (mut reader, place) = (reclaimer.reader().expect("there is room for two"), Arc::clone(&place));
            spawn(move || {
                let mut online = reader.online();
                if place[0].load(Ordering::Acquire) != 0 {
                    assert_eq!(place[1].load(Ordering::Relaxed), 7, "used again while it is read");
                }
                online.quiescent();
            })
        });
        unlink_and_use_again(&reclaimer, &place);
        for thread in threads {
            thread.join().expect("readers do not panic");
        }
    });
}

/// Takes away what leads to a word, and uses the word for something else when it may.
fn unlink_and_use_again(reclaimer: &Reclaimer, place: &[AtomicU64; 2]) {
    place[0].store(0, Ordering::Release);
    quiesce(reclaimer);
    place[1].store(8, Ordering::Relaxed);
}
