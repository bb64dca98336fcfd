//! Where two readers differ.

use super::item::{Item, UNKNOWN};
use super::ours::Seen;
use std::fmt;

/// One difference between what we read and what a peer reads.
pub(crate) struct Difference<'a> {
    pub(crate) what: What,
    /// All that we read, and which entry of it this is about.
    pub(crate) all: &'a [Seen<'a>],
    pub(crate) index: usize,
    pub(crate) theirs: &'a [Item],
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Name,
    Kind,
    Size,
    Content,
    Target,
    Device,
    Mode,
    Owner,
    Time,
    /// The peer has more entries or fewer.
    Sequence,
}

impl<'a> Difference<'a> {
    /// What we read; nothing where the peer only has more.
    pub(crate) fn ours(&self) -> Option<&'a Seen<'a>> {
        self.all.get(self.index)
    }

    pub(crate) fn their_item(&self) -> Option<&'a Item> {
        self.theirs.get(self.index)
    }
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of entry {}: ", self.what, self.index + 1)?;
        match (self.ours(), self.their_item()) {
            (Some(ours), Some(theirs)) => write!(f, "{:?}, theirs is {theirs:?}", ours.item),
            (Some(ours), None) => write!(f, "{:?}, they have none", ours.item),
            (None, Some(theirs)) => write!(f, "we have none, theirs is {theirs:?}"),
            (None, None) => Ok(()),
        }
    }
}

/// All differences, entry by entry, and where one of the two has more.
pub(crate) fn differences<'a>(all: &'a [Seen<'a>], theirs: &'a [Item]) -> Vec<Difference<'a>> {
    let both = all.len().min(theirs.len());
    let more = (all.len() != theirs.len()).then(|| sequence(all, theirs, both));
    (0..both).flat_map(|index| differences_of(all, theirs, index)).chain(more).collect()
}

/// The differences of one entry.
pub(crate) fn differences_of<'a>(all: &'a [Seen<'a>], theirs: &'a [Item], index: usize) -> Vec<Difference<'a>> {
    let Some((our, their)) = all.get(index).map(|seen| &seen.item).zip(theirs.get(index)) else { return Vec::new() };
    let kind = our.kind != their.kind;
    let content = their.content != UNKNOWN && our.size == their.size && our.content != their.content;
    let [mode, owner, time] = our.attributes.differ(their.attributes);
    let fields = [
        (What::Name, our.name != their.name),
        (What::Kind, kind),
        // What another type has is no difference of its own.
        (What::Size, !kind && our.size != their.size),
        (What::Content, !kind && content),
        (What::Target, !kind && our.target != their.target),
        (What::Device, !kind && our.device != their.device),
        (What::Mode, mode),
        (What::Owner, owner),
        (What::Time, time),
    ];
    let found = fields.into_iter().filter(|(_, differs)| *differs);
    found.map(|(what, _)| Difference { what, all, index, theirs }).collect()
}

/// The difference of an entry that only one of the two has. All entries behind it differ.
pub(crate) fn sequence<'a>(all: &'a [Seen<'a>], theirs: &'a [Item], index: usize) -> Difference<'a> {
    Difference { what: What::Sequence, all, index, theirs }
}
