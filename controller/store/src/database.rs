//! Where records are kept: opened, brought to the present schema, and nobody else's.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;

use sqlx::AnyConnection;
use sqlx::migrate::MigrateError;
use sqlx::{Connection as _, Row as _};

/// Why the records cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address names no kind of database that is known.
    #[error("{0:?} names no database: expected \"sqlite:PATH\" or \"postgres://USER@HOST/NAME\"")]
    Address(String),
    /// The folder is not there and cannot be made, or the lock beside the database cannot be.
    #[error("cannot make {path}: {source}")]
    Folder {
        /// The folder or the lock.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another gateway of the same name has it.
    #[error("{address} is in use by another gateway called {gateway}")]
    InUse {
        /// The database.
        address: String,
        /// This gateway's name.
        gateway: String,
    },
    /// The file is damaged. Nothing was changed.
    #[error("{address} is damaged: {found}; restore it from a copy, or move it away to begin without the sessions in it")]
    Damaged {
        /// The database.
        address: String,
        /// What its own check found first.
        found: String,
    },
    /// The schema is not ours, or newer than this program.
    #[error("{address} cannot be brought to this program's schema: {source}")]
    Schema {
        /// The database.
        address: String,
        /// What is in the way.
        source: MigrateError,
    },
    /// The database does not answer as it should.
    #[error("{address}: {source}")]
    Database {
        /// The database, without a password.
        address: String,
        /// What it says.
        source: sqlx::Error,
    },
}

/// The kinds of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

/// Where the records are, and whose.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    url: String,
    /// How it is called in messages: without a password.
    shown: String,
    kind: Kind,
    /// The file, where it is one.
    file: Option<PathBuf>,
    pub(crate) gateway: String,
}

/// A connection that writes, and what shows others that there is one.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(crate) connection: AnyConnection,
    /// For SQLite: the lock is the kernel's, so it ends with the process, however it ends.
    _lock: Option<File>,
}

impl Address {
    pub(crate) fn new(address: &str, gateway: &str) -> Result<Self, OpenError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let gateway = gateway.to_owned();
        if let Some(path) = address.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            let url = format!("sqlite:{path}?mode=rwc");
            return Ok(Self { url, shown: path.to_owned(), kind: Kind::Sqlite, file: Some(PathBuf::from(path)), gateway });
        }
        if address.starts_with("postgres://") || address.starts_with("postgresql://") {
            return Ok(Self { url: address.to_owned(), shown: without_password(address), kind: Kind::Postgres, file: None, gateway });
        }
        Err(OpenError::Address(without_password(address)))
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    fn broken(&self, source: sqlx::Error) -> OpenError {
        OpenError::Database { address: self.shown.clone(), source }
    }

    fn in_use(&self) -> OpenError {
        OpenError::InUse { address: self.shown.clone(), gateway: self.gateway.clone() }
    }

    /// The connection of the one who writes. The schema is brought up to date.
    pub(crate) async fn own(&self) -> Result<Owned, OpenError> {
        let lock = match &self.file {
            Some(file) => Some(self.lock(file)?),
            None => None,
        };
        let mut connection = self.connect().await?;
        if self.kind == Kind::Sqlite {
            self.check(&mut connection).await?;
        }
        sqlx::migrate!("./migrations")
            .run(&mut connection)
            .await
            .map_err(|source| OpenError::Schema { address: self.shown.clone(), source })?;
        if self.kind == Kind::Postgres {
            self.claim(&mut connection).await?;
        }
        Ok(Owned { connection, _lock: lock })
    }

    /// The connection of the one who writes, when the one before broke.
    pub(crate) async fn own_again(&self) -> Result<AnyConnection, OpenError> {
        let mut connection = self.connect().await?;
        if self.kind == Kind::Postgres {
            self.claim(&mut connection).await?;
        }
        Ok(connection)
    }

    /// A connection that sees what is committed.
    pub(crate) async fn connect(&self) -> Result<AnyConnection, OpenError> {
        let mut connection = AnyConnection::connect(&self.url).await.map_err(|source| self.broken(source))?;
        if self.kind == Kind::Sqlite {
            // A commit is on the disk when it returns; whoever reads, as a person with a shell, does not hold it up for long.
            for pragma in ["PRAGMA busy_timeout = 5000", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"] {
                sqlx::query(pragma).fetch_all(&mut connection).await.map_err(|source| self.explain(source))?;
            }
        }
        Ok(connection)
    }

    fn lock(&self, file: &Path) -> Result<File, OpenError> {
        let cannot = |path: &Path| {
            let path = path.to_path_buf();
            move |source| OpenError::Folder { path, source }
        };
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(cannot(folder))?;
        }
        let mut name = file.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(cannot(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(self.in_use()),
            Err(TryLockError::Error(source)) => Err(cannot(&path)(source)),
        }
    }

    /// SQLite's own look at the file: what a bad disk did is found now and not in the middle of a session.
    async fn check(&self, connection: &mut AnyConnection) -> Result<(), OpenError> {
        let found = sqlx::query("PRAGMA quick_check(1)").fetch_one(connection).await.and_then(|row| row.try_get::<String, _>(0));
        match found {
            Ok(found) if found == "ok" => Ok(()),
            Ok(found) => Err(OpenError::Damaged { address: self.shown.clone(), found }),
            Err(source) => Err(self.explain(source)),
        }
    }

    /// `SQLITE_CORRUPT` and `SQLITE_NOTADB` are told as what they are.
    fn explain(&self, source: sqlx::Error) -> OpenError {
        let code = source.as_database_error().and_then(|error| error.code().map(std::borrow::Cow::into_owned));
        match code.as_deref() {
            Some("11" | "26") => OpenError::Damaged { address: self.shown.clone(), found: source.to_string() },
            _ => self.broken(source),
        }
    }

    /// One gateway of a name at a time; PostgreSQL gives the lock back when the connection ends.
    async fn claim(&self, connection: &mut AnyConnection) -> Result<(), OpenError> {
        let claimed =
            sqlx::query("SELECT pg_try_advisory_lock(hashtext('svpn'), hashtext($1))").bind(&self.gateway).fetch_one(connection).await;
        match claimed.and_then(|row| row.try_get::<bool, _>(0)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.in_use()),
            Err(source) => Err(self.broken(source)),
        }
    }
}

/// An address as it may be shown: what stands between the user and the host is left out.
fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return address.to_owned() };
    format!("{scheme}://{}@{host}", user.split(':').next().unwrap_or(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (address, shown) in [
            ("postgres://svpn:s3cret@db.example/svpn", "postgres://svpn@db.example/svpn"),
            ("postgres://svpn@db.example/svpn", "postgres://svpn@db.example/svpn"),
            ("postgres://u:a@b@db.example/svpn", "postgres://u@db.example/svpn"),
        ] {
            assert_eq!(Address::new(address, "gateway").unwrap().shown(), shown);
        }
        let Err(OpenError::Address(shown)) = Address::new("mysql://root:s3cret@db/svpn", "gateway") else { panic!("no such kind") };
        assert_eq!(shown, "mysql://root@db/svpn");
    }
}
