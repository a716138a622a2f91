//! What happens to a router in one test, as values and as text.
//!
//! ```text
//! # The controller writes a batch: P4Runtime updates in protobuf's binary format, as hexadecimal digits.
//! write
//!   08011a…  # insert attachment port=1 vlan=0 inner_vlan=0 -> to_core
//! # Frames come in, so many nanoseconds after what was before.
//! frames 250000
//!   1 020000000001…
//! # A link changes.
//! link 2 down
//! ```

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use p4runtime_proto::p4::v1 as proto;
use prost::Message as _;

use super::random::Random;
use super::world::port;
use super::{entries, frames};
use crate::oracle::Link;
use crate::update::{DecodeUpdateError, Update};
use crate::wire::{OutOfRange, PortId};

/// One thing that happens to a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The controller writes a batch.
    Write(Vec<Update>),
    /// Frames come in, those of each port in this order.
    Frames {
        /// How long after the step before.
        after: Duration,
        /// Where each comes in, and what.
        frames: Vec<(PortId, Vec<u8>)>,
    },
    /// A link changes.
    Link(PortId, Link),
}

/// What happens to a router in one test, from empty tables on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case(pub Vec<Step>);

/// What can be left out of a case.
#[derive(Clone)]
enum Item {
    Update(Update),
    Frame(Duration, PortId, Vec<u8>),
    Link(PortId, Link),
}

impl Case {
    /// What a seed makes: a network written at once, then so many frames or a few more, with changes of entries and links between.
    pub fn random(seed: u64, frames: usize) -> Self {
        let mut random = Random::new(seed);
        let network = entries::network(&mut random).into_iter().map(Update::Insert).collect();
        let mut steps = vec![Step::Write(network)];
        let mut count = 0;
        while count < frames {
            let step = match random.within(0..12) {
                0 => Step::Write(entries::changes(&mut random)),
                1 => Step::Link(port(&mut random), random.weighted(&[(2, Link::Up), (1, Link::Down)])),
                _ => burst(&mut random),
            };
            if let Step::Frames { frames, .. } = &step {
                count += frames.len();
            }
            steps.push(step);
        }
        Self(steps)
    }

