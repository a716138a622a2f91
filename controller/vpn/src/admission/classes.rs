//! Sets of service classes.

use svpn_contract::wire::Class;

/// Some of the eight service classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ClassSet(u8);

impl ClassSet {
    /// Every class.
    pub const ALL: Self = Self(u8::MAX);

    /// Whether a class is among them.
    pub fn contains(self, class: Class) -> bool {
        self.meets(Self::from(class))
    }

    /// Whether they have a class in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The classes of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The classes they have in common.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them, 0 first.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        (0..8_u8).filter_map(|number| Class::new(number).ok()).filter(move |class| self.contains(*class))
    }
}

impl From<Class> for ClassSet {
    fn from(class: Class) -> Self {
        Self(1 << class.get())
    }
}

impl FromIterator<Class> for ClassSet {
    fn from_iter<T: IntoIterator<Item = Class>>(classes: T) -> Self {
        classes.into_iter().fold(Self::default(), |set, class| set.with(class.into()))
    }
}

impl std::fmt::Display for ClassSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, class) in self.iter().enumerate() {
            write!(f, "{}{class}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
