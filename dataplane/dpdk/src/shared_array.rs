//! Large tables: fixed capacity, one writer, many readers that take no lock.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytemuck::Pod;
use thiserror::Error;

use crate::memory::{Backing, LargeSlice, OutOfMemory};
use crate::prefetch::prefetch_read;
use crate::seqlock;

/// A reader's end of a table of plain values. Clones read the same table.
///
/// ```text
/// slot: | sequence, 8 bytes | T | unused |     a power of two up to 64 bytes, then whole 64-byte lines
/// ```
///
/// So a `T` of 56 bytes makes slots of one cache line, and one of 24 bytes makes two slots per line. A new table holds zeros.
///
/// A read costs two loads of the sequence beside the value's own words. It repeats itself only while the writer is within this
/// very slot: some ten nanoseconds, unless the kernel stops the writer just then.
// Invariant: `words` has `capacity` slots of `STRIDE` words; only the one SharedArrayWriter stores to them.
#[derive(Debug)]
pub struct SharedArray<T> {
    words: Arc<LargeSlice<AtomicU64>>,
    capacity: usize,
    value: PhantomData<fn() -> T>,
}

/// The writer's end of a table.
#[derive(Debug)]
pub struct SharedArrayWriter<T> {
    array: SharedArray<T>,
}

/// The table has no slot of this index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("index {index} is beyond the table's {capacity} slots")]
pub struct NoSuchSlot {
    /// The index asked for.
    pub index: usize,
    /// Slots there are.
    pub capacity: usize,
}

impl<T: Pod> SharedArray<T> {
    const WORD: usize = size_of::<u64>();
    /// Words of a value.
    const WORDS: usize = {
        assert!(size_of::<T>() > 0 && size_of::<T>().is_multiple_of(Self::WORD), "a value is made of whole words");
        size_of::<T>() / Self::WORD
    };
    /// Words from one slot to the next.
    const STRIDE: usize = {
        const LINE: usize = 8;
        let words = Self::WORDS + 1;
        if words <= LINE { words.next_power_of_two() } else { words.next_multiple_of(LINE) }
    };

    /// Bytes of memory per slot.
    pub const SLOT_BYTES: usize = Self::STRIDE * Self::WORD;

    /// Number of slots.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The value in slot `index`, whole: as some one write left it, and no older than one this thread has seen the effect of.
    /// `None` beyond the table.
    #[inline]
    pub fn read(&self, index: usize) -> Option<T> {
        let (sequence, words) = self.slot(index)?;
        let mut value = T::zeroed();
        let bytes = bytemuck::bytes_of_mut(&mut value);
        seqlock::read(sequence, words, |word, content| {
            if let Some(place) = bytes.get_mut(word * Self::WORD..(word + 1) * Self::WORD) {
                place.copy_from_slice(&content.to_ne_bytes());
            }
        });
        Some(value)
    }

    /// Asks the processor to fetch slot `index` into its nearest cache: the first line, which for slots of at most 64 bytes is all.
    #[inline]
    pub fn prefetch(&self, index: usize) {
        if let Some((sequence, _)) = self.slot(index) {
            prefetch_read(sequence);
        }
    }

    #[inline]
    fn slot(&self, index: usize) -> Option<(&AtomicU64, &[AtomicU64])> {
        if index >= self.capacity {
            return None;
        }
        // No overflow: capacity * STRIDE words were allocated.
        let start = index * Self::STRIDE;
        self.words.get(start..=start + Self::WORDS)?.split_first()
    }
}

impl<T> Clone for SharedArray<T> {
    fn clone(&self) -> Self {
        Self { words: Arc::clone(&self.words), capacity: self.capacity, value: PhantomData }
    }
}

impl<T: Pod> SharedArrayWriter<T> {
    /// A table of `capacity` zeros.
    pub fn new(capacity: usize, backing: Backing) -> Result<Self, OutOfMemory> {
        let words =
            capacity.checked_mul(SharedArray::<T>::STRIDE).ok_or(OutOfMemory { count: capacity, size: SharedArray::<T>::SLOT_BYTES })?;
        let words = Arc::new(LargeSlice::zeroed(words, backing)?);
        Ok(Self { array: SharedArray { words, capacity, value: PhantomData } })
    }

