//! Devices and named pipes that are skipped, so that hard links to them are skipped too.

use super::reporter::Reporter;
use crate::words::{
    Device, Devices, EntryPath, Escaped, Fault, Fifos, Limit, Limits, Policy, Quirk, QuirkRule, Verdict, Violation,
};
use std::collections::BTreeSet;
use std::ops::Bound;

/// What a name costs beside its bytes.
const OVERHEAD: u64 = 64;

/// What some policies skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Skippable {
    Device,
    /// The character device 0:0, which no policy makes.
    Zero,
    Fifo,
}

impl Skippable {
    pub(crate) fn of(device: Device) -> Self {
        if device.is_zero() { Self::Zero } else { Self::Device }
    }

    /// Whether a policy takes a layer that has one, and skips it.
    pub(crate) fn is_skipped_by(self, policy: &Policy) -> bool {
        match self {
            Self::Device => policy.devices() == Devices::Skip,
            Self::Zero => policy.verdict(QuirkRule::DeviceZero) != Verdict::Refuse,
            Self::Fifo => policy.fifos() == Fifos::Skip,
        }
    }
}

/// Reports a hard link to something that the policy skips: the hard link is skipped with it. An audit calls this, which
/// continues as if such targets were created.
pub(crate) fn links_to_skippable(
    skippable: Skippable,
    target: &EntryPath,
    reporter: &mut Reporter<'_>,
) -> Result<(), Fault> {
    match skippable.is_skipped_by(reporter.policy()) {
        true => reporter.quirk(Quirk::HardLinkToSkipped { target: Escaped::new(target.as_bytes()) }),
        false => Ok(()),
    }
}

/// The paths of devices that were skipped, links on the way resolved.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    /// By lower layers: a whiteout removes them as if they were there.
    lower: BTreeSet<Box<[u8]>>,
    /// By the layer being applied: they stay, as what it brings does.
    own: BTreeSet<Box<[u8]>>,
    /// Bytes of all that was ever skipped.
    bytes: u64,
}

impl Skipped {
    /// A layer begins.
    pub(crate) fn begin_layer(&mut self) {
        self.lower.append(&mut self.own);
    }

    /// The layer being applied has a device at a path, which is skipped.
    ///
    /// # Errors
    ///
    /// [`Violation::LimitExceeded`].
    pub(crate) fn skip(&mut self, path: &[u8], limits: &Limits) -> Result<(), Violation> {
        if !self.own.contains(path) {
            let bytes = self.bytes + path.len() as u64 + OVERHEAD;
            limits.check(Limit::SkippedBytes, bytes)?;
            self.bytes = bytes;
            self.own.insert(path.into());
        }
        Ok(())
    }

    /// Whether none was skipped: then nothing needs to be looked up.
    pub(crate) fn is_empty(&self) -> bool {
        self.lower.is_empty() && self.own.is_empty()
    }

    /// Whether a device would be at a path.
    pub(crate) fn contains(&self, path: &[u8]) -> bool {
        self.own.contains(path) || self.lower.contains(path)
    }

    /// What lower layers have at a path and below it goes.
    pub(crate) fn remove_lower(&mut self, path: &[u8]) {
        self.lower.remove(path);
        remove_below(&mut self.lower, path);
    }

    /// What lower layers have below a directory goes.
    pub(crate) fn clear_lower(&mut self, directory: &[u8]) {
        remove_below(&mut self.lower, directory);
    }

    /// Something other than a directory takes a path.
    pub(crate) fn replace(&mut self, path: &[u8]) {
        self.remove_lower(path);
        self.own.remove(path);
        remove_below(&mut self.own, path);
    }

    /// A directory takes a path.
    pub(crate) fn replace_by_directory(&mut self, path: &[u8]) {
        self.lower.remove(path);
        self.own.remove(path);
    }
}

fn remove_below(paths: &mut BTreeSet<Box<[u8]>>, directory: &[u8]) {
    let prefix = if directory.is_empty() { Vec::new() } else { [directory, b"/"].concat() };
    loop {
        let next = paths.range::<[u8], _>((Bound::Included(prefix.as_slice()), Bound::Unbounded)).next();
        let Some(path) = next.filter(|path| path.starts_with(&prefix)).cloned() else { return };
        paths.remove(&path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whiteout_takes_what_lower_layers_skipped_and_nothing_else() {
        let mut skipped = Skipped::default();
        for path in ["dev", "dev-null", "dev/a", "dev/b/c"] {
            skipped.skip(path.as_bytes(), &Limits::default()).unwrap();
        }
        skipped.begin_layer();
        skipped.skip(b"dev/own", &Limits::default()).unwrap();
        skipped.clear_lower(b"dev/b");
        assert!(!skipped.contains(b"dev/b/c") && skipped.contains(b"dev/a"));
        skipped.remove_lower(b"dev");
        assert!(!skipped.contains(b"dev") && !skipped.contains(b"dev/a"));
        assert!(skipped.contains(b"dev/own") && skipped.contains(b"dev-null"));
        skipped.replace(b"dev");
        assert!(!skipped.contains(b"dev/own"));
        skipped.clear_lower(b"");
        assert!(!skipped.contains(b"dev-null"));
    }
}
