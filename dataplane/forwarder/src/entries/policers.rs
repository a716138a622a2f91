//! The entries of `vrf_policer` and `punt_policer`.

use std::collections::BTreeMap;
use std::sync::Arc;

use svpn_contract::{Entry, MeterConfig};

use super::{ApplyError, Write, admit};
use crate::tables::meter::{Buckets, Timebase};
use crate::tables::policer::PolicerTable;

/// The entries of one of the tables, by number: that of a VRF, or of a reason.
#[derive(Debug)]
pub(super) struct PolicerEntries {
    table: Arc<PolicerTable>,
    meters: BTreeMap<u16, Option<MeterConfig>>,
    size: u32,
    /// Those whose meter got new numbers while workers were using it: filled once more when they no longer have the old ones.
    reconfigured: Vec<(u16, Buckets)>,
}

impl PolicerEntries {
    pub(super) fn new(table: Arc<PolicerTable>, size: u32) -> Self {
        Self { table, meters: BTreeMap::new(), size, reconfigured: Vec::new() }
    }

    /// Writes an entry. A meter that does not change keeps its tokens, a new one is full. `forgotten` returns when no worker polices by an
    /// earlier entry with this number.
    pub(super) fn write(
        &mut self,
        write: Write,
        number: u16,
        meter: Option<MeterConfig>,
        (timebase, now): (Timebase, u64),
        forgotten: impl FnOnce(),
    ) -> Result<(), ApplyError> {
        let old = self.meters.get(&number).copied();
        admit(write, old.is_some(), self.meters.len(), self.size)?;
        if old.is_none() {
            forgotten();
        }
        let buckets = meter.map(|meter| Buckets::new(meter, timebase));
        if let Some(buckets) = buckets
            && old != Some(meter)
        {
            self.table.configure(number, &buckets, now);
            if old.is_some() {
                self.reconfigured.push((number, buckets));
            }
        }
        self.table.set(number, buckets.as_ref());
        self.meters.insert(number, meter);
        Ok(())
    }

    pub(super) fn delete(&mut self, number: u16) -> Result<(), ApplyError> {
        self.meters.remove(&number).ok_or(ApplyError::NotFound)?;
        self.table.set(number, None);
        self.reconfigured.retain(|(reconfigured, _)| *reconfigured != number);
        Ok(())
    }

    /// The entry with a number, made of its number and meter.
    pub(super) fn get(&self, number: u16, entry: impl Fn(u16, Option<MeterConfig>) -> Entry) -> Option<Entry> {
        self.meters.get(&number).map(|meter| entry(number, *meter))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, Option<MeterConfig>)> + '_ {
        self.meters.iter().map(|(number, meter)| (*number, *meter))
    }

    pub(super) fn len(&self) -> usize {
        self.meters.len()
    }

    /// Whether workers may still have old numbers of a meter.
    pub(super) fn awaits_workers(&self) -> bool {
        !self.reconfigured.is_empty()
    }

    /// Fills the meters that got new numbers, after workers let go of the old ones.
    pub(super) fn refill(&mut self, now: u64) {
        for (number, buckets) in self.reconfigured.drain(..) {
            self.table.configure(number, &buckets, now);
        }
    }

    /// Keeps buckets that are hardly ever used right over months.
    pub(super) fn refresh(&self, now: u64) {
        for number in self.meters.keys() {
            self.table.refresh(*number, now);
        }
    }
}
