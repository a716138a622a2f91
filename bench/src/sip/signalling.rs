//! The SIP server over a gateway that says yes at once: what signalling alone costs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clap::Args;
use svpn_contract::wire::Label;
use svpn_sip::config::{Limits, ListenAddress, SipConfig, StartError};
use svpn_sip::server::Server;
use svpn_sip::sessions::{Kept, Secret, Sessions};
use svpn_vpn::domain::Proposal;
use svpn_vpn::request::{
    Answer, ApplicationId, Bandwidth, BitRate, Cause, CeName, Class, Refusal, SessionNumber, SessionRequest, Terms, VpnName,
};
use tokio::sync::mpsc;

use super::write::{HOST, PASSWORD, VPN};

/// The SIP server alone, to be measured by `svpn-bench sip --signalling-only`, which starts it.
#[derive(Debug, Clone, Args)]
pub struct ServerArguments {
    /// Where to listen, as in udp:127.0.0.1:5060.
    #[arg(long)]
    pub listen: ListenAddress,
}

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It cannot listen.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There are no threads.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Serves until it is killed, with as many threads as the gateway has.
///
/// # Errors
/// [`ServerError`]
pub fn run(arguments: &ServerArguments) -> Result<(), ServerError> {
    tokio::runtime::Runtime::new()?.block_on(serve(arguments))?;
    Ok(())
}

async fn serve(arguments: &ServerArguments) -> Result<(), StartError> {
    // All applications have one address, and what is asked is what it can, not what it lets itself be burdened with.
    let limits = Limits { messages_per_source: u32::MAX, transactions: usize::MAX };
    let domain = HOST.strip_prefix("load.").unwrap_or(HOST);
    let config = SipConfig { limits, ..SipConfig::new(domain, vec![arguments.listen]) };
    let (_never, hang_up) = mpsc::unbounded_channel();
    let _server = Server::start(config, Arc::new(Willing::default()), Vec::new(), hang_up).await?;
    // What the one who measures waits for.
    eprintln!("listening");
    std::future::pending().await
}

/// Grants what is asked for, and keeps nothing.
#[derive(Debug, Default)]
struct Willing {
    last: AtomicU32,
}

impl Willing {
    fn terms(session: SessionNumber, rate: BitRate) -> Terms {
        Terms { session, class: Class::MAX, policed: rate, tunnels: vec![1, 2], labels: vec![16, 17], cost: None, mapping: None }
    }
}

fn rate(request: &SessionRequest) -> BitRate {
    match request.media.first().map(|medium| medium.bandwidth) {
        Some(Bandwidth::TransportIndependent { rate, .. } | Bandwidth::ApplicationSpecific { rate, .. }) => rate,
        None => BitRate(0),
    }
}

impl Sessions for Willing {
    async fn find_application(&self, name: &str, _: Option<&VpnName>) -> Result<ApplicationId, Refusal> {
        Ok(ApplicationId { name: name.to_owned(), vpn: VpnName(VPN.to_owned()) })
    }

    async fn secret(&self, _: &ApplicationId) -> Option<Secret> {
        Some(Secret(PASSWORD.to_owned()))
    }

    async fn admit_registration(&self, _: &ApplicationId, _: &CeName) -> Result<(), Refusal> {
        Ok(())
    }

    async fn registrations(&self) -> Vec<(ApplicationId, Kept)> {
        Vec::new()
    }

    async fn keep_registrations(&self, _: &ApplicationId, _: Option<Kept>) -> Result<(), Refusal> {
        Ok(())
    }

    fn moved(&self, _: HashMap<ApplicationId, CeName>, _: Duration) {}

    async fn map(&self, _: SessionNumber, _: Label) -> Result<(), Refusal> {
        Ok(())
    }

    async fn reserve(&self, request: SessionRequest) -> Result<Terms, Refusal> {
        Ok(Self::terms(SessionNumber(self.last.fetch_add(1, Ordering::Relaxed)), rate(&request)))
    }

    async fn establish(&self, session: SessionNumber, _: Answer, _: Kept) -> Result<Terms, Refusal> {
        Ok(Self::terms(session, BitRate(64_000)))
    }

    async fn propose(&self, session: SessionNumber, _: Proposal) -> Result<Terms, Refusal> {
        Ok(Self::terms(session, BitRate(64_000)))
    }

    async fn confirm(&self, session: SessionNumber, _: Answer, _: Kept) -> Result<Terms, Refusal> {
        Ok(Self::terms(session, BitRate(64_000)))
    }

    async fn withdraw(&self, _: SessionNumber) {}

    async fn release(&self, _: SessionNumber, _: Cause) {}
}
