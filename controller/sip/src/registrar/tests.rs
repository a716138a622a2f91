use super::*;
use proptest::prelude::*;
use svpn_vpn::request::VpnName;

fn storage() -> ApplicationId {
    ApplicationId { name: "storage".to_owned(), vpn: VpnName("vpn-a".to_owned()) }
}

fn sequence(cseq: u32) -> Sequence {
    Sequence { call_id: "x".to_owned(), cseq }
}

fn contact(port: u16, ce: &str, expires: u32) -> Contact {
    Contact {
        uri: Uri::try_from(format!("sip:storage@10.1.0.5:{port}")).unwrap(),
        ce: CeName(ce.to_owned()),
        preference: Preference::DEFAULT,
        expires,
    }
}

fn latest_port(registrar: &Registrar, now: Instant) -> Option<u16> {
    let binding = registrar.latest(&storage(), now)?;
    binding.contact.host_with_port.port.map(|port| port.0)
}

#[test]
fn a_preference_is_a_number_from_0_to_1() {
    for (text, thousandths) in [("0", 0), ("0.", 0), ("0.7", 700), ("0.05", 50), ("0.125", 125), ("1", 1000), ("1.000", 1000)] {
        assert_eq!(Preference::read(text), Some(Preference(thousandths)), "{text}");
    }
    for text in ["", "2", "1.001", "0.1234", "0.x", "-0.5", ".5", "0.+1"] {
        assert_eq!(Preference::read(text), None, "{text}");
    }
}

#[test]
fn a_binding_lives_until_it_expires() {
    let now = Instant::now();
    let mut registrar = Registrar::default();
    let wish = Wish::Update(vec![contact(1, "a-east", 60)]);
    assert_eq!(registrar.register(&storage(), &sequence(1), wish, now), Ok(()));
    assert_eq!(latest_port(&registrar, now + Duration::from_secs(59)), Some(1));
    assert_eq!(latest_port(&registrar, now + Duration::from_mins(1)), None);
    registrar.sweep(now + Duration::from_mins(1));
    assert!(registrar.bindings.is_empty());
}

fn clocks(now: Instant, date: u64) -> Clocks {
    Clocks { now, date: std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + date) }
}

/// Bindings of a minute and of ten, kept a second after, found again so many seconds later by the date.
fn found_again(date: u64) -> (Vec<Binding>, Vec<Binding>, Registrar, Instant) {
    let (then, mut before) = (Instant::now(), Registrar::default());
    before.register(&storage(), &sequence(1), Wish::Update(vec![contact(1, "a-east", 60)]), then).unwrap();
    before.register(&storage(), &sequence(2), Wish::Update(vec![contact(2, "a-east", 600)]), then).unwrap();
    let kept = before.keep(&storage(), clocks(then + Duration::from_secs(1), 10_000)).unwrap();
    let (now, mut after) = (then + Duration::from_secs(1000), Registrar::default());
    after.resume(&storage(), &kept, clocks(now, date)).unwrap();
    (before.bindings(&storage(), then), after.bindings(&storage(), now), after, now)
}

#[test]
fn bindings_are_found_again_and_expire_when_they_would_have() {
    let (before, after, _, _) = found_again(10_000);
    let dated =
        |bindings: &[Binding]| bindings.iter().map(|each| Binding { expires: before[0].expires, ..each.clone() }).collect::<Vec<_>>();
    assert_eq!(dated(&after), dated(&before), "contact, CE, preference, sequence and order");
    let left = |bindings: &[Binding]| bindings[0].expires - bindings[1].expires;
    assert_eq!((after.len(), left(&after)), (2, Duration::from_mins(9)));
    let (_, after, mut registrar, now) = found_again(10_059);
    assert_eq!(after.len(), 1, "a minute is over");
    assert_eq!(registrar.register(&storage(), &sequence(2), Wish::RemoveAll, now), Err(RegisterError::OutOfOrder));
    assert_eq!(registrar.register(&storage(), &sequence(3), Wish::Update(vec![contact(3, "a-west", 60)]), now), Ok(()));
    assert_eq!(latest_port(&registrar, now), Some(3), "what comes after is later than what was kept");
    assert!(found_again(20_000).1.is_empty());
}

#[test]
fn a_clock_that_was_put_back_prolongs_no_binding_beyond_reason() {
    let (_, after, _, now) = found_again(0);
    let longest = now + Duration::from_secs(MAX_EXPIRES.into());
    assert_eq!(after.iter().map(|binding| binding.expires).collect::<Vec<_>>(), [longest; 2]);
}

