//! What a caller wants done about what is odd.

use super::{Quirk, Verdict};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

/// A named set of verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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

/// What becomes of character and block devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Devices {
    /// The layer is refused.
    Refuse,
    /// Nothing is made, with a note; what a lower layer has at that path goes all the same.
    Skip,
    /// They are made, which takes privilege.
    Create,
}

impl FromStr for Devices {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "refuse" => Ok(Self::Refuse),
            "skip" => Ok(Self::Skip),
            "create" => Ok(Self::Create),
            _ => Err(UnknownWord),
        }
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

/// A word that names no choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of the choices")]
pub struct UnknownWord;

/// What a caller wants done about what is odd: plain data, started from a [`Preset`].
///
/// Only quirks can be named; a [`Violation`](crate::Violation) is refused whatever the policy.
///
/// ```
/// # use layercage::{Devices, Policy, Quirk, Verdict};
/// let policy = Policy::default().devices(Devices::Skip);
/// # let _ = policy;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    preset: Preset,
    devices: Option<Devices>,
    verdicts: BTreeMap<&'static str, Verdict>,
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

    /// Decides one quirk by its id.
    ///
    /// # Errors
    ///
    /// [`UnknownWord`] when no quirk has that id.
    pub fn rule(mut self, id: &str, verdict: Verdict) -> Result<Self, UnknownWord> {
        let row = Quirk::TABLE.iter().find(|row| row.id == id).ok_or(UnknownWord)?;
        self.verdicts.insert(row.id, verdict);
        Ok(self)
    }

    /// What becomes of devices.
    pub fn devices_verdict(&self) -> Devices {
        self.devices.unwrap_or(match self.verdict_of("device-node", self.preset) {
            Verdict::Note => Devices::Skip,
            Verdict::Refuse => Devices::Refuse,
        })
    }

    /// What becomes of an archive with this quirk.
    pub fn verdict(&self, quirk: &Quirk) -> Verdict {
        self.verdicts.get(quirk.id()).copied().unwrap_or_else(|| quirk.row().verdict(self.preset))
    }

    fn verdict_of(&self, id: &str, preset: Preset) -> Verdict {
        self.verdicts.get(id).copied().unwrap_or_else(|| {
            Quirk::TABLE.iter().find(|row| row.id == id).map_or(Verdict::Refuse, |row| row.verdict(preset))
        })
    }
}
