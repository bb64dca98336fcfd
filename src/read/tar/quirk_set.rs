//! The quirks of one entry.

use crate::words::{Quirk, QuirkRule};

/// Quirks, each kind once: a header of 1 MiB has room for many thousands of odd records.
#[derive(Debug, Default)]
pub(crate) struct Oddities(Vec<Quirk>);

impl Oddities {
    pub(crate) fn add(&mut self, quirk: Quirk) {
        if self.0.iter().all(|known| known.id() != quirk.id()) {
            self.0.push(quirk);
        }
    }

    pub(crate) fn shows(&self, rule: QuirkRule) -> bool {
        self.0.iter().any(|known| known.rule() == rule)
    }

    pub(crate) fn append(&mut self, other: Self) {
        other.0.into_iter().for_each(|quirk| self.add(quirk));
    }

    pub(crate) fn into_quirks(self) -> Vec<Quirk> {
        self.0
    }
}
