//! The smallest case that still fails.

use svpn_contract::Update;
use svpn_contract::wire::PortId;

use crate::conformance::Step;

#[derive(Clone)]
enum Item {
    Update(Update),
    Frame(PortId, Vec<u8>),
}

/// Every update and frame with the place of its step.
fn items(steps: &[Step]) -> Vec<(usize, Item)> {
    let of = |step: &Step| match step {
        Step::Write(updates) => updates.iter().cloned().map(Item::Update).collect::<Vec<_>>(),
        Step::Frames(frames) => frames.iter().map(|(port, frame)| Item::Frame(*port, frame.clone())).collect(),
    };
    steps.iter().enumerate().flat_map(|(place, step)| of(step).into_iter().map(move |item| (place, item))).collect()
}

fn steps(items: &[(usize, Item)]) -> Vec<Step> {
    let step = |items: &[(usize, Item)]| match items[0].1 {
        Item::Update(_) => Step::Write(items.iter().filter_map(|(_, item)| update(item)).collect()),
        Item::Frame(..) => Step::Frames(items.iter().filter_map(|(_, item)| frame(item)).collect()),
    };
    items.chunk_by(|one, other| one.0 == other.0).map(step).collect()
}

fn update(item: &Item) -> Option<Update> {
    if let Item::Update(update) = item { Some(update.clone()) } else { None }
}

fn frame(item: &Item) -> Option<(PortId, Vec<u8>)> {
    if let Item::Frame(port, frame) = item { Some((*port, frame.clone())) } else { None }
}

/// Leaves out updates and frames, first half of them at a time and in the end one by one, as long as what is left fails.
pub fn smallest(failing: &[Step], mut fails: impl FnMut(&[Step]) -> bool) -> Vec<Step> {
    let mut left = items(failing);
    let mut size = left.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        while start < left.len() {
            let end = (start + size).min(left.len());
            let without = [&left[..start], &left[end..]].concat();
            if fails(&steps(&without)) {
                left = without;
            } else {
                start = end;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    steps(&left)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What fails here is three frames together, out of two steps, in order.
    #[test]
    fn only_what_matters_is_left() {
        let port = PortId::new(1).unwrap();
        let frames = |numbers: std::ops::Range<u8>| Step::Frames(numbers.map(|number| (port, vec![number])).collect());
        let numbers =
            |steps: &[Step]| -> Vec<u8> { items(steps).iter().filter_map(|(_, item)| frame(item)).map(|(_, frame)| frame[0]).collect() };
        let matter = |steps: &[Step]| numbers(steps).into_iter().filter(|number| [3, 77, 130].contains(number)).count() == 3;
        let smallest = smallest(&[frames(0..100), frames(100..200)], matter);
        assert_eq!(numbers(&smallest), [3, 77, 130]);
        assert_eq!(smallest.len(), 2);
    }
}
