//! The steps of a load, in a B+ tree that knows sums and extremes of partial sums.

use super::Tick;

/// Steps in a leaf, at most.
const LEAF: usize = 64;
/// Children of an inner node, at most.
const FAN: usize = 32;

/// What a load does, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    at: Tick,
    /// Never 0.
    change: i64,
}

/// Steps in order, or nodes with steps in order.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Leaf(Vec<Step>),
    /// At least one child.
    Inner(Vec<Child>),
}

/// A node with at least one step below another.
#[derive(Debug, Clone)]
pub(super) struct Child {
    /// No step of it is before, and none of the child before is from here on.
    first: Tick,
    extent: Extent,
    node: Node,
}

/// What some steps make together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    sum: i64,
    /// The highest sum of their first ones, at least one of them.
    highest: i64,
    /// The lowest.
    lowest: i64,
}

impl Extent {
    fn of(changes: impl Iterator<Item = Self>) -> Self {
        let nothing = Self { sum: 0, highest: i64::MIN, lowest: i64::MAX };
        changes.fold(nothing, |before, next| Self {
            sum: before.sum + next.sum,
            highest: before.highest.max(before.sum + next.highest),
            lowest: before.lowest.min(before.sum + next.lowest),
        })
    }
}

impl From<&Step> for Extent {
    fn from(step: &Step) -> Self {
        Self { sum: step.change, highest: step.change, lowest: step.change }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Vec::new())
    }
}

impl Child {
    fn new(node: Node) -> Self {
        let first = match &node {
            Node::Leaf(steps) => steps.first().map_or(0, |step| step.at),
            Node::Inner(children) => children.first().map_or(0, |child| child.first),
        };
        Self { first, extent: node.extent(), node }
    }
}

/// Changes.
impl Node {
    fn extent(&self) -> Extent {
        match self {
            Self::Leaf(steps) => Extent::of(steps.iter().map(Extent::from)),
            Self::Inner(children) => Extent::of(children.iter().map(|child| child.extent)),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Leaf(steps) => steps.len(),
            Self::Inner(children) => children.len(),
        }
    }

    /// The root changes: at a tick, by so much.
    pub(super) fn step(&mut self, at: Tick, change: i64) {
        if let Some(right) = self.change(at, change) {
            let left = std::mem::take(self);
            *self = Self::Inner(vec![Child::new(left), Child::new(right)]);
        }
        self.flatten();
    }

    /// A root with one child is that child; one without steps is a leaf.
    fn flatten(&mut self) {
        while let Self::Inner(children) = self
            && children.len() <= 1
        {
            *self = children.pop().map(|child| child.node).unwrap_or_default();
        }
    }

    /// Returns what is too much for the node: a second one, after it.
    fn change(&mut self, at: Tick, change: i64) -> Option<Self> {
        match self {
            Self::Leaf(steps) => change_leaf(steps, at, change),
            Self::Inner(children) => change_inner(children, at, change),
        }
    }

    /// Takes all steps up to a tick away, and returns their sum.
    pub(super) fn forget(&mut self, until: Tick) -> i64 {
        let sum = self.take_until(until);
        self.flatten();
        sum
    }

    fn take_until(&mut self, until: Tick) -> i64 {
        match self {
            Self::Leaf(steps) => {
                let past = steps.partition_point(|step| step.at <= until);
                steps.drain(..past).map(|step| step.change).sum()
            }
            Self::Inner(children) => {
                // What starts after the next begins is over when the next has begun.
                let past = children.partition_point(|child| child.first <= until).saturating_sub(1);
                let mut sum = children.drain(..past).map(|child| child.extent.sum).sum();
                if let Some(first) = children.first_mut() {
                    sum += first.node.take_until(until);
                    first.extent = first.node.extent();
                    if first.node.len() == 0 {
                        children.remove(0);
                    }
                }
                sum
            }
        }
    }
}

