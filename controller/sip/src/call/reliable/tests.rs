use super::*;
use proptest::prelude::*;

const CSEQ: u32 = 7;

fn rack(rseq: u32) -> Rack {
    Rack { rseq, cseq: CSEQ, method: Method::Invite }
}

#[tokio::test]
async fn one_waits_for_the_acknowledgement_of_the_one_before() {
    let now = Instant::now();
    let mut outbox = Outbox::new(CSEQ, 100);
    assert_eq!(outbox.push("183", now), Some((100, "183")));
    assert_eq!(outbox.push("180", now), None);
    assert_eq!(outbox.acknowledged(rack(100), now), Ok(Some((101, "180"))));
    assert_eq!(outbox.acknowledged(rack(101), now), Ok(None));
    assert!(outbox.is_empty());
}

#[tokio::test]
async fn a_prack_about_something_else_is_refused() {
    let now = Instant::now();
    let mut outbox = Outbox::new(CSEQ, 100);
    outbox.push("183", now);
    for wrong in [rack(99), rack(101), Rack { cseq: 8, ..rack(100) }, Rack { method: Method::Update, ..rack(100) }] {
        assert_eq!(outbox.acknowledged(wrong, now), Err(NoSuchResponse));
    }
    assert_eq!(outbox.acknowledged(rack(100), now), Ok(None));
    assert_eq!(outbox.acknowledged(rack(100), now), Err(NoSuchResponse), "acknowledged twice");
}

#[tokio::test]
async fn what_is_never_acknowledged_is_repeated_ever_more_slowly_and_given_up() {
    let begun = Instant::now();
    let mut outbox = Outbox::new(CSEQ, 1);
    outbox.push("183", begun);
    let mut sent = Vec::new();
    let mut now;
    let end = loop {
        now = outbox.due().expect("it waits for something");
        match outbox.timed(now) {
            Some(Timed::Again(rseq, "183")) => sent.push((rseq, (now - begun).as_millis())),
            other => break other,
        }
    };
    assert_eq!(end, Some(Timed::GivenUp));
    assert_eq!(now - begun, Duration::from_secs(32));
    assert_eq!(sent, [(1, 500), (1, 1500), (1, 3500), (1, 7500), (1, 15_500), (1, 31_500)]);
    assert!(outbox.is_empty() && outbox.due().is_none());
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Push,
    Acknowledge(u32),
    Wait(u64),
}

proptest! {
    #[test]
    fn all_are_sent_in_order_and_at_most_one_is_outstanding(
        steps in proptest::collection::vec(
            prop_oneof![Just(Step::Push), (1u32..12).prop_map(Step::Acknowledge), (0u64..3000).prop_map(Step::Wait)],
            0..60,
        )
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut now = Instant::now();
            let mut outbox = Outbox::new(CSEQ, 1);
            let (mut pushed, mut sent, mut open) = (0u32, 0u32, None);
            for step in steps {
                let news = match step {
                    Step::Push => {
                        pushed += 1;
                        outbox.push(pushed, now)
                    }
                    Step::Acknowledge(rseq) => {
                        let taken = outbox.acknowledged(rack(rseq), now);
                        prop_assert_eq!(taken.is_ok(), open == Some(rseq), "acknowledged what was not sent, or did not");
                        open = open.filter(|open| *open != rseq);
                        taken.unwrap_or_default()
                    }
                    Step::Wait(millis) => {
                        now += Duration::from_millis(millis);
                        match outbox.timed(now) {
                            Some(Timed::Again(rseq, _)) => prop_assert_eq!(open, Some(rseq)),
                            Some(Timed::GivenUp) => return Ok(()),
                            None => {}
                        }
                        None
                    }
                };
                if let Some((rseq, response)) = news {
                    sent += 1;
                    prop_assert_eq!((rseq, response), (sent, sent), "out of order");
                    prop_assert_eq!(open.replace(rseq), None, "two at once");
                }
            }
            prop_assert_eq!(open.is_none(), outbox.is_empty());
            prop_assert!(open.is_some() || sent == pushed, "one was forgotten");
            Ok(())
        })?;
    }

    #[test]
    fn each_of_the_callees_is_taken_once_and_in_order(rseqs in proptest::collection::vec(1u32..6, 0..30)) {
        let mut inbox = Inbox::default();
        let mut taken: Vec<u32> = Vec::new();
        for rseq in rseqs {
            if inbox.takes(rseq) {
                if let Some(last) = taken.last() {
                    prop_assert_eq!(rseq, last + 1);
                }
                taken.push(rseq);
            } else {
                prop_assert!(!taken.is_empty());
            }
        }
    }
}
