//! Memory for tables, without large pages.

use std::ops::Deref;

use thiserror::Error;

/// What kind of memory a table would be in.
#[derive(Debug, Clone, Copy)]
pub enum Backing {
    /// The system's.
    System,
    /// The system's, when touched.
    SystemWhenTouched,
}

/// There is not so much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no memory")]
pub struct OutOfMemory;

/// A fixed number of elements.
#[derive(Debug)]
pub struct LargeSlice<T>(Box<[T]>);

impl<T: Default> LargeSlice<T> {
    /// `count` elements of zero.
    ///
    /// # Errors
    /// None.
    pub fn zeroed(count: usize, _: Backing) -> Result<Self, OutOfMemory> {
        Ok(Self((0..count).map(|_| T::default()).collect()))
    }
}

impl<T> Deref for LargeSlice<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

/// Means nothing here.
pub fn prefetch_read<T>(_: &T) {}
