//! What the changes of a transaction come to: every row once, and the rows of a table together.
//!
//! A statement goes to the database and back on its own, and that takes longer than what it says; a busy gateway's transaction has hundreds
//! of changes.

use std::collections::BTreeMap;

use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe};
use svpn_vpn::durable::{Fact, SessionRecord};

use crate::change::{Change, json, milliseconds};
use crate::record::ChargeRecord;

/// Rows of one statement. Few different numbers, so that a connection has all statements prepared soon.
const ROWS: [usize; 4] = [64, 16, 4, 1];

type Statement = Query<'static, Any, sqlx::any::AnyArguments>;

/// A table. Every one has the column `gateway` first, which is a part of its key.
struct Table {
    name: &'static str,
    /// The rest of its key.
    key: &'static [&'static str],
    /// What else it has.
    more: &'static [&'static str],
    present: Present,
}

/// What becomes of a row that is put where there is one.
enum Present {
    Replaced,
    Kept,
}

const SESSION: Table = Table {
    name: "session",
    key: &["number"],
    more: &["state", "vpn", "caller", "callee", "requested", "body"],
    present: Present::Replaced,
};
const DIALOGS: Table = Table { name: "dialogs", key: &["session"], more: &["body"], present: Present::Replaced };
const FACT: Table = Table { name: "fact", key: &["kind", "name"], more: &["body"], present: Present::Replaced };
const REGISTRATION: Table = Table { name: "registration", key: &["vpn", "application"], more: &["body"], present: Present::Replaced };
const CHARGE: Table = Table {
    name: "charge",
    key: &["session", "requested"],
    more: &["ended", "contract", "vpn", "caller", "callee", "carried_bytes", "body"],
    present: Present::Kept,
};

/// All that changes.
#[derive(Default)]
pub(crate) struct Batch<'a> {
    sessions: BTreeMap<u32, Option<&'a SessionRecord>>,
    dialogs: BTreeMap<u32, Option<&'a str>>,
    facts: BTreeMap<(&'static str, String), Option<&'a Fact>>,
    /// By VPN and application.
    registrations: BTreeMap<(&'a str, &'a str), Option<&'a str>>,
    charges: Vec<&'a ChargeRecord>,
}

impl<'a> FromIterator<&'a Change> for Batch<'a> {
    /// Of what is said of one row, the last holds; but for charges, of which the first does.
    fn from_iter<I: IntoIterator<Item = &'a Change>>(changes: I) -> Self {
        let mut batch = Self::default();
        for change in changes {
            batch.add(change);
        }
        batch
    }
}

impl<'a> Batch<'a> {
    fn add(&mut self, change: &'a Change) {
        match change {
            Change::Fact(Fact::Session(record)) => drop(self.sessions.insert(record.number.0, Some(record))),
            Change::Fact(Fact::SessionGone(number)) => {
                self.sessions.insert(number.0, None);
                self.dialogs.insert(number.0, None);
            }
            Change::Fact(fact) => drop(self.facts.insert(fact.key(), fact.body())),
            Change::Dialogs { session, body } => drop(self.dialogs.insert(session.0, Some(body))),
            Change::Registration { application, body } => {
                self.registrations.insert((&application.vpn.0, &application.name), body.as_deref());
            }
            Change::Charge(record) => self.charges.push(record),
        }
    }

