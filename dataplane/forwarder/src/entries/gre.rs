//! The entries of `gre_ingress_v4` and `gre_ingress_v6`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use svpn_contract::wire::{GreKey, VrfId};
use svpn_contract::{
    Entry, GreIngressV4Action, GreIngressV4Entry, GreIngressV4Key, GreIngressV6Action, GreIngressV6Entry, GreIngressV6Key,
};
use svpn_dpdk::Reclaimer;

use super::{ApplyError, Write, admit, full, quiesce};
use crate::tables::chained::ChainedWriter;
use crate::tables::gre_ingress::{Decapsulation, GreIngressV4Writer, GreIngressV6Writer, key_v4, key_v6};
use crate::tables::{TableSizes, Tables};

/// The writers of both tables, which are also the lists of their entries.
#[derive(Debug)]
pub(super) struct GreEntries {
    v4: GreIngressV4Writer,
    v6: GreIngressV6Writer,
    sizes: (u32, u32),
}

impl GreEntries {
    pub(super) fn new(tables: &Tables, sizes: &TableSizes) -> Self {
        Self {
            v4: GreIngressV4Writer::new(Arc::clone(&tables.gre_ingress_v4), sizes.gre_ingress_v4),
            v6: GreIngressV6Writer::new(Arc::clone(&tables.gre_ingress_v6), sizes.gre_ingress_v6),
            sizes: (sizes.gre_ingress_v4, sizes.gre_ingress_v6),
        }
    }

    pub(super) fn write_v4(&mut self, write: Write, entry: &GreIngressV4Entry, reclaimer: &Reclaimer) -> Result<(), ApplyError> {
        let decapsulation = match entry.action {
            GreIngressV4Action::DecapVrf { vrf } => Decapsulation::Vrf(vrf.get()),
            GreIngressV4Action::DecapMpls => Decapsulation::Mpls,
        };
        set(&mut self.v4, self.sizes.0, write, &words_v4(&entry.key), decapsulation, reclaimer)
    }

    pub(super) fn write_v6(&mut self, write: Write, entry: &GreIngressV6Entry, reclaimer: &Reclaimer) -> Result<(), ApplyError> {
        let decapsulation = match entry.action {
            GreIngressV6Action::DecapVrf { vrf } => Decapsulation::Vrf(vrf.get()),
            GreIngressV6Action::DecapMpls => Decapsulation::Mpls,
        };
        set(&mut self.v6, self.sizes.1, write, &words_v6(&entry.key), decapsulation, reclaimer)
    }

    pub(super) fn delete_v4(&mut self, key: &GreIngressV4Key) -> Result<(), ApplyError> {
        if self.v4.remove(&words_v4(key)) { Ok(()) } else { Err(ApplyError::NotFound) }
    }

    pub(super) fn delete_v6(&mut self, key: &GreIngressV6Key) -> Result<(), ApplyError> {
        if self.v6.remove(&words_v6(key)) { Ok(()) } else { Err(ApplyError::NotFound) }
    }

    pub(super) fn get_v4(&self, key: &GreIngressV4Key) -> Option<Entry> {
        self.v4.get(&words_v4(key)).map(|value| entry_v4(*key, value))
    }

    pub(super) fn get_v6(&self, key: &GreIngressV6Key) -> Option<Entry> {
        self.v6.get(&words_v6(key)).map(|value| entry_v6(*key, value))
    }

    pub(super) fn iter_v4(&self) -> impl Iterator<Item = Entry> + '_ {
        self.v4.iter().map(|([addresses, key], value)| {
            let [src, dst] = halves(addresses).map(Ipv4Addr::from);
            entry_v4(GreIngressV4Key { src, dst, key: gre_key(key) }, value)
        })
    }

    pub(super) fn iter_v6(&self) -> impl Iterator<Item = Entry> + '_ {
        self.v6.iter().map(|([source, source_end, destination, destination_end, key], value)| {
            let address = |first: u64, second: u64| Ipv6Addr::from(u128::from(first) << 64 | u128::from(second));
            let (src, dst) = (address(source, source_end), address(destination, destination_end));
            entry_v6(GreIngressV6Key { src, dst, key: gre_key(key) }, value)
        })
    }

    pub(super) fn len_v4(&self) -> usize {
        self.v4.len()
    }

    pub(super) fn len_v6(&self) -> usize {
        self.v6.len()
    }

    /// Makes room free that no worker reads any more.
    pub(super) fn publish(&mut self, reclaimer: &Reclaimer) {
        self.v4.publish(reclaimer);
        self.v6.publish(reclaimer);
    }
}

fn set<const WORDS: usize>(
    writer: &mut ChainedWriter<WORDS>,
    size: u32,
    write: Write,
    key: &[u64; WORDS],
    decapsulation: Decapsulation,
    reclaimer: &Reclaimer,
) -> Result<(), ApplyError> {
    admit(write, writer.get(key).is_some(), writer.len(), size)?;
    let value = decapsulation.bits();
    if write == Write::Modify {
        writer.modify(key, value);
        return Ok(());
    }
    if writer.insert(key, value).is_ok() {
        return Ok(());
    }
    // A batch has taken out so many that there is no line left until workers let go of them.
    writer.publish(reclaimer);
    quiesce(reclaimer);
    writer.publish(reclaimer);
    writer.insert(key, value).map_err(|_| full(size))
}

fn words_v4(key: &GreIngressV4Key) -> [u64; 2] {
    key_v4(u64::from(u32::from(key.src)) << 32 | u64::from(u32::from(key.dst)), key.key.get())
}

fn words_v6(key: &GreIngressV6Key) -> [u64; 5] {
    let [src, dst] = [key.src, key.dst].map(|address| words(u128::from(address)));
    key_v6([src[0], src[1], dst[0], dst[1]], key.key.get())
}

