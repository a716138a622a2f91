//! The log of charges: a file that only grows, a record a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::record::ChargeRecord;

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder is not there and cannot be made.
    #[error("cannot make the folder of {path}: {source}")]
    Folder {
        /// The log.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be opened, locked or read.
    #[error("cannot open {path}: {source}")]
    File {
        /// The log.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another gateway writes to it.
    #[error("{path} is in use by another gateway")]
    InUse {
        /// The log.
        path: PathBuf,
    },
}

/// Why a record was not written. The log is as it was before, and the record can be appended again later.
#[derive(Debug, thiserror::Error)]
#[error("cannot append to {path}: {source}")]
pub struct AppendError {
    /// The log.
    pub path: PathBuf,
    /// What the system says: a full disk, most likely.
    pub source: io::Error,
}

/// The log of charges.
#[derive(Debug)]
pub struct ChargeLog {
    file: File,
    path: PathBuf,
    /// Bytes of whole records; the next one starts here.
    length: u64,
}

impl ChargeLog {
    /// Opens the log, or makes it. The beginning of a record whose writer died in the middle is cut off: it was never acknowledged.
    ///
    /// # Errors
    /// [`OpenError`] says which file, and what the system says.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let at = || path.to_path_buf();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|source| OpenError::Folder { path: at(), source })?;
        }
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = opened.map_err(|source| OpenError::File { path: at(), source })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(OpenError::InUse { path: at() }),
            Err(std::fs::TryLockError::Error(source)) => return Err(OpenError::File { path: at(), source }),
        }
        let length = cut_unfinished(&mut file).map_err(|source| OpenError::File { path: at(), source })?;
        Ok(Self { file, path: at(), length })
    }

    /// Appends a record and waits until it is on the disk.
    ///
    /// # Errors
    /// [`AppendError`]; the log is unchanged then.
    pub fn append(&mut self, record: &ChargeRecord) -> Result<(), AppendError> {
        let written = self.try_append(record);
        written.map_err(|source| {
            // What was written of the record must not stand before the next one. If even this fails, the next append overwrites it.
            let _ = self.file.set_len(self.length);
            AppendError { path: self.path.clone(), source }
        })
    }

    fn try_append(&mut self, record: &ChargeRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.length += line.len() as u64;
        Ok(())
    }
}

/// Cuts what stands behind the last end of line; returns the length that is left.
fn cut_unfinished(file: &mut File) -> io::Result<u64> {
    const BLOCK: u64 = 4096;
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(last) = block.iter().rposition(|byte| *byte == b'\n') {
            end = start + last as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        file.set_len(end)?;
        file.sync_data()?;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::record::{CountersRead, Timestamp, Traffic};

    fn record(session: u32) -> ChargeRecord {
        let at = |seconds| Timestamp::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        ChargeRecord {
            session,
            contract: "gold".to_owned(),
            vpn: "vpn-a".to_owned(),
            caller: "storage@vpn-a".to_owned(),
            caller_ce: "a-east".to_owned(),
            callee: "backup@vpn-a".to_owned(),
            callee_ce: "a-west".to_owned(),
            class: 5,
            start: at(0),
            established: Some(at(1)),
            end: at(61),
            cause: "caller".to_owned(),
            from_caller: Some(Traffic::none("pe1".to_owned(), 50_000_000).counted((10, 1000), (1, 100))),
            from_callee: None,
            counters: CountersRead::Final,
        }
    }

    fn read(path: &Path) -> Vec<ChargeRecord> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn records_read_back_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/charges.jsonl");
        for session in 1..=3 {
            ChargeLog::open(&path).unwrap().append(&record(session)).unwrap();
        }
        assert_eq!(read(&path), (1..=3).map(record).collect::<Vec<_>>());
    }

    #[test]
    fn carried_is_offered_less_discarded() {
        let traffic = record(1).from_caller.unwrap();
        assert_eq!((traffic.carried_packets, traffic.carried_bytes), (9, 900));
    }

    #[test]
    fn times_are_rfc_3339() {
        let text = serde_json::to_string(&record(1)).unwrap();
        assert!(text.contains(r#""start":"1970-01-01T00:00:00Z""#), "{text}");
    }

    #[test]
    fn a_second_gateway_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("charges.jsonl");
        let _first = ChargeLog::open(&path).unwrap();
        assert!(matches!(ChargeLog::open(&path), Err(OpenError::InUse { .. })));
    }

    #[test]
    fn a_full_disk_loses_nothing_that_was_written() {
        // /dev/full takes every write and has room for none.
        let mut log = ChargeLog::open(Path::new("/dev/full")).unwrap();
        let error = log.append(&record(1)).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::StorageFull);
    }

    proptest::proptest! {
        /// Wherever a writer dies, the whole records before stay, and the next one is readable.
        #[test]
        fn a_killed_writer_leaves_whole_records(cut in 0_usize..2000) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("charges.jsonl");
            let mut log = ChargeLog::open(&path).unwrap();
            (1..=2).for_each(|session| log.append(&record(session)).unwrap());
            drop(log);
            let bytes = std::fs::read(&path).unwrap();
            let cut = cut.min(bytes.len());
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let whole = bytes[..cut].split(|byte| *byte == b'\n').count() - 1;
            ChargeLog::open(&path).unwrap().append(&record(9)).unwrap();
            let sessions: Vec<_> = read(&path).iter().map(|record| record.session).collect();
            let expected: Vec<_> = (1..).take(whole).chain([9]).collect();
            proptest::prop_assert_eq!(sessions, expected);
        }
    }
}
