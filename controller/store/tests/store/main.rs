//! What is kept is found again, on SQLite and on PostgreSQL; and what becomes of it when things go wrong.

mod postgres;
mod samples;

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use svpn_store::{AppendError, Change, Kept, OpenError, ReadError, charges, look, open};
use svpn_vpn::durable::Fact;
use svpn_vpn::request::{ApplicationId, SessionNumber, VpnName};
use svpn_vpn::session::State;
use tempfile::TempDir;

use samples::{charge, dialogs, link, session};

const NAME: &str = "gateway";

fn sqlite(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("new/svpn.db").display())
}

fn facts(facts: impl IntoIterator<Item = Fact>) -> Vec<Change> {
    facts.into_iter().map(Change::from).collect()
}

fn application(name: &str) -> ApplicationId {
    ApplicationId { name: name.into(), vpn: VpnName("vpn-a".into()) }
}

fn registered(name: &str, body: Option<&str>) -> Change {
    Change::Registration { application: application(name), body: body.map(Into::into) }
}

fn sorted(mut kept: Kept) -> Kept {
    kept.facts.sort_by_key(Fact::key);
    kept
}

async fn what_is_appended_is_found_again(address: &str) {
    let (kept, journal, writer) = open(address, NAME).await.unwrap();
    assert_eq!(kept, Kept::default());
    let first = facts([session(1, State::Reserved), session(2, State::Inviting), link("pe1-p1", true), link("p1-pe2", false)]);
    journal.append(first).await.unwrap();
    let mut second = facts([session(1, State::Established), link("pe1-p1", false), Fact::RouterDown("p1".into())]);
    second.extend([dialogs(1, "{\"one\":1}"), dialogs(2, "two")]);
    journal.append(second).await.unwrap();
    let mut third = facts([Fact::SessionGone(SessionNumber(2)), Fact::RouterUp("p1".into())]);
    third.push(dialogs(1, "'"));
    third.extend([registered("storage", Some("old")), registered("backup", Some("gone")), registered("storage", Some("new"))]);
    third.push(registered("backup", None));
    journal.append(third).await.unwrap();

    let expected = Kept {
        facts: vec![link("p1-pe2", false), link("pe1-p1", false), session(1, State::Established)],
        dialogs: vec![(SessionNumber(1), "'".into())],
        registrations: vec![(application("storage"), "new".into())],
    };
    assert_eq!(sorted(look(address, NAME).await.unwrap()), expected, "also while it is written");
    drop(journal);
    writer.close().await;
    let (kept, journal, writer) = open(address, NAME).await.unwrap();
    assert_eq!(sorted(kept), expected);
    drop(journal);
    writer.close().await;
}

async fn a_session_is_charged_once(address: &str) {
    let (_, journal, writer) = open(address, NAME).await.unwrap();
    let end = |charge| vec![Fact::SessionGone(SessionNumber(7)).into(), Change::Charge(Box::new(charge))];
    journal.append(facts([session(7, State::Releasing)])).await.unwrap();
    journal.append(end(charge(7, 0, 1000))).await.unwrap();
    journal.append(end(charge(7, 0, 2000))).await.unwrap();
    journal.append(end(charge(7, 5, 3000))).await.unwrap();
    assert_eq!(charges(address, NAME).await.unwrap(), [charge(7, 0, 1000), charge(7, 5, 3000)], "its number is used again");
    assert_eq!(look(address, NAME).await.unwrap().facts, []);
    drop(journal);
    writer.close().await;
}

async fn many_at_once_are_all_kept_in_order(address: &str) {
    let (_, journal, writer) = open(address, NAME).await.unwrap();
    let states = [State::Reserved, State::Programmed, State::Inviting, State::Established];
    let appended: Vec<_> = states.iter().flat_map(|&state| (0..300).map(move |number| (number, state))).collect();
    let commits: Vec<_> = appended.iter().map(|&(number, state)| journal.append(facts([session(number, state)]))).collect();
    for commit in commits {
        commit.await.unwrap();
    }
    let kept = look(address, NAME).await.unwrap();
    for number in 0..300 {
        assert!(kept.facts.contains(&session(number, State::Established)), "{number}");
    }
    // Who still holds a journal does not hold up its end.
    let last = journal.append(facts([session(300, State::Established)]));
    writer.close().await;
    last.await.unwrap();
    let late = journal.append(facts([session(301, State::Established)])).await;
    assert!(matches!(late, Err(AppendError::Closed)), "{late:?}");
    let kept = look(address, NAME).await.unwrap();
    assert_eq!([300, 301].map(|number| kept.facts.contains(&session(number, State::Established))), [true, false]);
}

async fn another_of_the_name_is_turned_away(address: &str) {
    let (_, journal, writer) = open(address, NAME).await.unwrap();
    let error = open(address, NAME).await.expect_err("it is in use");
    assert!(matches!(error, ReadError::Open(OpenError::InUse { .. })), "{error}");
    drop(journal);
    writer.close().await;
    let (_, journal, writer) = open(address, NAME).await.expect("it is free again");
    drop(journal);
    writer.close().await;
}

