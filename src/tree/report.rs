//! What the applier reports. All other files of this module report through this one.

use super::{ClampedTime, ExactTime, ExactXattrs, Exactness, Granted, Inexact, UnsetXattr};
use crate::plan::{Reporter, lacks_xattr, needed_xattr};
use crate::words::{EntryPath, Error, Escaped, Metadata, Octal, Ownership, Quirk, QuirkRule};
use std::sync::Arc;

/// What a walk has reported about links.
///
/// Each link is reported once in a walk. A target of 4 KiB may say `..` 1,365 times, and 200 entries may lead through it:
/// a report for each `..` made 167 MB of 1.7 KB.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkReports(Vec<(LinkReport, Arc<[u8]>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkReport {
    Follows,
    Climbs,
}

impl LinkReports {
    /// A walk follows a link.
    pub(super) fn follows(&mut self, reporter: &mut Reporter<'_>, target: &Arc<[u8]>) -> Result<(), Error> {
        self.add(reporter, LinkReport::Follows, target)
    }

    /// The target of a link leads above the root. If that passes, the walk stays at the root.
    pub(super) fn climbs(&mut self, reporter: &mut Reporter<'_>, target: &Arc<[u8]>) -> Result<(), Error> {
        self.add(reporter, LinkReport::Climbs, target)
    }

    /// Reports the same for the current entry, which leads the same way without another walk.
    pub(super) fn repeat(&self, reporter: &mut Reporter<'_>) -> Result<(), Error> {
        self.0.iter().try_for_each(|(kind, target)| kind.report(reporter, target))
    }

    fn add(&mut self, reporter: &mut Reporter<'_>, kind: LinkReport, target: &Arc<[u8]>) -> Result<(), Error> {
        // There are many links on the way, and most policies let them pass.
        if reporter.is_silent_on(kind.rule()) || self.0.iter().any(|(told, of)| *told == kind && of == target) {
            return Ok(());
        }
        self.0.push((kind, Arc::clone(target)));
        kind.report(reporter, target)
    }
}

impl LinkReport {
    fn rule(self) -> QuirkRule {
        match self {
            Self::Follows => QuirkRule::LinkParent,
            Self::Climbs => QuirkRule::LinkClimbs,
        }
    }

    fn report(self, reporter: &mut Reporter<'_>, target: &[u8]) -> Result<(), Error> {
        let target = Escaped::new(target);
        reporter.quirk(match self {
            Self::Follows => Quirk::LinkParent { target },
            Self::Climbs => Quirk::LinkClimbs { target },
        })
    }
}

/// The layer brings something to a path that it has brought before.
pub(super) fn duplicate(reporter: &mut Reporter<'_>) -> Result<(), Error> {
    reporter.quirk(Quirk::DuplicatePath)
}

/// A directory takes the place of a symbolic link.
pub(super) fn directory_over_link(reporter: &mut Reporter<'_>, target: &[u8]) -> Result<(), Error> {
    reporter.quirk(Quirk::DirectoryOverLink { target: Escaped::new(target) })
}

/// A hard link is its own target.
pub(super) fn repeated_link(reporter: &mut Reporter<'_>, target: &EntryPath) -> Result<(), Error> {
    reporter.quirk(Quirk::HardLinkRepeated { target: Escaped::new(target.as_bytes()) })
}

/// The target of a hard link was skipped.
pub(super) fn link_to_skipped(reporter: &mut Reporter<'_>, target: &EntryPath) -> Result<(), Error> {
    reporter.quirk(Quirk::HardLinkToSkipped { target: Escaped::new(target.as_bytes()) })
}

/// The target of a hard link is in a lower layer that is not changed, and is copied.
pub(super) fn copied_link(reporter: &mut Reporter<'_>, target: &EntryPath) -> Result<(), Error> {
    reporter.quirk(Quirk::HardLinkCopied { target: Escaped::new(target.as_bytes()) })
}

/// The header of a hard link states another owner or mode than that of its target.
pub(super) fn link_metadata(reporter: &mut Reporter<'_>) -> Result<(), Error> {
    reporter.quirk(Quirk::HardLinkMetadata)
}

/// A whiteout names what its own layer brought.
pub(super) fn whiteout_of_own(reporter: &mut Reporter<'_>) -> Result<(), Error> {
    reporter.quirk(Quirk::WhiteoutOfOwn)
}

/// The way to what a whiteout names leads through what its own layer brought.
pub(super) fn whiteout_behind_own_link(reporter: &mut Reporter<'_>) -> Result<(), Error> {
    reporter.quirk(Quirk::WhiteoutBehindOwnLink)
}

/// An opaque whiteout comes after what its own layer brought to the directory.
pub(super) fn opaque_behind_own(reporter: &mut Reporter<'_>) -> Result<(), Error> {
    reporter.quirk(Quirk::OpaqueBehindOwn)
}

/// The tree grants this owner and mode for what the layer asks for.
pub(super) fn granted(
    reporter: &mut Reporter<'_>,
    asked: &Metadata,
    granted: Granted,
    ownership: Ownership,
) -> Result<(), Error> {
    // A recorded owner is in an attribute.
    if (asked.uid, asked.gid) != (granted.uid, granted.gid) && ownership != Ownership::Recorded {
        reporter.quirk_once(Quirk::OwnerToCaller)?;
    }
    match asked.mode == granted.mode {
        true => Ok(()),
        false => reporter.quirk(Quirk::SetIdDropped { mode: Octal(asked.mode) }),
    }
}

/// What policy wants exactly.
pub(super) fn exactness(reporter: &Reporter<'_>) -> Exactness {
    let xattrs = match needed_xattr(reporter) {
        _ if reporter.refuses(QuirkRule::XattrUnsupported) => ExactXattrs::All,
        Some(name) => ExactXattrs::Named(name),
        None => ExactXattrs::Any,
    };
    let time = if reporter.refuses(QuirkRule::TimeClamped) { ExactTime::Exact } else { ExactTime::Nearest };
    Exactness { xattrs, time }
}

/// Attributes are not as the layer asks for.
pub(crate) fn inexact(reporter: &mut Reporter<'_>, inexact: Inexact) -> Result<(), Error> {
    let Inexact { time, xattrs } = inexact;
    if let Some(ClampedTime { asked, kept }) = time {
        reporter.quirk(Quirk::TimeClamped { asked, kept })?;
    }
    xattrs.into_iter().try_for_each(|UnsetXattr { name, error }| lacks_xattr(reporter, &name, error))
}