fn change_leaf(steps: &mut Vec<Step>, at: Tick, change: i64) -> Option<Node> {
    match steps.binary_search_by_key(&at, |step| step.at) {
        Ok(place) => {
            steps[place].change += change;
            if steps[place].change == 0 {
                steps.remove(place);
            }
        }
        Err(place) => steps.insert(place, Step { at, change }),
    }
    (steps.len() > LEAF).then(|| Node::Leaf(steps.split_off(LEAF / 2)))
}

fn change_inner(children: &mut Vec<Child>, at: Tick, change: i64) -> Option<Node> {
    let place = children.partition_point(|child| child.first <= at).saturating_sub(1);
    let child = &mut children[place];
    child.first = child.first.min(at);
    let right = child.node.change(at, change);
    child.extent = child.node.extent();
    if let Some(right) = right {
        children.insert(place + 1, Child::new(right));
    } else if child.node.len() == 0 {
        children.remove(place);
    } else {
        merge(children, place);
    }
    (children.len() > FAN).then(|| Node::Inner(children.split_off(FAN / 2)))
}

/// Joins a child that has become small with the one after it or the one before it, where both together leave room.
fn merge(children: &mut Vec<Child>, place: usize) {
    let most = if matches!(children[place].node, Node::Leaf(_)) { LEAF } else { FAN };
    if children[place].node.len() > most / 4 {
        return;
    }
    for left in [Some(place), place.checked_sub(1)].into_iter().flatten().filter(|left| left + 1 < children.len()) {
        if children[left].node.len() + children[left + 1].node.len() <= most / 2 {
            let right = children.remove(left + 1);
            let left = &mut children[left];
            match (&mut left.node, right.node) {
                (Node::Leaf(steps), Node::Leaf(more)) => steps.extend(more),
                (Node::Inner(children), Node::Inner(more)) => children.extend(more),
                // All leaves are equally deep.
                _ => {}
            }
            left.extent = left.node.extent();
            return;
        }
    }
}

/// Questions. Where a load is `before`, it is before the first step of the node.
impl Node {
    /// The sum of the steps up to and with a tick.
    pub(super) fn sum_until(&self, tick: Tick) -> i64 {
        match self {
            Self::Leaf(steps) => steps.iter().take_while(|step| step.at <= tick).map(|step| step.change).sum(),
            Self::Inner(children) => {
                let place = children.partition_point(|child| child.first <= tick);
                let Some(last) = place.checked_sub(1) else { return 0 };
                children[..last].iter().map(|child| child.extent.sum).sum::<i64>() + children[last].node.sum_until(tick)
            }
        }
    }

    /// The highest load after one tick and before another; `None` where there is no step.
    pub(super) fn peak(&self, before: i64, after: Tick, to: Tick) -> Option<i64> {
        let mut load = before;
        let mut highest = None;
        match self {
            Self::Leaf(steps) => {
                for step in steps.iter().take_while(|step| step.at < to) {
                    load += step.change;
                    if step.at > after {
                        highest = highest.max(Some(load));
                    }
                }
            }
            Self::Inner(children) => {
                for (place, child) in children.iter().enumerate().take_while(|(_, child)| child.first < to) {
                    let next = children.get(place + 1).map(|next| next.first);
                    let within = if next.is_some_and(|next| next <= after) {
                        None
                    } else if child.first > after && next.is_some_and(|next| next <= to) {
                        Some(load + child.extent.highest)
                    } else if highest.is_some_and(|highest| load + child.extent.highest <= highest) {
                        // Whatever of it counts is no news.
                        None
                    } else {
                        child.node.peak(load, after, to)
                    };
                    highest = highest.max(within);
                    load += child.extent.sum;
                }
            }
        }
        highest
    }

    /// The first step after one tick and before another that brings the load above a threshold.
    pub(super) fn first_above(&self, before: i64, threshold: i64, after: Tick, to: Tick) -> Option<Tick> {
        let may = |load: i64, extent: Extent| load + extent.highest > threshold;
        self.first(before, (after, to), &may, &|load| load > threshold)
    }

