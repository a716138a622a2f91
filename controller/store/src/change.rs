//! What the journal takes: how things are from now on, so that writing a change twice is writing it once.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sqlx::Any;
use sqlx::AnyConnection;
use sqlx::query::Query;
use svpn_vpn::durable::{Fact, SessionRecord};
use svpn_vpn::request::{ApplicationId, SessionNumber};

use crate::record::ChargeRecord;

/// One change of what is kept.
#[derive(Debug, Clone)]
pub enum Change {
    /// The domain is thus.
    Fact(Fact),
    /// A session's dialogs are thus, as signalling writes them.
    Dialogs {
        /// The session.
        session: SessionNumber,
        /// What signalling needs to go on with it.
        body: String,
    },
    /// Where an application is reached, as signalling writes it; `None` = nowhere any more.
    Registration {
        /// The application.
        application: ApplicationId,
        /// What signalling needs to find it.
        body: Option<String>,
    },
    /// A session is billed. A second record of one session is the first: it is left out.
    Charge(Box<ChargeRecord>),
}

impl From<Fact> for Change {
    fn from(fact: Fact) -> Self {
        Self::Fact(fact)
    }
}

type Statement = Query<'static, Any, sqlx::any::AnyArguments>;

const PUT_SESSION: &str = "INSERT INTO session (gateway, number, state, vpn, caller, callee, requested, body) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (gateway, number) DO UPDATE SET \
     state = excluded.state, vpn = excluded.vpn, caller = excluded.caller, callee = excluded.callee, \
     requested = excluded.requested, body = excluded.body";
const DROP_SESSION: &str = "DELETE FROM session WHERE gateway = $1 AND number = $2";
const DROP_DIALOGS: &str = "DELETE FROM dialogs WHERE gateway = $1 AND session = $2";
const PUT_DIALOGS: &str = "INSERT INTO dialogs (gateway, session, body) VALUES ($1, $2, $3) \
     ON CONFLICT (gateway, session) DO UPDATE SET body = excluded.body";
const PUT_FACT: &str = "INSERT INTO fact (gateway, kind, name, body) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (gateway, kind, name) DO UPDATE SET body = excluded.body";
const DROP_FACT: &str = "DELETE FROM fact WHERE gateway = $1 AND kind = $2 AND name = $3";
const PUT_REGISTRATION: &str = "INSERT INTO registration (gateway, vpn, application, body) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (gateway, vpn, application) DO UPDATE SET body = excluded.body";
const DROP_REGISTRATION: &str = "DELETE FROM registration WHERE gateway = $1 AND vpn = $2 AND application = $3";
const PUT_CHARGE: &str = "INSERT INTO charge (gateway, session, requested, ended, contract, vpn, caller, callee, carried_bytes, body) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (gateway, session, requested) DO NOTHING";

impl Change {
    /// Carries it out within a transaction.
    pub(crate) async fn write(&self, transaction: &mut AnyConnection, gateway: &str) -> Result<(), sqlx::Error> {
        for statement in self.statements(gateway)? {
            statement.execute(&mut *transaction).await?;
        }
        Ok(())
    }

    fn statements(&self, gateway: &str) -> Result<Vec<Statement>, sqlx::Error> {
        let of = |sql: &'static str| sqlx::query(sql).bind(gateway.to_owned());
        Ok(match self {
            Self::Fact(Fact::Session(record)) => vec![put_session(of(PUT_SESSION), record)?],
            Self::Fact(Fact::SessionGone(number)) => {
                [DROP_SESSION, DROP_DIALOGS].map(|sql| of(sql).bind(i64::from(number.0))).into_iter().collect()
            }
            Self::Fact(fact) => {
                let (kind, name) = fact.key();
                match fact.body() {
                    Some(body) => vec![of(PUT_FACT).bind(kind).bind(name).bind(json(&body)?)],
                    None => vec![of(DROP_FACT).bind(kind).bind(name)],
                }
            }
            Self::Dialogs { session, body } => vec![of(PUT_DIALOGS).bind(i64::from(session.0)).bind(body.clone())],
            Self::Registration { application, body } => {
                let of = |sql| of(sql).bind(application.vpn.0.clone()).bind(application.name.clone());
                vec![match body {
                    Some(body) => of(PUT_REGISTRATION).bind(body.clone()),
                    None => of(DROP_REGISTRATION),
                }]
            }
            Self::Charge(record) => vec![put_charge(of(PUT_CHARGE), record)?],
        })
    }
}

fn put_session(statement: Statement, record: &SessionRecord) -> Result<Statement, sqlx::Error> {
    let request = &record.request;
    Ok(statement
        .bind(i64::from(record.number.0))
        .bind(format!("{:?}", record.state).to_lowercase())
        .bind(request.caller.vpn.0.clone())
        .bind(request.caller.to_string())
        .bind(request.callee.to_string())
        .bind(milliseconds(record.requested))
        .bind(json(record)?))
}

fn put_charge(statement: Statement, record: &ChargeRecord) -> Result<Statement, sqlx::Error> {
    let carried: u64 = [&record.from_caller, &record.from_callee].into_iter().flatten().map(|traffic| traffic.carried_bytes).sum();
    Ok(statement
        .bind(i64::from(record.session))
        .bind(record.start.milliseconds())
        .bind(record.end.milliseconds())
        .bind(record.contract.clone())
        .bind(record.vpn.clone())
        .bind(record.caller.clone())
        .bind(record.callee.clone())
        .bind(i64::try_from(carried).unwrap_or(i64::MAX))
        .bind(json(record)?))
}

/// Milliseconds since 1970; what was before is 1970.
pub(crate) fn milliseconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn json(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
