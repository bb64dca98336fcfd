//! How much of each amount is allowed.

use super::{Limit, Violation};

/// The limits while an image is read: one number for each [`Limit`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits([u64; Limit::ALL.len()]);

impl Default for Limits {
    fn default() -> Self {
        let mut values = [0; Limit::ALL.len()];
        for (value, limit) in values.iter_mut().zip(Limit::ALL) {
            *value = limit.default();
        }
        Self(values)
    }
}

impl Limits {
    /// Sets one limit. [`Limit::OFF`] turns it off.
    #[must_use]
    pub fn with(mut self, limit: Limit, most: u64) -> Self {
        if let Some(value) = self.0.get_mut(limit as usize) {
            *value = most;
        }
        self
    }

    /// The largest amount that one limit allows.
    pub fn most(&self, limit: Limit) -> u64 {
        self.0.get(limit as usize).copied().unwrap_or_default()
    }

    /// Checks an amount against its limit.
    ///
    /// # Errors
    ///
    /// [`Violation::LimitExceeded`] if the amount is larger.
    pub fn check(&self, limit: Limit, amount: u64) -> Result<(), Violation> {
        let most = self.most(limit);
        if amount > most { Err(Violation::LimitExceeded { limit, most, amount }) } else { Ok(()) }
    }

    /// Checks the length and depth of a path without empty components. Names through links must not make a tree deeper
    /// than names may be.
    pub(crate) fn check_path(&self, path: &[u8]) -> Result<(), Violation> {
        self.check(Limit::PathBytes, path.len() as u64)?;
        let depth = 1 + path.iter().filter(|&&byte| byte == b'/').count();
        self.check(Limit::PathDepth, depth as u64)
    }
}