    /// Leaves out updates, frames and links, first half of them at a time and in the end one by one, then ends of frames, as long as what
    /// is left fails.
    #[must_use]
    pub fn smallest(&self, mut fails: impl FnMut(&Self) -> bool) -> Self {
        let mut left = self.items();
        let mut size = left.len().div_ceil(2);
        while size > 0 {
            // From the end: what comes last hardly ever matters to what was before.
            let mut end = left.len();
            while end > 0 {
                let start = end.saturating_sub(size);
                let without = [&left[..start], &left[end..]].concat();
                if fails(&Self::of(&without)) {
                    left = without;
                }
                end = start;
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        for place in 0..left.len() {
            shorten(&mut left, place, |items| fails(&Self::of(items)));
        }
        Self::of(&left)
    }

    /// Every item with the place of its step.
    fn items(&self) -> Vec<(usize, Item)> {
        let of = |step: &Step| match step {
            Step::Write(updates) => updates.iter().cloned().map(Item::Update).collect::<Vec<_>>(),
            Step::Frames { after, frames } => frames.iter().map(|(port, frame)| Item::Frame(*after, *port, frame.clone())).collect(),
            Step::Link(port, link) => vec![Item::Link(*port, *link)],
        };
        self.0.iter().enumerate().flat_map(|(place, step)| of(step).into_iter().map(move |item| (place, item))).collect()
    }

    fn of(items: &[(usize, Item)]) -> Self {
        Self(items.chunk_by(|one, other| one.0 == other.0).map(step).collect())
    }
}

/// A step of the items that are left of it, of which there is one at least.
fn step(items: &[(usize, Item)]) -> Step {
    match &items[0].1 {
        Item::Link(port, link) => Step::Link(*port, *link),
        Item::Update(_) => {
            let update = |(_, item): &(usize, Item)| if let Item::Update(update) = item { Some(update.clone()) } else { None };
            Step::Write(items.iter().filter_map(update).collect())
        }
        Item::Frame(after, ..) => {
            let frame = |(_, item): &(usize, Item)| match item {
                Item::Frame(_, port, frame) => Some((*port, frame.clone())),
                _ => None,
            };
            Step::Frames { after: *after, frames: items.iter().filter_map(frame).collect() }
        }
    }
}

/// Cuts off as much of the end of a frame as goes.
fn shorten(items: &mut [(usize, Item)], place: usize, mut fails: impl FnMut(&[(usize, Item)]) -> bool) {
    let Item::Frame(_, _, whole) = &items[place].1 else { return };
    let mut cut = whole.len() / 2;
    while cut > 0 {
        let Item::Frame(after, port, frame) = items[place].1.clone() else { return };
        let shorter = frame[..frame.len().saturating_sub(cut)].to_vec();
        items[place].1 = Item::Frame(after, port, shorter);
        if !fails(items) {
            items[place].1 = Item::Frame(after, port, frame);
            cut /= 2;
        }
    }
}

/// Frames at the same time as those before, or a little later.
fn burst(random: &mut Random) -> Step {
    let after = if random.once_in(2) { 0 } else { random.within(0..100_000_000) };
    let count = random.within(1..=64);
    Step::Frames { after: Duration::from_nanos(after), frames: (0..count).map(|_| frames::arrival(random)).collect() }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                Step::Write(updates) => {
                    writeln!(f, "write")?;
                    for update in updates {
                        let bytes = hexadecimal(&update.encode().encode_to_vec());
                        match update {
                            Update::Insert(entry) => writeln!(f, "  {bytes}  # insert {entry}")?,
                            Update::Modify(entry) => writeln!(f, "  {bytes}  # modify {entry}")?,
                            Update::Delete(key) => writeln!(f, "  {bytes}  # delete {key}")?,
                        }
                    }
                }
                Step::Frames { after, frames } => {
                    writeln!(f, "frames {}", after.as_nanos())?;
                    frames.iter().try_for_each(|(port, frame)| writeln!(f, "  {port} {}", hexadecimal(frame)))?;
                }
                Step::Link(port, Link::Up) => writeln!(f, "link {port} up")?,
                Step::Link(port, Link::Down) => writeln!(f, "link {port} down")?,
            }
        }
        Ok(())
    }
}

/// Why text is no case. Lines count from 1.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParseCaseError {
    /// A line is none of the forms there are.
    #[error("line {line}: expected write, frames, link, or what belongs to the line above")]
    Form {
        /// The line.
        line: usize,
    },
    /// A number is none.
    #[error("line {line}: {source}")]
    Number {
        /// The line.
        line: usize,
        /// Why.
        source: ParseIntError,
    },
    /// There is no such port.
    #[error("line {line}: {source}")]
    Port {
        /// The line.
        line: usize,
        /// Why.
        source: OutOfRange,
    },
    /// The bytes are no P4Runtime update.
    #[error("line {line}: {source}")]
    Message {
        /// The line.
        line: usize,
        /// Why.
        source: prost::DecodeError,
    },
    /// The update is none of the contract.
    #[error("line {line}: {source}")]
    Update {
        /// The line.
        line: usize,
        /// Why.
        source: DecodeUpdateError,
    },
}

/// A line without blanks around it and what follows a `#`.
struct Line<'a> {
    number: usize,
    words: Vec<&'a str>,
}

