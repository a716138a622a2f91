//! How many updates were asked for, and what became of them.

use std::sync::atomic::{AtomicU64, Ordering};

use tonic::Code;

/// The names of gRPC's codes, by their numbers.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Updates by result.
#[derive(Debug, Default)]
pub struct UpdateCounts([AtomicU64; NAMES.len()]);

impl UpdateCounts {
    /// Counts updates with a result.
    pub fn add(&self, result: Code, updates: u64) {
        if let Some(count) = self.0.get(result as usize) {
            count.fetch_add(updates, Ordering::Relaxed);
        }
    }

    /// The results there were, and `OK` in any case.
    pub fn by_result(&self) -> Vec<(&'static str, u64)> {
        let counts = NAMES.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)));
        counts.filter(|(name, count)| *count > 0 || *name == "OK").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_the_names_of_their_codes() {
        let counts = UpdateCounts::default();
        assert_eq!(counts.by_result(), [("OK", 0)]);
        for (number, name) in (0..).zip(NAMES) {
            let code = Code::from_i32(number);
            assert_eq!(format!("{code:?}").to_uppercase(), name.replace('_', ""));
            counts.add(code, u64::from(number.unsigned_abs()));
        }
        assert_eq!(counts.by_result().last(), Some(&("UNAUTHENTICATED", 16)));
        assert_eq!(counts.by_result().len(), NAMES.len());
    }
}
