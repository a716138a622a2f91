//! What must hold when a gateway was killed and another goes on: nothing is lost, nothing is left over, nothing is charged twice.

use std::collections::{BTreeMap, BTreeSet};

use svpn_contract::{Entry, EntryKey};
use svpn_store::CountersRead;
use svpn_vpn::Domain;
use svpn_vpn::durable::SessionRecord;
use svpn_vpn::session::State;

use crate::agent::{End, Manner};
use crate::bench::{Bench, Gateway, Start};
use crate::life::EAST;
use crate::provider::{Arrival, ROUTERS};
use crate::soon;

/// What a router holds.
type Tables = BTreeMap<EntryKey, Entry>;

/// The port by which a call is known.
fn port(record: &SessionRecord) -> u16 {
    record.request.media[0].caller.port
}

fn is_made(record: &SessionRecord) -> bool {
    matches!(record.state, State::Established | State::Booked)
}

/// What was so when the gateway died.
pub(crate) struct Before {
    sessions: Vec<SessionRecord>,
    /// Calls that both ends were told of, and that neither has left or begun to leave: a BYE without an answer may have been heard.
    open: BTreeSet<u16>,
    /// Calls that an end was told are over.
    left: BTreeSet<u16>,
}

impl Before {
    pub(crate) async fn look(bench: &Bench) -> Self {
        let sessions = bench.sessions().await;
        let dialogs: Vec<_> = crate::life::PORTS.filter_map(|port| bench.caller.dialog(port)).collect();
        let other = |port| bench.callee.dialog(port);
        let still = |port| other(port).is_none_or(|dialog| dialog.end == End::Open);
        let stay = dialogs.iter().filter(|dialog| dialog.agreed && dialog.end == End::Open && still(dialog.port));
        let open = stay.map(|dialog| dialog.port).collect();
        let left = crate::life::PORTS
            .filter(|&port| [bench.caller.dialog(port), other(port)].into_iter().flatten().any(|dialog| dialog.end == End::Left));
        let left = left.collect();
        Self { sessions, open, left }
    }
}

/// Starts a gateway again, and judges it. `over` are calls that may have ended by themselves.
pub(crate) async fn judge(bench: &Bench, over: &BTreeSet<u16>) -> Gateway {
    let before = Before::look(bench).await;
    let gateway = bench.start(&Start::default()).await;
    judge_running(bench, &gateway, &before, over).await;
    gateway
}

/// The same of a gateway that was started already.
pub(crate) async fn judge_running(bench: &Bench, gateway: &Gateway, before: &Before, over: &BTreeSet<u16>) {
    // What is over is settled by and by.
    soon("everything that is over is settled", async || bench.sessions().await.iter().all(is_made).then_some(())).await;
    let now: BTreeMap<u16, SessionRecord> = bench.sessions().await.into_iter().map(|record| (port(&record), record)).collect();
    let made: BTreeMap<u16, &SessionRecord> =
        before.sessions.iter().filter(|record| is_made(record)).map(|record| (port(record), record)).collect();
    for port in before.open.iter().filter(|port| !over.contains(port)) {
        assert!(made.contains_key(port), "call {port} was answered with 200, and is not in the journal");
    }
    for (port, record) in &made {
        assert!(over.contains(port) || before.left.contains(port) || now.contains_key(port), "session {port} is lost: {record:?}");
    }
    for port in now.keys() {
        assert!(made.contains_key(port), "session {port} was not made, and is there");
        assert!(!before.left.contains(port), "call {port} was hung up with 200, and is there still");
    }
    for record in before.sessions.iter().filter(|record| !now.contains_key(&port(record))) {
        let begins = bench.begins(port(record));
        let arrival = bench.send(port(record), true);
        assert!(
            matches!(arrival, Arrival::Dropped { router, .. } if router == begins),
            "session {} is gone and forwards: {arrival:?}",
            port(record)
        );
    }
    forwards_and_fits(bench, gateway).await;
    told(bench, &now, before).await;
}

/// Every established session forwards, and the routers hold what the journal says and nothing else.
async fn forwards_and_fits(bench: &Bench, gateway: &Gateway) {
    let plan = soon("the routers hold what the journal says", async || {
        let (plan, kept) = plan(bench).await;
        let actual: Vec<_> = (0..ROUTERS.len()).map(|router| bench.provider.entries(router)).collect();
        if plan == actual { Ok(kept) } else { Err(difference(&plan, &actual)) }
    });
    let sessions = plan.await;
    for record in sessions.iter().filter(|record| record.state == State::Established) {
        bench.follow(record);
        for from_caller in [true, false] {
            // Where a link failed while nobody watched, that is to be found out first.
            soon(&format!("call {} forwards", port(record)), async || {
                let arrival = bench.send(port(record), from_caller);
                let there = bench.sessions().await.iter().any(|now| now.number == record.number && is_made(now));
                match arrival {
                    Arrival::At { .. } => Ok(()),
                    Arrival::Dropped { .. } if !there => Ok(()),
                    Arrival::Dropped { router, reason } => panic!("call {} does not forward: {router} says {reason:?}", port(record)),
                    lost @ Arrival::Lost { .. } => Err(format!("{lost:?}")),
                }
            })
            .await;
        }
    }
    assert_eq!(gateway.log().said("panicked"), 0, "{:#?}", gateway.log());
}

