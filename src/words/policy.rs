//! What a caller wants done about what is odd.

use super::{Devices, Durability, QuirkRule, UnknownWord, Verdict};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

/// A named set of verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Preset {
    /// Strict on what is hostile or ambiguous, tolerant of every oddity known from real images.
    #[default]
    Default,
    /// What containerd accepts: devices are skipped, links that climb past the root end at the root.
    Compatible,
    /// Every note is a refusal.
    Paranoid,
}

impl Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Compatible => "compatible",
            Self::Paranoid => "paranoid",
        })
    }
}

impl FromStr for Preset {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Default, Self::Compatible, Self::Paranoid]
            .into_iter()
            .find(|preset| preset.to_string() == word)
            .ok_or(UnknownWord)
    }
}

/// What a caller wants done about what is odd: plain data, started from a [`Preset`].
///
/// Only quirks can be named; a [`Violation`](crate::Violation) is refused whatever the policy.
///
/// ```
/// # use layercage::{Devices, Policy, QuirkRule, Verdict};
/// let policy = Policy::default().devices(Devices::Skip).refuse(QuirkRule::DuplicatePath);
/// assert_eq!(policy.verdict(QuirkRule::DuplicatePath), Verdict::Refuse);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    pub(super) preset: Preset,
    pub(super) devices: Option<Devices>,
    pub(super) durability: Option<Durability>,
    pub(super) verdicts: BTreeMap<QuirkRule, Verdict>,
}

impl Policy {
    /// The verdicts of a preset.
    pub fn preset(preset: Preset) -> Self {
        Self { preset, ..Self::default() }
    }

    /// What containerd accepts, with a note for each oddity.
    pub fn compatible() -> Self {
        Self::preset(Preset::Compatible)
    }

    /// Refuses whatever deserves a note.
    pub fn paranoid() -> Self {
        Self::preset(Preset::Paranoid)
    }

    /// Decides what becomes of devices.
    #[must_use]
    pub fn devices(mut self, devices: Devices) -> Self {
        self.devices = Some(devices);
        self
    }

    /// Decides what is on the disk when a tree takes its name.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Lets a quirk pass with a note. [`QuirkRule::DeviceNode`] stands for [`Devices::Skip`].
    #[must_use]
    pub fn allow(self, rule: QuirkRule) -> Self {
        self.decide(rule, Verdict::Note)
    }

    /// Refuses what shows a quirk.
    #[must_use]
    pub fn refuse(self, rule: QuirkRule) -> Self {
        self.decide(rule, Verdict::Refuse)
    }

    fn decide(mut self, rule: QuirkRule, verdict: Verdict) -> Self {
        if rule == QuirkRule::DeviceNode {
            self.devices = None;
        }
        self.verdicts.insert(rule, verdict);
        self
    }

    /// What becomes of devices.
    pub fn devices_choice(&self) -> Devices {
        self.devices.unwrap_or(match self.verdict(QuirkRule::DeviceNode) {
            Verdict::Note => Devices::Skip,
            Verdict::Refuse => Devices::Refuse,
        })
    }

    /// What is on the disk when a tree takes its name.
    pub fn durability_choice(&self) -> Durability {
        self.durability.unwrap_or_default()
    }

    /// What becomes of an archive with this quirk.
    pub fn verdict(&self, rule: QuirkRule) -> Verdict {
        match (rule, self.devices) {
            (QuirkRule::DeviceNode, Some(Devices::Refuse)) => Verdict::Refuse,
            (QuirkRule::DeviceNode, Some(Devices::Skip | Devices::Create)) => Verdict::Note,
            _ => self.decided(rule),
        }
    }

    fn decided(&self, rule: QuirkRule) -> Verdict {
        self.verdicts.get(&rule).copied().unwrap_or_else(|| rule.row().verdict(self.preset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_rules_stand_over_a_preset() {
        let policy = Policy::paranoid().allow(QuirkRule::RaggedEnd);
        assert_eq!(policy.verdict(QuirkRule::RaggedEnd), Verdict::Note);
        assert_eq!(policy.verdict(QuirkRule::DuplicatePath), Verdict::Refuse);
        assert_eq!(
            Policy::default().refuse(QuirkRule::DuplicatePath).verdict(QuirkRule::DuplicatePath),
            Verdict::Refuse
        );
    }

    #[test]
    fn devices_have_three_choices_and_the_last_word_counts() {
        assert_eq!(Policy::default().devices_choice(), Devices::Refuse);
        assert_eq!(Policy::compatible().devices_choice(), Devices::Skip);
        assert_eq!(Policy::default().allow(QuirkRule::DeviceNode).devices_choice(), Devices::Skip);
        assert_eq!(Policy::paranoid().devices(Devices::Create).devices_choice(), Devices::Create);
        let refused = Policy::default().devices(Devices::Create).refuse(QuirkRule::DeviceNode);
        assert_eq!(refused.devices_choice(), Devices::Refuse);
    }
}
