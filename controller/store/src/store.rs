//! The records of a gateway.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use sqlx::{Connection as _, Row as _};
use svpn_vpn::durable::Fact;
use svpn_vpn::request::{ApplicationId, SessionNumber, VpnName};

use crate::database::{Address, OpenError};
use crate::journal::{Journal, Writer};
use crate::record::ChargeRecord;

/// What a gateway finds when it starts.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Of the domain.
    pub facts: Vec<Fact>,
    /// The dialogs of its sessions, as signalling wrote them.
    pub dialogs: Vec<(SessionNumber, String)>,
    /// Where applications are reached, as signalling wrote it; also what has expired.
    pub registrations: Vec<(ApplicationId, String)>,
}

/// Why records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database does not answer as it should.
    #[error("{address}: {source}")]
    Database {
        /// The database.
        address: String,
        /// What it says.
        source: sqlx::Error,
    },
    /// A row was written by another version, or by somebody else.
    #[error("{address}, table {table}, {row}: {source}")]
    Unreadable {
        /// The database.
        address: String,
        /// The table.
        table: &'static str,
        /// Which row.
        row: String,
        /// What is wrong with its body.
        source: serde_json::Error,
    },
}

/// Opens the records of a gateway, to write them: what it kept, and the journal.
///
/// `address` is `sqlite:PATH`, which is made if it is not there, or `postgres://USER@HOST/NAME`. Several gateways share a database when
/// their names differ. Must be called within a tokio runtime.
///
/// # Errors
/// [`ReadError`] says what is in the way; nothing was changed then.
pub async fn open(address: &str, gateway: &str) -> Result<(Kept, Journal, Writer), ReadError> {
    let address = Address::new(address, gateway)?;
    let mut owned = address.own().await?;
    let kept = kept(&mut owned.connection, &address).await?;
    let (journal, writer) = Journal::start(address, owned);
    Ok((kept, journal, writer))
}

/// What a gateway keeps, also while it runs. Changes nothing.
///
/// # Errors
/// [`ReadError`]
pub async fn look(address: &str, gateway: &str) -> Result<Kept, ReadError> {
    let address = Address::new(address, gateway)?;
    let mut connection = address.connect().await?;
    let kept = kept(&mut connection, &address).await?;
    close(connection).await;
    Ok(kept)
}

/// The charge records of a gateway, in the order in which the sessions ended, also while it runs. Changes nothing.
///
/// # Errors
/// [`ReadError`]
pub async fn charges(address: &str, gateway: &str) -> Result<Vec<ChargeRecord>, ReadError> {
    let address = Address::new(address, gateway)?;
    let mut connection = address.connect().await?;
    let sql = "SELECT session, body FROM charge WHERE gateway = $1 ORDER BY ended, session, requested";
    let table = Reader { address: &address, table: "charge" };
    let rows = table.numbered(&mut connection, sql).await?;
    close(connection).await;
    rows.iter().map(|(session, body)| table.parse(session.0, body)).collect()
}

async fn close(connection: AnyConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the database was not closed in order");
    }
}

async fn kept(connection: &mut AnyConnection, address: &Address) -> Result<Kept, ReadError> {
    let mut kept = Kept::default();
    let table = Reader { address, table: "fact" };
    for (name, body) in table.named(connection, "SELECT name, body FROM fact WHERE gateway = $1 ORDER BY kind, name").await? {
        kept.facts.push(table.parse(name, &body)?);
    }
    let table = Reader { address, table: "session" };
    for (number, body) in table.numbered(connection, "SELECT number, body FROM session WHERE gateway = $1 ORDER BY number").await? {
        kept.facts.push(Fact::Session(table.parse(number.0, &body)?));
    }
    let table = Reader { address, table: "dialogs" };
    kept.dialogs = table.numbered(connection, "SELECT session, body FROM dialogs WHERE gateway = $1 ORDER BY session").await?;
    let table = Reader { address, table: "registration" };
    kept.registrations = table.registrations(connection).await?;
    Ok(kept)
}

/// Reads the rows of one table.
#[derive(Clone, Copy)]
struct Reader<'a> {
    address: &'a Address,
    table: &'static str,
}

impl Reader<'_> {
    /// The rows of a statement with one parameter, the gateway.
    async fn rows(self, connection: &mut AnyConnection, sql: &'static str) -> Result<Vec<AnyRow>, ReadError> {
        let rows = sqlx::query(sql).bind(self.address.gateway.clone()).fetch_all(connection).await;
        rows.map_err(|source| self.broken(source))
    }

    /// Rows of a name and a body.
    async fn named(self, connection: &mut AnyConnection, sql: &'static str) -> Result<Vec<(String, String)>, ReadError> {
        let rows = self.rows(connection, sql).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, _>>().map_err(|source| self.broken(source))
    }

    /// Rows of a session's number and a body.
    async fn numbered(self, connection: &mut AnyConnection, sql: &'static str) -> Result<Vec<(SessionNumber, String)>, ReadError> {
        let rows = self.rows(connection, sql).await?;
        let pair = |row: &AnyRow| {
            let number: i64 = row.try_get(0)?;
            let number = u32::try_from(number).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            Ok((SessionNumber(number), row.try_get(1)?))
        };
        rows.iter().map(pair).collect::<Result<_, _>>().map_err(|source| self.broken(source))
    }

    async fn registrations(self, connection: &mut AnyConnection) -> Result<Vec<(ApplicationId, String)>, ReadError> {
        let sql = "SELECT application, vpn, body FROM registration WHERE gateway = $1 ORDER BY vpn, application";
        let rows = self.rows(connection, sql).await?;
        let row = |row: &AnyRow| Ok((ApplicationId { name: row.try_get(0)?, vpn: VpnName(row.try_get(1)?) }, row.try_get(2)?));
        rows.iter().map(row).collect::<Result<_, _>>().map_err(|source| self.broken(source))
    }

    fn parse<T: DeserializeOwned>(self, row: impl Display, body: &str) -> Result<T, ReadError> {
        serde_json::from_str(body).map_err(|source| ReadError::Unreadable {
            address: self.address.shown().to_owned(),
            table: self.table,
            row: row.to_string(),
            source,
        })
    }

    fn broken(self, source: sqlx::Error) -> ReadError {
        ReadError::Database { address: self.address.shown().to_owned(), source }
    }
}
