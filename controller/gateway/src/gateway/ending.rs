//! How sessions end: no packet is theirs any more, then their counters are read, then they are billed and gone.

use std::future::Future;
use std::time::Duration;

use fail::fail_point;
use svpn_contract::wire::SessionId;
use svpn_sip::sessions::HangUp;
use svpn_store::{Change, ChargeRecord, CountersRead, Timestamp, Traffic};
use svpn_vpn::domain::Summary;
use svpn_vpn::durable::Counted;
use svpn_vpn::price::Carried;
use svpn_vpn::request::Direction;
use svpn_vpn::{Domain, Release};
use tokio::sync::oneshot;

use super::Gateway;
use super::mobility::counted;
use crate::routers::Firmness;

/// How long the counters of a router that does not answer are waited for. It forwards on meanwhile, and keeps them.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often it is asked.
const AGAIN: Duration = Duration::from_secs(1);

impl Gateway {
    /// A session was released: what ends when that is durable. What its routers hold is taken away and its accounts are settled after that,
    /// by themselves.
    pub(super) fn let_go(&self, domain: &Domain, release: Release) -> impl Future<Output = ()> + Send + use<> {
        let Release { effects, summary } = release;
        let enacted = self.enact(domain, effects, Vec::new(), Firmness::Surely);
        let gateway = self.clone();
        let (durable, over) = oneshot::channel();
        self.0.tasks.spawn(async move {
            let Some(ended) = enacted.durable().await else { return };
            // Not everybody waits for it.
            let _nobody = durable.send(());
            ended.sooner_or_later().await;
            gateway.0.tasks.spawn(settle(gateway.clone(), summary));
        });
        async move {
            // It fails where the gateway stops: then nobody is told anything.
            let _stopped = over.await;
        }
    }

    /// Sessions that no packet belongs to any more, and whose ends do not know it yet.
    pub(super) fn told_to_go(&self, ended: Vec<Summary>) {
        for summary in ended {
            self.tell(&summary);
            self.0.tasks.spawn(settle(self.clone(), summary));
        }
    }

    /// Has signalling hang up.
    pub(super) fn tell(&self, summary: &Summary) {
        let (session, cause) = (summary.session, summary.cause);
        tracing::warn!(session = session.0, caller = %summary.caller, callee = %summary.callee, ?cause, "the session is ended");
        // Signalling that is gone has nobody to tell.
        let _gone = self.0.hang_up.send(HangUp { session, cause });
    }

    async fn record(&self, summary: &Summary) -> ChargeRecord {
        let (mut sums, mut ingress) = (summary.counted, [None, None]);
        for &(direction, router) in &summary.counted_at {
            let way = usize::from(direction == Direction::FromCallee);
            ingress[way].get_or_insert_with(|| self.0.routers.name(router).to_owned());
            // Before the callee accepts, no packet is the session's.
            let (Some(_), Ok(session)) = (summary.established, SessionId::new(summary.session.0)) else { continue };
            sums[way] = sums[way].and(self.count(router, session).await.map_or(Counted::UNTOLD, counted));
        }
        let counters = if sums.iter().any(|sum| sum.incomplete) { CountersRead::Incomplete } else { CountersRead::Final };
        let rates = [summary.granted.from_caller, summary.granted.from_callee];
        let ways = [0, 1].map(|way: usize| {
            let sum = sums[way];
            // Nothing begins there any more: the PEs that counted are behind.
            let ingress = ingress[way].take().or_else(|| (sum != Counted::default()).then(|| "before it moved".to_owned()))?;
            let (offered, discarded) = ((sum.offered_packets, sum.offered_bytes), (sum.discarded_packets, sum.discarded_bytes));
            Some(Traffic::none(ingress, rates[way].0).counted(offered, discarded))
        });
        charge_record(summary, ways, counters)
    }

    pub(super) async fn count(&self, router: svpn_vpn::RouterId, session: SessionId) -> Option<svpn_switch::SessionCounters> {
        let asked = tokio::time::Instant::now();
        loop {
            if let Some(counted) = self.0.routers.count(router, session).await {
                return counted;
            }
            if asked.elapsed() > PATIENCE {
                tracing::error!(router = self.0.routers.name(router), %session, "the session's counters could not be read: it is not billed for them");
                return None;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Reads a session's counters, and bills it in the transaction that ends it.
pub(super) async fn settle(gateway: Gateway, summary: Summary) {
    let mut record = gateway.record(&summary).await;
    let carried = carried(&record);
    fail_point!("gateway: after the counters are read");
    let settled = {
        let mut domain = gateway.domain();
        record.bill = domain.bill(&summary, carried);
        let charge = Change::Charge(Box::new(record));
        domain.settled(summary.session, carried).map(|effects| gateway.enact(&domain, effects, vec![charge], Firmness::Surely))
    };
    match settled {
        Ok(enacted) => enacted.surely().await,
        Err(error) => tracing::error!(session = summary.session.0, %error, "a session that is over cannot be settled"),
    }
    let (session, cause) = (summary.session.0, summary.cause);
    tracing::info!(session, caller = %summary.caller, callee = %summary.callee, ?cause, "session settled");
}

/// Bills a session that the domain does not know any more.
pub(super) async fn bill(gateway: Gateway, summary: Summary) {
    let mut record = gateway.record(&summary).await;
    record.bill = gateway.domain().bill(&summary, carried(&record));
    if let Err(error) = gateway.0.journal.append(vec![Change::Charge(Box::new(record))]).await {
        tracing::error!(session = summary.session.0, %error, "a charge record is lost");
    }
}

fn carried(record: &ChargeRecord) -> Carried {
    let bytes = |traffic: &Option<Traffic>| traffic.as_ref().map_or(0, |traffic| traffic.carried_bytes);
    Carried { from_caller: bytes(&record.from_caller), from_callee: bytes(&record.from_callee) }
}

fn charge_record(summary: &Summary, [from_caller, from_callee]: [Option<Traffic>; 2], counters: CountersRead) -> ChargeRecord {
    ChargeRecord {
        session: summary.session.0,
        contract: summary.contract.clone(),
        vpn: summary.caller.vpn.0.clone(),
        caller: summary.caller.to_string(),
        caller_ce: summary.caller_ce.0.clone(),
        callee: summary.callee.to_string(),
        callee_ce: summary.callee_ce.0.clone(),
        class: summary.class.get(),
        start: Timestamp::new(summary.requested),
        established: summary.established.map(Timestamp::new),
        end: Timestamp::new(summary.ended),
        cause: format!("{:?}", summary.cause).to_lowercase(),
        from_caller,
        from_callee,
        counters,
        bill: None,
    }
}
