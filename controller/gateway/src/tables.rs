//! What the routers' tables hold, as text: to compare before and after, and to look for what is wrong.

use svpn_switch::{ElectionId, ReadError, inspect};

use crate::config::RouterConfig;

/// Why the tables of a router could not be read.
#[derive(Debug, thiserror::Error)]
#[error("router {router}: {source}")]
pub struct TablesError {
    /// The router.
    pub router: String,
    /// Why.
    #[source]
    pub source: ReadError,
}

/// Every entry of a router, an entry a line, sorted, each beginning with the router's name. Nothing is changed, and the gateway that is
/// primary stays so.
///
/// # Errors
/// [`TablesError`] when the router does not answer.
pub async fn dump(router: &RouterConfig, election: ElectionId) -> Result<Vec<String>, TablesError> {
    let snapshot = inspect(&router.settings(election)).await;
    let snapshot = snapshot.map_err(|source| TablesError { router: router.name.clone(), source })?;
    let mut lines: Vec<String> = snapshot.entries.iter().map(|entry| format!("{} {entry}", router.name)).collect();
    lines.extend(snapshot.foreign.iter().map(|foreign| format!("{} foreign entry: {}", router.name, foreign.reason)));
    lines.sort_unstable();
    Ok(lines)
}