    /// Carries it out within a transaction.
    pub(crate) async fn write(self, transaction: &mut AnyConnection, gateway: &str) -> Result<(), sqlx::Error> {
        let Self { sessions, dialogs, facts, registrations, charges } = self;
        let mut writer = Writer { transaction, gateway };
        let number = |statement: Statement, number: &u32| statement.bind(i64::from(*number));
        let text = |statement: Statement, body: &&str| Ok(statement.bind((*body).to_owned()));
        writer.put_and_drop(&SESSION, sessions, number, |statement, record| put_session(statement, record)).await?;
        writer.put_and_drop(&DIALOGS, dialogs, number, text).await?;
        let name = |statement: Statement, (kind, name): &(&'static str, String)| statement.bind(*kind).bind(name.clone());
        writer.put_and_drop(&FACT, facts, name, |statement, fact| Ok(statement.bind(json(fact)?))).await?;
        let who = |statement: Statement, (vpn, name): &(&str, &str)| statement.bind((*vpn).to_owned()).bind((*name).to_owned());
        writer.put_and_drop(&REGISTRATION, registrations, who, text).await?;
        writer.each(&charges, |rows| CHARGE.put(rows), |statement, record| put_charge(statement, record)).await
    }
}

/// Writes rows for one gateway.
struct Writer<'c, 'g> {
    transaction: &'c mut AnyConnection,
    gateway: &'g str,
}

impl Writer<'_, '_> {
    async fn put_and_drop<K, T>(
        &mut self,
        table: &Table,
        rows: BTreeMap<K, Option<T>>,
        key: impl Fn(Statement, &K) -> Statement,
        body: impl Fn(Statement, &T) -> Result<Statement, sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        let (mut put, mut gone) = (Vec::new(), Vec::new());
        for (name, row) in rows {
            match row {
                Some(row) => put.push((name, row)),
                None => gone.push(name),
            }
        }
        self.each(&put, |rows| table.put(rows), |statement, (name, row)| body(key(statement, name), row)).await?;
        self.each(&gone, |rows| table.drop(rows), |statement, name| Ok(key(statement, name))).await
    }

    /// All rows, by as few statements as there need to be.
    async fn each<R>(
        &mut self,
        mut rows: &[R],
        sql: impl Fn(usize) -> String,
        bind: impl Fn(Statement, &R) -> Result<Statement, sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        for together in ROWS {
            while let Some((some, rest)) = rows.split_at_checked(together) {
                // It is made of this module's own words; everything else is bound.
                let statement = sqlx::query(AssertSqlSafe(sql(together))).bind(self.gateway.to_owned());
                some.iter().try_fold(statement, &bind)?.execute(&mut *self.transaction).await?;
                rows = rest;
            }
        }
        Ok(())
    }
}

impl Table {
    /// Puts rows; the parameters are the gateway, and then row by row the rest.
    fn put(&self, rows: usize) -> String {
        let Self { name, key, more, present } = self;
        let values = list(rows, ", ", |row| {
            let columns = key.len() + more.len();
            format!("($1, {})", list(columns, ", ", |column| format!("${}", 2 + row * columns + column)))
        });
        let columns = [*key, *more].concat().join(", ");
        let conflict = match present {
            Present::Kept => "NOTHING".to_owned(),
            Present::Replaced => format!("UPDATE SET {}", list(more.len(), ", ", |column| format!("{0} = excluded.{0}", more[column]))),
        };
        format!("INSERT INTO {name} (gateway, {columns}) VALUES {values} ON CONFLICT (gateway, {}) DO {conflict}", key.join(", "))
    }

    /// Drops rows; the parameters are the gateway, and then row by row the rest of the key.
    fn drop(&self, rows: usize) -> String {
        let Self { name, key, .. } = self;
        let chosen = list(rows, " OR ", |row| {
            let rest = list(key.len(), " AND ", |column| format!("{} = ${}", key[column], 2 + row * key.len() + column));
            format!("(gateway = $1 AND {rest})")
        });
        format!("DELETE FROM {name} WHERE {chosen}")
    }
}

fn list(length: usize, between: &str, item: impl Fn(usize) -> String) -> String {
    (0..length).map(item).collect::<Vec<_>>().join(between)
}

fn put_session(statement: Statement, record: &SessionRecord) -> Result<Statement, sqlx::Error> {
    let request = &record.request;
    Ok(statement
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_row_by_row_behind_the_gateway() {
        assert_eq!(
            DIALOGS.put(2),
            "INSERT INTO dialogs (gateway, session, body) VALUES ($1, $2, $3), ($1, $4, $5) \
             ON CONFLICT (gateway, session) DO UPDATE SET body = excluded.body"
        );
        assert!(CHARGE.put(1).ends_with("ON CONFLICT (gateway, session, requested) DO NOTHING"));
        assert_eq!(
            FACT.drop(2),
            "DELETE FROM fact WHERE (gateway = $1 AND kind = $2 AND name = $3) OR (gateway = $1 AND kind = $4 AND name = $5)"
        );
    }
}