#[allow(clippy::cast_possible_truncation, reason = "the halves of the address")]
fn words(address: u128) -> [u64; 2] {
    [(address >> 64) as u64, address as u64]
}

#[allow(clippy::cast_possible_truncation, reason = "the halves of the word")]
fn halves(addresses: u64) -> [u32; 2] {
    [(addresses >> 32) as u32, addresses as u32]
}

fn gre_key(word: u64) -> GreKey {
    GreKey::try_from(word).unwrap_or_default()
}

fn vrf(number: u16) -> VrfId {
    VrfId::new(number).unwrap_or_default()
}

fn entry_v4(key: GreIngressV4Key, value: u64) -> Entry {
    let action = match Decapsulation::from_bits(value) {
        Decapsulation::Vrf(number) => GreIngressV4Action::DecapVrf { vrf: vrf(number) },
        Decapsulation::Mpls => GreIngressV4Action::DecapMpls,
    };
    GreIngressV4Entry { key, action }.into()
}

fn entry_v6(key: GreIngressV6Key, value: u64) -> Entry {
    let action = match Decapsulation::from_bits(value) {
        Decapsulation::Vrf(number) => GreIngressV6Action::DecapVrf { vrf: vrf(number) },
        Decapsulation::Mpls => GreIngressV6Action::DecapMpls,
    };
    GreIngressV6Entry { key, action }.into()
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU16, NonZeroU64};

    use svpn_contract::Update;

    use super::*;
    use crate::entries::{Clock, Entries, EntriesConfig};

    fn entries() -> Entries {
        let small = TableSizes { flow_v4: 16, session: 16, route_v4: 16, tunnel: 16, ilm: 16, nexthop: 16, ..TableSizes::default() };
        let sizes = TableSizes { gre_ingress_v4: 2, gre_ingress_v6: 2, ..small };
        let clock = Clock { hertz: NonZeroU64::new(1_000_000_000).unwrap(), now: || 0 };
        // Nobody reads.
        Entries::new(&EntriesConfig { sizes, workers: NonZeroU16::MIN, seed: 1, clock }).unwrap().0
    }

    fn v4(key: u32, action: GreIngressV4Action) -> Entry {
        let key = GreIngressV4Key { src: Ipv4Addr::new(192, 0, 2, 1), dst: Ipv4Addr::new(192, 0, 2, 2), key: GreKey::new(key).unwrap() };
        GreIngressV4Entry { key, action }.into()
    }

    fn v6(key: u32, action: GreIngressV6Action) -> Entry {
        let (src, dst) = (Ipv6Addr::from(u128::MAX - 1), Ipv6Addr::from(0x2001_0db8_u128 << 96 | 7));
        GreIngressV6Entry { key: GreIngressV6Key { src, dst, key: GreKey::new(key).unwrap() }, action }.into()
    }

    /// What is written is read back, from both tables.
    #[test]
    fn entries_are_kept_as_they_were_written() {
        let mut entries = entries();
        let vrf = VrfId::MAX;
        let written = [
            (v4(0, GreIngressV4Action::DecapMpls), v4(0, GreIngressV4Action::DecapVrf { vrf })),
            (v4(u32::MAX, GreIngressV4Action::DecapVrf { vrf }), v4(u32::MAX, GreIngressV4Action::DecapMpls)),
            (v6(0, GreIngressV6Action::DecapMpls), v6(0, GreIngressV6Action::DecapVrf { vrf })),
            (v6(u32::MAX, GreIngressV6Action::DecapVrf { vrf }), v6(u32::MAX, GreIngressV6Action::DecapMpls)),
        ];
        for (first, second) in written {
            let key = first.key();
            assert_eq!(entries.apply(&Update::Modify(first.clone())), Err(ApplyError::NotFound));
            assert_eq!(entries.apply(&Update::Insert(first.clone())), Ok(()));
            assert_eq!(entries.apply(&Update::Insert(first.clone())), Err(ApplyError::AlreadyExists));
            assert_eq!(entries.get(&key), Some(first.clone()));
            assert!(entries.iter(key.table_id()).any(|entry| entry == first));
            assert_eq!(entries.apply(&Update::Modify(second.clone())), Ok(()));
            assert_eq!(entries.get(&key), Some(second));
        }
        for full in [v4(7, GreIngressV4Action::DecapMpls), v6(7, GreIngressV6Action::DecapMpls)] {
            assert_eq!(entries.len(full.key().table_id()), 2);
            assert_eq!(entries.apply(&Update::Insert(full)), Err(ApplyError::TableFull { size: 2 }));
        }
        for gone in [v4(0, GreIngressV4Action::DecapMpls), v6(0, GreIngressV6Action::DecapMpls)] {
            let key = gone.key();
            assert_eq!(entries.apply(&Update::Delete(key)), Ok(()));
            assert_eq!(entries.apply(&Update::Delete(key)), Err(ApplyError::NotFound));
            assert_eq!((entries.get(&key), entries.len(key.table_id()), entries.iter(key.table_id()).count()), (None, 1, 1));
        }
    }

    /// A batch may take out and put back more than there is room for, since nothing of it is free before workers let go of it.
    #[test]
    fn a_batch_of_any_length_finds_room() {
        let mut entries = entries();
        let entry = v4(1, GreIngressV4Action::DecapMpls);
        for _ in 0..20_000 {
            entries.apply(&Update::Insert(entry.clone())).unwrap();
            entries.apply(&Update::Delete(entry.key())).unwrap();
        }
        assert_eq!(entries.len(entry.key().table_id()), 0);
    }
}
