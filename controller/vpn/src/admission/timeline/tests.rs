use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The same, step by step.
#[derive(Debug, Default)]
struct Model {
    base: i64,
    steps: BTreeMap<Tick, i64>,
}

impl Model {
    fn loads(&self, from: Tick, to: Tick) -> Vec<(Tick, i64)> {
        let mut load = self.base + self.steps.range(..=from).map(|(_, change)| change).sum::<i64>();
        let mut loads = vec![(from, load)];
        for (&at, change) in self.steps.range(from + 1..to) {
            load += change;
            loads.push((at, load));
        }
        loads
    }
}

fn agree(timeline: &Timeline, model: &Model, from: Tick, to: Tick, threshold: i64) -> Result<(), TestCaseError> {
    let loads = model.loads(from, to);
    prop_assert_eq!(timeline.peak(from, to), loads.iter().map(|&(_, load)| load).max().unwrap());
    let above = || loads.iter().filter(|&&(_, load)| load > threshold).map(|&(at, _)| at);
    prop_assert_eq!(timeline.first_above(threshold, from, to), above().next());
    prop_assert_eq!(timeline.last_above(threshold, from, to), above().next_back());
    let within = model.loads(from, NEVER).into_iter().find(|&(_, load)| load <= threshold).map(|(at, _)| at);
    prop_assert_eq!(timeline.first_within(threshold, from), within);
    let onward = model.steps.range(from + 1..).map(|(&at, &change)| (at, change)).collect::<Vec<_>>();
    prop_assert_eq!(timeline.onward(from), (loads[0].1, onward));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Many steps first, so that there are several levels; then they go again, in another order.
    #[test]
    fn it_agrees_with_a_walk_over_all_steps(
        range in prop::sample::select(vec![20_u64, 3_000, 1 << 62]),
        steps in prop::collection::vec((any::<u64>(), -50..50_i64), 0..2_200),
        gone in any::<u64>(),
        forget in prop::option::of(any::<u64>()),
        questions in prop::collection::vec((any::<u64>(), any::<u64>(), -300..300_i64), 1..8),
    ) {
        let (mut timeline, mut model) = (Timeline::default(), Model::default());
        for &(at, change) in steps.iter().filter(|(_, change)| *change != 0) {
            timeline.step(at % range, change);
            *model.steps.entry(at % range).or_insert(0) += change;
        }
        model.steps.retain(|_, change| *change != 0);
        timeline.root.check(true);
        // From all to none of the steps, so that nodes become small and are merged.
        for (index, &(at, change)) in steps.iter().enumerate().filter(|(_, (_, change))| *change != 0) {
            if (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) < gone {
                timeline.step(at % range, -change);
                *model.steps.entry(at % range).or_insert(0) -= change;
            }
        }
        model.steps.retain(|_, change| *change != 0);
        timeline.root.check(true);
        let mut horizon = 0;
        if let Some(until) = forget {
            horizon = until % range;
            timeline.forget(horizon);
            let future = model.steps.split_off(&(horizon + 1));
            model.base += std::mem::replace(&mut model.steps, future).values().sum::<i64>();
            timeline.root.check(true);
        }
        for (one, other, threshold) in questions {
            let (from, to) = ((horizon + one % range).min(horizon + other % range), (horizon + one % range).max(horizon + other % range) + 1);
            agree(&timeline, &model, from, to, threshold)?;
            agree(&timeline, &model, from, NEVER, threshold)?;
        }
    }
}

#[test]
fn what_is_taken_back_leaves_nothing() {
    let mut timeline = Timeline::default();
    let ticks: Vec<_> = (0..10_000_u64).map(|index| index * 7_919 % 10_007).collect();
    for &at in &ticks {
        timeline.step(at, 1);
    }
    assert!(timeline.root.check(true) >= 3, "there are inner nodes of inner nodes");
    assert_eq!(timeline.peak(0, NEVER), 10_000);
    for &at in ticks.iter().rev() {
        timeline.step(at, -1);
    }
    assert_eq!(timeline.root.check(true), 1);
    assert_eq!((timeline.peak(0, NEVER), timeline.onward(0)), (0, (0, Vec::new())));
}

#[test]
fn the_extremes_can_be_told() {
    let mut timeline = Timeline::default();
    let half = (1_i64 << 62) - 1;
    timeline.raise(half);
    timeline.step(NEVER - 1, half);
    assert_eq!((timeline.peak(0, NEVER - 1), timeline.peak(0, NEVER)), (half, 2 * half));
    assert_eq!(timeline.last_above(half, 0, NEVER), Some(NEVER - 1));
    timeline.forget(NEVER - 1);
    assert_eq!(timeline.onward(NEVER - 1), (2 * half, Vec::new()));
}