    /// The first step after one tick and before another that brings the load down to a threshold.
    pub(super) fn first_within(&self, before: i64, threshold: i64, after: Tick, to: Tick) -> Option<Tick> {
        let may = |load: i64, extent: Extent| load + extent.lowest <= threshold;
        self.first(before, (after, to), &may, &|load| load <= threshold)
    }

    fn first(
        &self,
        before: i64,
        (after, to): (Tick, Tick),
        may: &impl Fn(i64, Extent) -> bool,
        wanted: &impl Fn(i64) -> bool,
    ) -> Option<Tick> {
        let mut load = before;
        match self {
            Self::Leaf(steps) => steps.iter().take_while(|step| step.at < to).find_map(|step| {
                load += step.change;
                (step.at > after && wanted(load)).then_some(step.at)
            }),
            Self::Inner(children) => children.iter().enumerate().take_while(|(_, child)| child.first < to).find_map(|(place, child)| {
                let over = children.get(place + 1).is_some_and(|next| next.first <= after);
                let found = if over || !may(load, child.extent) { None } else { child.node.first(load, (after, to), may, wanted) };
                load += child.extent.sum;
                found
            }),
        }
    }

    /// The last step after one tick and before another from which on the load is above a threshold.
    pub(super) fn last_above(&self, before: i64, threshold: i64, after: Tick, to: Tick) -> Option<Tick> {
        match self {
            Self::Leaf(steps) => {
                let mut load = before;
                let mut last = None;
                for step in steps.iter().take_while(|step| step.at < to) {
                    load += step.change;
                    if step.at > after && load > threshold {
                        last = Some(step.at);
                    }
                }
                last
            }
            Self::Inner(children) => {
                let inside = &children[..children.partition_point(|child| child.first < to)];
                let mut load = before + inside.iter().map(|child| child.extent.sum).sum::<i64>();
                let mut next: Option<Tick> = None;
                for child in inside.iter().rev() {
                    load -= child.extent.sum;
                    if next.is_some_and(|next| next <= after) {
                        return None;
                    }
                    if load + child.extent.highest > threshold
                        && let Some(last) = child.node.last_above(load, threshold, after, to)
                    {
                        return Some(last);
                    }
                    next = Some(child.first);
                }
                None
            }
        }
    }

    /// Every step after a tick.
    pub(super) fn collect(&self, after: Tick, steps: &mut Vec<(Tick, i64)>) {
        match self {
            Self::Leaf(own) => steps.extend(own.iter().filter(|step| step.at > after).map(|step| (step.at, step.change))),
            Self::Inner(children) => {
                let first = children.partition_point(|child| child.first <= after).saturating_sub(1);
                children[first..].iter().for_each(|child| child.node.collect(after, steps));
            }
        }
    }
}

#[cfg(test)]
impl Node {
    /// Checks what the tree promises itself, and says how deep it is.
    pub(super) fn check(&self, is_root: bool) -> usize {
        assert!(is_root || self.len() > 0, "no node is empty");
        match self {
            Self::Leaf(steps) => {
                assert!(steps.len() <= LEAF && steps.is_sorted_by(|one, next| one.at < next.at), "{steps:?}");
                assert!(steps.iter().all(|step| step.change != 0), "a step changes something: {steps:?}");
                1
            }
            Self::Inner(children) => {
                assert!(children.len() <= FAN && (!is_root || children.len() > 1));
                let depths: Vec<_> = children.iter().map(|child| child.node.check(false)).collect();
                assert!(depths.iter().all(|depth| *depth == depths[0]), "leaves are equally deep");
                for (place, child) in children.iter().enumerate() {
                    assert_eq!(child.extent, child.node.extent());
                    let mut steps = Vec::new();
                    child.node.collect(0, &mut steps);
                    let next = children.get(place + 1).map_or(Tick::MAX, |next| next.first);
                    assert!(steps.iter().all(|&(at, _)| child.first <= at && at < next));
                }
                depths[0] + 1
            }
        }
    }
}
