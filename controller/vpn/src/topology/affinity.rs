//! Kinds of links, by name: which a path may use, and which it may not (RFC 3209 section 4.7.4).

/// Kinds that a link is of: some of the names the configuration has, 64 at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Affinities(u64);

/// A name that no link has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no link has the affinity {name:?}")]
pub struct UnknownAffinity {
    /// The name.
    pub name: String,
}

/// Which links a path may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Constraint {
    /// It must be of all of these kinds.
    pub include: Affinities,
    /// It must be of none of these.
    pub exclude: Affinities,
}

impl Constraint {
    /// Whether a link of these kinds may be used.
    pub const fn admits(self, link: Affinities) -> bool {
        link.0 & self.include.0 == self.include.0 && link.0 & self.exclude.0 == 0
    }
}

/// Names, each with its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// Affinities there may be.
    pub(crate) const MOST_AFFINITIES: u32 = u64::BITS;

    /// The place of a name, a new one if it is new.
    pub(crate) fn place(&mut self, name: &str) -> u32 {
        let place = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
            self.0.push(name.to_owned());
            self.0.len() - 1
        });
        // There are far fewer names than that.
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    pub(super) fn name(&self, place: u32) -> &str {
        &self.0[place as usize]
    }

    /// The affinities of these names; all of them are known.
    pub(super) fn affinities<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Affinities, UnknownAffinity> {
        names.into_iter().try_fold(Affinities::default(), |set, name| {
            let place = self.0.iter().position(|known| known == name).ok_or_else(|| UnknownAffinity { name: name.to_owned() })?;
            Ok(Affinities(set.0 | 1 << place))
        })
    }
}

impl Affinities {
    /// These and the one at a place below [`Names::MOST_AFFINITIES`].
    pub(crate) const fn with(self, place: u32) -> Self {
        Self(self.0 | 1 << place)
    }
}
