//! How much of each amount is allowed.

use super::{Limit, Violation};

/// What is enforced while an image is read: one number for each [`Limit`].
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
    /// The same limits with one of them changed.
    #[must_use]
    pub fn with(mut self, limit: Limit, most: u64) -> Self {
        if let Some(value) = self.0.get_mut(limit as usize) {
            *value = most;
        }
        self
    }

    /// The most that is allowed of one amount.
    pub fn most(&self, limit: Limit) -> u64 {
        self.0.get(limit as usize).copied().unwrap_or_default()
    }

    /// Lets an amount pass that is within its limit.
    ///
    /// # Errors
    ///
    /// [`Violation::LimitExceeded`], which names the limit.
    pub fn check(&self, limit: Limit, amount: u64) -> Result<(), Violation> {
        let most = self.most(limit);
        if amount > most { Err(Violation::LimitExceeded { limit, most, amount }) } else { Ok(()) }
    }

    /// Says when a path without empty components is too long or too deep: names through links must not make a tree
    /// deeper than names may be.
    pub(crate) fn check_path(&self, path: &[u8]) -> Result<(), Violation> {
        self.check(Limit::PathBytes, path.len() as u64)?;
        let depth = 1 + path.iter().filter(|&&byte| byte == b'/').count();
        self.check(Limit::PathDepth, depth as u64)
    }
}
