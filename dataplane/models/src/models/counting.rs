//! What workers count and spend.

use std::num::{NonZeroU16, NonZeroU64};
use std::sync::Arc;

use loom::thread::spawn;

use super::try_all;
use crate::entries::CounterData;
use crate::sync::AtomicU64;
use crate::tables::label::LabelMap;
use crate::tables::meter::{Bucket, Conformance, Sharing, Timebase, refresh, spend};
use crate::tables::packed::Halves;
use crate::tables::words::DenseWords;

const BYTES: u32 = 64;
const PACKETS: u32 = 2;

/// A counter that goes half a round on, or a whole one, is read as what it was at some moment, and never as less than before.
pub fn a_packed_counter_is_exact_at_every_moment() {
    for rounds in [1, 2] {
        try_all(4, move || {
            let counter = Arc::new((DenseWords::new(1).expect("memory"), Halves::new(1).expect("memory")));
            let start = bring_to(&counter.0, &counter.1, rounds);
            let thread = spawn({
                let counter = Arc::clone(&counter);
                move || (0..PACKETS).for_each(|_| counter.1.add(&counter.0, 0, 0, BYTES))
            });
            let mut last = start;
            for _ in 0..2 {
                let now = counter.1.read(&counter.0, 0, 0);
                assert!((last.packets..=start.packets + u64::from(PACKETS)).contains(&now.packets), "{start:?}, {last:?}, {now:?}");
                assert_eq!(now.bytes, now.packets * u64::from(BYTES));
                last = now;
            }
            thread.join().expect("the worker does not panic");
            assert_eq!(counter.1.read(&counter.0, 0, 0).packets, start.packets + u64::from(PACKETS));
        });
    }
}

/// One packet before the end of so many half rounds.
fn bring_to(words: &DenseWords, halves: &Halves, rounds: u64) -> CounterData {
    let mut packets = 0;
    for round in 1..=rounds {
        packets = (round << 23) - 1;
        words.store(0, (packets * u64::from(BYTES)) << 24 | packets);
        if round < rounds {
            halves.add(words, 0, 0, BYTES);
        }
    }
    if rounds == 1 {
        // So that loom knows of the other word.
        halves.add(words, 0, 0, BYTES);
        halves.clear(words, 0, 0);
        words.store(0, (packets * u64::from(BYTES)) << 24 | packets);
    }
    CounterData { packets, bytes: packets * u64::from(BYTES) }
}

/// A bucket shared by two workers gives as many tokens as it has, and the control thread that looks after it adds none.
pub fn a_bucket_gives_what_it_has() {
    try_all(3, || {
        let timebase = Timebase::new(NonZeroU64::MIN);
        let bucket = Bucket::new(1, 3 * 64, timebase);
        // So late that the bucket, full since 0, is refreshed.
        let now = timebase.moment(1 << 20);
        let full_at = Arc::new(AtomicU64::new(0));
        let spent = move |full_at: &AtomicU64, times: u32| {
            (0..times).filter(|_| spend(full_at, &bucket, 64, now, Sharing::ManyWorkers) == Conformance::Conforming).count()
        };
        let thread = spawn({
            let full_at = Arc::clone(&full_at);
            move || spent(&full_at, 2)
        });
        refresh(&full_at, now);
        let own = spent(&full_at, 2);
        assert_eq!(own + thread.join().expect("the worker does not panic"), 3);
    });
}

/// Workers that share the actions of labels count each for itself.
pub fn labels_are_counted_by_each_worker() {
    try_all(3, || {
        let maps = LabelMap::for_workers(1, NonZeroU16::new(3).expect("not 0")).expect("memory");
        for map in &maps {
            map.count(0, BYTES);
        }
        let threads = [0, 1].map(|worker: usize| {
            let map = Arc::clone(&maps[worker]);
            spawn(move || map.count(0, BYTES))
        });
        for thread in threads {
            thread.join().expect("workers do not panic");
        }
        let packets: Vec<_> = maps.iter().map(|map| map.counter(0).packets).collect();
        assert_eq!(packets, [2, 2, 1]);
    });
}