/// Any change of a few rows, so that many are of the same.
fn any_change() -> impl Strategy<Value = Change> {
    let states = prop::sample::select(vec![State::Reserved, State::Inviting, State::Established]);
    prop_oneof![
        (0..40_u32, states).prop_map(|(number, state)| session(number, state).into()),
        (0..20_u32).prop_map(|number| Fact::SessionGone(SessionNumber(number)).into()),
        (0..20_u32, "[a-z]{2}").prop_map(|(number, body)| dialogs(number, &body)),
        ("[ab]", any::<bool>()).prop_map(|(name, failed)| link(&name, failed).into()),
        "[ab]".prop_map(|name| Fact::RouterDown(name).into()),
        "[ab]".prop_map(|name| Fact::RouterUp(name).into()),
        ("[ab]", prop::option::of("[a-z]{2}")).prop_map(|(name, body)| registered(&name, body.as_deref())),
        (0..3_u32, 0..2_u64, 1000..2000_u64).prop_map(|(session, at, bytes)| Change::Charge(Box::new(charge(session, at, bytes)))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn changes_of_one_transaction_come_to_what_they_come_to_one_by_one(changes in prop::collection::vec(any_change(), 0..80)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let [together, one_by_one] = [0, 1].map(|which: usize| sqlite(&folders[which]));
        let found = runtime.block_on(async {
            let mut found = Vec::new();
            for (address, appends) in [(together, vec![changes.clone()]), (one_by_one, changes.iter().map(|change| vec![change.clone()]).collect())] {
                let (_, journal, writer) = open(&address, NAME).await.unwrap();
                for append in appends {
                    journal.append(append).await.unwrap();
                }
                found.push((look(&address, NAME).await.unwrap(), charges(&address, NAME).await.unwrap()));
                writer.close().await;
            }
            found
        });
        prop_assert_eq!(&found[0], &found[1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_what_it_is_given() {
    let folder = TempDir::new().unwrap();
    what_is_appended_is_found_again(&sqlite(&folder)).await;
    let folder = TempDir::new().unwrap();
    a_session_is_charged_once(&sqlite(&folder)).await;
    let folder = TempDir::new().unwrap();
    many_at_once_are_all_kept_in_order(&sqlite(&folder)).await;
    another_of_the_name_is_turned_away(&sqlite(&folder)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_keeps_what_it_is_given() {
    let server = postgres::Server::start();
    what_is_appended_is_found_again(&server.address()).await;
    a_session_is_charged_once(&server.address().replace("/postgres?", "/template1?")).await;
    let (_, other, writer) = open(&server.address(), "the other gateway").await.unwrap();
    assert_eq!(look(&server.address(), "the other gateway").await.unwrap(), Kept::default(), "each has its own");
    many_at_once_are_all_kept_in_order(&server.address()).await;
    another_of_the_name_is_turned_away(&server.address()).await;
    server.restart();
    other.append(facts([link("pe1-p1", true)])).await.expect("a server that was restarted is connected to again");
    drop(other);
    writer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_that_was_accepted() {
    let folder = TempDir::new().unwrap();
    let disk = Disk::mount(folder.path());
    let address = format!("sqlite:{}", folder.path().join("svpn.db").display());
    let (_, journal, writer) = open(&address, NAME).await.unwrap();
    std::fs::write(folder.path().join("ballast"), vec![1; 300 << 10]).unwrap();
    let mut accepted = 0;
    let error = loop {
        match journal.append(facts([session(accepted, State::Established)])).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 2000, "the disk does not fill");
    };
    assert!(matches!(&error, AppendError::Database { .. }) && error.to_string().contains("full"), "{error}");
    assert_eq!(look(&address, NAME).await.unwrap().facts.len(), usize::try_from(accepted).unwrap());
    std::fs::remove_file(folder.path().join("ballast")).unwrap();
    journal.append(facts([session(accepted, State::Established)])).await.expect("there is room again");
    drop(journal);
    writer.close().await;
    assert_eq!(look(&address, NAME).await.unwrap().facts.len(), usize::try_from(accepted + 1).unwrap());
    drop(disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_told_and_left_alone() {
    let folder = TempDir::new().unwrap();
    let address = sqlite(&folder);
    many_at_once_are_all_kept_in_order(&address).await;
    let path = Path::new(address.strip_prefix("sqlite:").unwrap());
    let whole = std::fs::read(path).unwrap();
    for (what, bytes) in [
        ("a page in the middle", [&whole[..whole.len() / 2], &[0x5a; 4096][..], &whole[whole.len() / 2 + 4096..]].concat()),
        ("the first page", [&[0x5a; 4096][..], &whole[4096..]].concat()),
        ("another file", b"this is no database, but a letter".repeat(100)),
    ] {
        std::fs::write(path, &bytes).unwrap();
        let error = open(&address, NAME).await.expect_err(what);
        assert!(matches!(error, ReadError::Open(OpenError::Damaged { .. })), "{what}: {error}");
        assert_eq!(std::fs::read(path).unwrap(), bytes, "{what}");
    }
}

#[tokio::test]
async fn what_is_no_address_is_told() {
    for address in ["svpn.db", "sqlite:", "mysql://root@db/svpn", ""] {
        let error = open(address, NAME).await.expect_err(address);
        assert!(matches!(error, ReadError::Open(OpenError::Address(_))), "{address}: {error}");
    }
    let error = open("postgres://svpn:s3cret@127.0.0.1:1/svpn", NAME).await.expect_err("nobody listens there");
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

/// A file system of 1 MiB.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(path: &'a Path) -> Self {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(path).status().unwrap();
        assert!(mounted.success(), "mounting needs root");
        Self(path)
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _left = Command::new("umount").args(["--lazy"]).arg(self.0).status();
    }
}
