//! The quirks of one entry.

use crate::words::{Quirk, QuirkRule};

/// Quirks, at most one of each rule: a header of 1 MiB may contain many thousands of odd records.
#[derive(Debug, Default)]
pub(crate) struct QuirkSet(Vec<Quirk>);

impl QuirkSet {
    /// Adds a quirk, unless one of the same rule is there.
    pub(crate) fn add(&mut self, quirk: Quirk) {
        if self.0.iter().all(|known| known.id() != quirk.id()) {
            self.0.push(quirk);
        }
    }

    pub(crate) fn contains(&self, rule: QuirkRule) -> bool {
        self.0.iter().any(|known| known.rule() == rule)
    }

    pub(crate) fn append(&mut self, other: Self) {
        other.0.into_iter().for_each(|quirk| self.add(quirk));
    }

    pub(crate) fn into_vec(self) -> Vec<Quirk> {
        self.0
    }
}