impl Line<'_> {
    fn form(&self) -> ParseCaseError {
        ParseCaseError::Form { line: self.number }
    }

    fn count(&self, word: &str) -> Result<u64, ParseCaseError> {
        word.parse().map_err(|source| ParseCaseError::Number { line: self.number, source })
    }

    fn port(&self, word: &str) -> Result<PortId, ParseCaseError> {
        PortId::try_from(self.count(word)?).map_err(|source| ParseCaseError::Port { line: self.number, source })
    }

    fn bytes(&self, word: &str) -> Result<Vec<u8>, ParseCaseError> {
        if !word.len().is_multiple_of(2) || !word.is_ascii() {
            return Err(self.form());
        }
        let pair = |at: usize| u8::from_str_radix(&word[at..at + 2], 16);
        let bytes = (0..word.len()).step_by(2).map(pair).collect::<Result<_, _>>();
        bytes.map_err(|source| ParseCaseError::Number { line: self.number, source })
    }

    fn update(&self, word: &str) -> Result<Update, ParseCaseError> {
        let message = proto::Update::decode(&*self.bytes(word)?);
        let message = message.map_err(|source| ParseCaseError::Message { line: self.number, source })?;
        Update::decode(&message).map_err(|source| ParseCaseError::Update { line: self.number, source })
    }
}

impl FromStr for Case {
    type Err = ParseCaseError;

    fn from_str(text: &str) -> Result<Self, ParseCaseError> {
        let mut steps = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let words = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            let line = Line { number: index + 1, words };
            match (&*line.words, steps.last_mut()) {
                ([], _) => {}
                (["write"], _) => steps.push(Step::Write(vec![])),
                (["frames", after], _) => steps.push(Step::Frames { after: Duration::from_nanos(line.count(after)?), frames: vec![] }),
                (["link", port, "up"], _) => steps.push(Step::Link(line.port(port)?, Link::Up)),
                (["link", port, "down"], _) => steps.push(Step::Link(line.port(port)?, Link::Down)),
                ([update], Some(Step::Write(updates))) => updates.push(line.update(update)?),
                ([port], Some(Step::Frames { frames, .. })) => frames.push((line.port(port)?, vec![])),
                ([port, frame], Some(Step::Frames { frames, .. })) => frames.push((line.port(port)?, line.bytes(frame)?)),
                _ => return Err(line.form()),
            }
        }
        Ok(Self(steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_says_all_of_a_case() {
        for seed in 0..20 {
            let case = Case::random(seed, 100);
            assert_eq!(case.to_string().parse(), Ok(case), "{seed}");
        }
        let empty = Case(vec![Step::Frames { after: Duration::ZERO, frames: vec![(PortId::MAX, vec![])] }]);
        assert_eq!(empty.to_string().parse(), Ok(empty));
    }

    #[test]
    fn text_that_is_no_case_is_refused() {
        for text in ["frame", "frames", "1 00", "write\n 00 00", "frames 1\n 1 0", "frames 1\n 1 zz", "link 512 up", "write\n 08"] {
            assert!(text.parse::<Case>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_seed_makes_the_same_case() {
        assert_eq!(Case::random(7, 200), Case::random(7, 200));
        assert_ne!(Case::random(7, 200), Case::random(8, 200));
    }

    /// What fails here is two frames with a link's change between, of the frames three bytes.
    #[test]
    fn only_what_matters_is_left() {
        let port = PortId::new(1).unwrap();
        let frames = |numbers: std::ops::Range<u8>| Step::Frames {
            after: Duration::from_nanos(u64::from(numbers.start)),
            frames: numbers.map(|number| (port, vec![number; 30])).collect(),
        };
        let case = Case(vec![frames(0..100), Step::Link(port, Link::Down), Step::Link(port, Link::Up), frames(100..200)]);
        let matters = |case: &Case| {
            let text = case.to_string();
            text.contains(" 030303") && text.contains("down") && text.contains(" 828282")
        };
        let frame = |number: u8| (port, vec![number; 3]);
        let expected = Case(vec![
            Step::Frames { after: Duration::ZERO, frames: vec![frame(3)] },
            Step::Link(port, Link::Down),
            Step::Frames { after: Duration::from_nanos(100), frames: vec![frame(0x82)] },
        ]);
        assert_eq!(case.smallest(matters), expected);
    }
}
