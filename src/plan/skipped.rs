//! Devices and named pipes that are skipped, so that hard links to them are skipped too.

use crate::words::{Devices, Fifos, Limit, Limits, Policy, QuirkRule, Skippable, Verdict, Violation};
use std::collections::BTreeMap;
use std::ops::Bound;

/// The memory for a path in addition to its bytes.
const OVERHEAD: u64 = 64;

/// Whether a policy accepts a layer with such an entry, and skips the entry.
pub(crate) fn is_skipped_by(skippable: Skippable, policy: &Policy) -> bool {
    match skippable {
        Skippable::Device => policy.devices() == Devices::Skip,
        Skippable::DeviceZero => policy.verdict(QuirkRule::DeviceZero) != Verdict::Refuse,
        Skippable::Fifo => policy.fifos() == Fifos::Skip,
    }
}

/// The paths of entries that were skipped, with symbolic links resolved.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    /// Skipped entries of lower layers. A whiteout removes them like existing ones.
    lower: BTreeMap<Box<[u8]>, Skippable>,
    /// Skipped entries of the layer being applied. A whiteout does not remove them.
    own: BTreeMap<Box<[u8]>, Skippable>,
    /// The memory of all skipped entries so far, removed ones included.
    bytes: u64,
}

impl Skipped {
    /// Begins a layer.
    pub(crate) fn begin_layer(&mut self) {
        self.lower.append(&mut self.own);
    }

    /// Records that the layer being applied has such an entry at a path.
    ///
    /// # Errors
    ///
    /// [`Violation::LimitExceeded`].
    pub(crate) fn skip(&mut self, path: &[u8], skippable: Skippable, limits: &Limits) -> Result<(), Violation> {
        if let Some(known) = self.own.get_mut(path) {
            *known = skippable;
            return Ok(());
        }
        let bytes = self.bytes + path.len() as u64 + OVERHEAD;
        limits.check(Limit::SkippedBytes, bytes)?;
        self.bytes = bytes;
        self.own.insert(path.into(), skippable);
        Ok(())
    }

    /// All entries, by path.
    #[cfg(feature = "image")]
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], Skippable)> {
        let all = self.lower.iter().filter(|(path, _)| !self.own.contains_key(*path)).chain(&self.own);
        all.map(|(path, &skippable)| (&**path, skippable))
    }

    /// Replaces all entries by those of lower layers.
    #[cfg(feature = "image")]
    pub(crate) fn replace_all(&mut self, lower: impl IntoIterator<Item = (Box<[u8]>, Skippable)>) {
        (self.lower, self.own) = (lower.into_iter().collect(), BTreeMap::new());
    }

    /// Whether nothing was skipped.
    pub(crate) fn is_empty(&self) -> bool {
        self.lower.is_empty() && self.own.is_empty()
    }

    /// The skipped entry at a path.
    pub(crate) fn get(&self, path: &[u8]) -> Option<Skippable> {
        self.own.get(path).or_else(|| self.lower.get(path)).copied()
    }

    /// Removes the entries of lower layers at a path and below it.
    pub(crate) fn remove_lower(&mut self, path: &[u8]) {
        self.lower.remove(path);
        remove_below(&mut self.lower, path);
    }

    /// Removes the entries of lower layers below a directory.
    pub(crate) fn clear_lower(&mut self, directory: &[u8]) {
        remove_below(&mut self.lower, directory);
    }

    /// Removes the entries at a path and below it: something other than a directory is created there.
    pub(crate) fn replace(&mut self, path: &[u8]) {
        self.remove_lower(path);
        self.own.remove(path);
        remove_below(&mut self.own, path);
    }

    /// Removes the entry at a path: a directory is created there.
    pub(crate) fn replace_by_directory(&mut self, path: &[u8]) {
        self.lower.remove(path);
        self.own.remove(path);
    }
}

fn remove_below(paths: &mut BTreeMap<Box<[u8]>, Skippable>, directory: &[u8]) {
    let prefix = if directory.is_empty() { Vec::new() } else { [directory, b"/"].concat() };
    loop {
        let next = paths.range::<[u8], _>((Bound::Included(prefix.as_slice()), Bound::Unbounded)).next();
        let Some(path) = next.map(|(path, _)| path).filter(|path| path.starts_with(&prefix)).cloned() else { return };
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
            skipped.skip(path.as_bytes(), Skippable::Device, &Limits::default()).unwrap();
        }
        skipped.begin_layer();
        skipped.skip(b"dev/own", Skippable::Fifo, &Limits::default()).unwrap();
        skipped.clear_lower(b"dev/b");
        assert!(skipped.get(b"dev/b/c").is_none() && skipped.get(b"dev/a").is_some());
        skipped.remove_lower(b"dev");
        assert!(skipped.get(b"dev").is_none() && skipped.get(b"dev/a").is_none());
        assert!(skipped.get(b"dev/own").is_some() && skipped.get(b"dev-null").is_some());
        skipped.replace(b"dev");
        assert!(skipped.get(b"dev/own").is_none());
        skipped.clear_lower(b"");
        assert!(skipped.get(b"dev-null").is_none());
    }
}