#[test]
fn nothing_is_kept_of_who_is_not_registered() {
    let mut registrar = Registrar::default();
    assert_eq!(registrar.keep(&storage(), clocks(Instant::now(), 0)), None);
    assert!(registrar.resume(&storage(), &crate::sessions::Kept("{}".to_owned()), clocks(Instant::now(), 0)).is_err());
    let now = Instant::now();
    registrar.register(&storage(), &sequence(1), Wish::Update(vec![contact(1, "a-east", 60)]), now).unwrap();
    assert_eq!(registrar.sweep(now + Duration::from_mins(1)), [storage()]);
}

#[test]
fn a_refresh_prolongs_and_zero_removes() {
    let now = Instant::now();
    let mut registrar = Registrar::default();
    let mut send = |cseq, expires, after| {
        let wish = Wish::Update(vec![contact(1, "a-east", expires)]);
        let now = now + Duration::from_secs(after);
        let result = registrar.register(&storage(), &sequence(cseq), wish, now);
        (result, registrar.bindings(&storage(), now + Duration::from_secs(40)).len())
    };
    assert_eq!(send(1, 60, 0), (Ok(()), 1));
    assert_eq!(send(2, 60, 50), (Ok(()), 1));
    assert_eq!(send(2, 60, 50), (Err(RegisterError::OutOfOrder), 1));
    assert_eq!(send(3, 0, 50), (Ok(()), 0));
}

#[test]
fn the_latest_contact_is_called_and_star_removes_all() {
    let now = Instant::now();
    let mut registrar = Registrar::default();
    for (cseq, port) in [(1, 1), (2, 2), (3, 1)] {
        let wish = Wish::Update(vec![contact(port, "a-east", 60)]);
        assert_eq!(registrar.register(&storage(), &sequence(cseq), wish, now), Ok(()));
    }
    assert_eq!(registrar.bindings(&storage(), now).len(), 2);
    assert_eq!(latest_port(&registrar, now), Some(1));
    assert_eq!(registrar.register(&storage(), &sequence(4), Wish::Query, now), Ok(()));
    assert_eq!(registrar.bindings(&storage(), now).len(), 2);
    let stale = registrar.register(&storage(), &sequence(2), Wish::RemoveAll, now);
    assert_eq!(stale, Err(RegisterError::OutOfOrder));
    assert_eq!(registrar.register(&storage(), &sequence(5), Wish::RemoveAll, now), Ok(()));
    assert!(registrar.bindings(&storage(), now).is_empty());
}

#[test]
fn registering_at_another_ce_moves_the_application() {
    let now = Instant::now();
    let mut registrar = Registrar::default();
    for (cseq, port, ce) in [(1, 1, "a-east"), (2, 2, "a-west")] {
        let wish = Wish::Update(vec![contact(port, ce, 60)]);
        assert_eq!(registrar.register(&storage(), &sequence(cseq), wish, now), Ok(()));
    }
    let bindings = registrar.bindings(&storage(), now);
    assert_eq!(bindings.len(), 1);
    assert_eq!(bindings[0].ce, CeName("a-west".to_owned()));
}

#[test]
fn what_cannot_be_served_changes_nothing() {
    let now = Instant::now();
    let mut registrar = Registrar::default();
    for (contacts, error) in [
        (vec![contact(1, "a-east", 9)], RegisterError::TooBrief),
        (vec![contact(1, "a-east", 60), contact(2, "a-west", 60)], RegisterError::SeveralCes),
        ((1..=9).map(|port| contact(port, "a-east", 60)).collect(), RegisterError::TooMany),
    ] {
        assert_eq!(registrar.register(&storage(), &sequence(1), Wish::Update(contacts), now), Err(error));
        assert!(registrar.bindings(&storage(), now).is_empty());
    }
}

proptest! {
    #[test]
    fn an_application_is_at_one_ce_and_has_few_contacts(
        registrations in proptest::collection::vec((1u16..20, 0u8..3, prop_oneof![Just(0u32), 10u32..10_000]), 0..40),
    ) {
        let now = Instant::now();
        let mut registrar = Registrar::default();
        for (cseq, (port, ce, expires)) in (1u32..).zip(registrations) {
            let wish = Wish::Update(vec![contact(port, &format!("ce-{ce}"), expires)]);
            let accepted = registrar.register(&storage(), &sequence(cseq), wish, now).is_ok();
            let bindings = registrar.bindings(&storage(), now);
            prop_assert!(bindings.len() <= MAX_CONTACTS);
            prop_assert!(bindings.iter().all(|binding| binding.ce == bindings[0].ce));
            prop_assert!(bindings.iter().all(|binding| binding.expires <= now + Duration::from_secs(u64::from(MAX_EXPIRES))));
            if accepted && expires > 0 {
                prop_assert_eq!(latest_port(&registrar, now), Some(port));
            }
        }
    }
}