    /// A reader's end.
    pub fn reader(&self) -> SharedArray<T> {
        self.array.clone()
    }

    /// Number of slots.
    pub fn capacity(&self) -> usize {
        self.array.capacity
    }

    /// Puts `value` into slot `index`.
    #[inline]
    pub fn write(&mut self, index: usize, value: &T) -> Result<(), NoSuchSlot> {
        let (sequence, words) = self.array.slot(index).ok_or(NoSuchSlot { index, capacity: self.array.capacity })?;
        let values = bytemuck::bytes_of(value).as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes));
        seqlock::write(sequence, words, values);
        Ok(())
    }

    /// The value in slot `index`; `None` beyond the table.
    pub fn read(&self, index: usize) -> Option<T> {
        self.array.read(index)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slots_fill_lines() {
        assert_eq!(SharedArray::<[u64; 1]>::SLOT_BYTES, 16);
        assert_eq!(SharedArray::<[u64; 2]>::SLOT_BYTES, 32);
        assert_eq!(SharedArray::<[u64; 3]>::SLOT_BYTES, 32);
        assert_eq!(SharedArray::<[u8; 56]>::SLOT_BYTES, 64);
        assert_eq!(SharedArray::<[u64; 8]>::SLOT_BYTES, 128);
        assert_eq!(SharedArray::<[u64; 15]>::SLOT_BYTES, 128);
        assert_eq!(SharedArray::<[u64; 16]>::SLOT_BYTES, 192);
    }

    #[test]
    fn no_index_is_out_of_bounds() {
        let mut writer = SharedArrayWriter::<[u8; 56]>::new(3, Backing::System).unwrap();
        let reader = writer.reader();
        for index in [3, 4, usize::MAX / 8, usize::MAX] {
            assert_eq!(writer.write(index, &[1; 56]), Err(NoSuchSlot { index, capacity: 3 }));
            assert_eq!(reader.read(index), None);
            reader.prefetch(index);
        }
        assert_eq!(reader.read(2), Some([0; 56]));
        let empty = SharedArrayWriter::<u64>::new(0, Backing::System).unwrap();
        assert_eq!(empty.read(0), None);
        assert!(SharedArrayWriter::<u64>::new(usize::MAX, Backing::System).is_err());
    }

    proptest! {
        #[test]
        fn a_table_is_an_array(writes in prop::collection::vec((0..20_usize, any::<[u64; 4]>()), 0..100)) {
            let mut writer = SharedArrayWriter::<[u64; 4]>::new(16, Backing::System).unwrap();
            let reader = writer.reader();
            let mut model = [[0; 4]; 16];
            for (index, value) in writes {
                prop_assert_eq!(writer.write(index, &value).is_ok(), index < 16);
                if let Some(slot) = model.get_mut(index) {
                    *slot = value;
                }
                for (index, slot) in model.iter().enumerate() {
                    prop_assert_eq!(reader.read(index), Some(*slot));
                }
            }
        }
    }

    /// Two readers against a writer that never rests: every value read is one that was written, and no later one is older.
    #[test]
    fn readers_never_see_half_a_value() {
        let mut writer = SharedArrayWriter::<[u64; 7]>::new(4, Backing::System).unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (reader, done) = (writer.reader(), Arc::clone(&done));
                thread::spawn(move || {
                    let mut last = [0; 4];
                    let mut seen = 0_u64;
                    while !done.load(Ordering::Relaxed) {
                        for (index, last) in last.iter_mut().enumerate() {
                            let value = reader.read(index).unwrap();
                            assert!(value.iter().all(|word| *word == value[0]), "{value:?}");
                            assert!(value[0] >= *last);
                            seen += u64::from(value[0] != *last);
                            *last = value[0];
                        }
                    }
                    seen
                })
            })
            .collect();
        for round in 1..=300_000_u64 {
            for index in 0..4 {
                writer.write(index, &[round; 7]).unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(writer.read(3), Some([300_000; 7]));
    }
}