/// The entries of every router that follow from the journal alone, and its sessions.
async fn plan(bench: &Bench) -> (Vec<Tables>, Vec<SessionRecord>) {
    let kept = bench.look().await;
    let sessions = bench.sessions().await;
    let (domain, restored) = Domain::restore(bench.config().network, kept.facts, bench.now()).unwrap();
    assert!(restored.half_made.is_empty() && restored.changing.is_empty() && restored.lost.is_empty(), "{restored:?}");
    assert!(restored.effects.facts.is_empty(), "the journal is not what it would be: {:?}", restored.effects);
    let entries = domain.network().routers().map(|(id, _)| domain.expected_entries(id).map(|entry| (entry.key(), entry.clone())).collect());
    (entries.collect(), sessions)
}

fn difference(plan: &[Tables], actual: &[Tables]) -> String {
    let of_router = |(name, (plan, actual)): (&&str, (&Tables, &Tables))| {
        let missing = plan.iter().filter(|(key, entry)| actual.get(key) != Some(entry)).map(|(_, entry)| entry);
        let left: Vec<_> = actual.iter().filter(|(key, entry)| plan.get(key) != Some(entry)).map(|(_, entry)| entry).collect();
        format!("{name}: missing {:?}, left over {left:?}\n", missing.collect::<Vec<_>>())
    };
    ROUTERS.iter().zip(plan.iter().zip(actual)).map(of_router).collect()
}

/// Whoever takes part in a session that is over is told so, if it knew of it.
async fn told(bench: &Bench, now: &BTreeMap<u16, SessionRecord>, before: &Before) {
    let known: BTreeSet<u16> = before.sessions.iter().filter(|record| record.established.is_some()).map(port).collect();
    for port in crate::life::PORTS.filter(|port| !now.contains_key(port)) {
        for (agent, durable) in [(&bench.caller, true), (&bench.callee, known.contains(&port))] {
            soon(&format!("an end of call {port}, which is over, is told"), async || {
                agent.dialog(port).is_none_or(|dialog| !durable || !dialog.is_open() || dialog.end == End::Leaving).then_some(())
            })
            .await;
        }
    }
}

/// Ends everything, and sees to it that nothing is left but one charge for each session, of just what was carried.
pub(crate) async fn close(bench: &Bench, gateway: &Gateway, established: &BTreeSet<u16>) {
    // What the network could not carry on may be over already, and not settled yet.
    for record in bench.sessions().await.iter().filter(|record| is_made(record)) {
        let port = port(record);
        let agent = if bench.caller.dialog(port).is_some_and(|dialog| dialog.is_open()) { &bench.caller } else { &bench.callee };
        assert_eq!(agent.hang_up(port).await, Some(200), "BYE of call {port}");
    }
    soon("the journal has no session", async || bench.sessions().await.is_empty().then_some(())).await;
    forwards_and_fits(bench, gateway).await;
    let charges = bench.charges().await;
    let mut charged: Vec<_> = charges
        .iter()
        .filter(|charge| charge.established.is_some())
        .map(|charge| {
            assert_eq!(charge.counters, CountersRead::Final, "{charge:?}");
            [&charge.from_caller, &charge.from_callee].map(|way| way.as_ref().map_or(0, |traffic| traffic.carried_packets))
        })
        .collect();
    let mut carried: Vec<_> = established.iter().map(|&port| <[u64; 2]>::from(bench.carried(port))).collect();
    charged.sort_unstable();
    carried.sort_unstable();
    assert_eq!(charged, carried, "what is charged is not what was carried: {charges:#?}");
    for charge in charges.iter().filter(|charge| charge.established.is_none()) {
        assert_eq!(charge.bill.as_ref().map_or(0, |bill| bill.total.0), 0, "{charge:?}");
    }
    holds_base(bench).unwrap();
    // The calendar, the accounts and the labels are all free again: a session that takes all of a link is admitted.
    if bench.caller.host() != EAST.1 {
        bench.caller.go(EAST);
    }
    for agent in [&bench.caller, &bench.callee] {
        // Who was told so before the kill is registered still.
        if !agent.is_registered() {
            assert_eq!(agent.register().await, Some(200));
        }
    }
    bench.callee.set_manner(Manner::Answers);
    bench.provider.mend();
    soon("all of a link is free, when it is whole again", async || {
        match bench.caller.call("backup", crate::life::LAST, 90_000_000, (0, 0)).await {
            Some(200) => Ok(()),
            other => Err(format!("{other:?}: {:#?}", gateway.log())),
        }
    })
    .await;
    bench.exchange(crate::life::LAST, [1, 1]);
    assert_eq!(bench.caller.hang_up(crate::life::LAST).await, Some(200));
    soon("the routers hold their base", async || holds_base(bench)).await;
}

/// Whether no router holds anything of any session.
pub(crate) fn holds_base(bench: &Bench) -> Result<(), String> {
    let fresh = Domain::new(bench.config().network).unwrap();
    for (index, (id, _)) in fresh.network().routers().enumerate() {
        let (held, base) = (bench.provider.entries(index).len(), fresh.expected_entries(id).count());
        if held != base {
            return Err(format!("{} holds {held} entries, and its base is {base}", ROUTERS[index]));
        }
    }
    Ok(())
}
