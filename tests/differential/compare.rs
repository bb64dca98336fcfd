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
    let difference = |what, index| Difference { what, all, index, theirs };
    let pairs = all.iter().map(|seen| &seen.item).zip(theirs).enumerate();
    let found = pairs.flat_map(|(index, (ours, theirs))| {
        let kind = ours.kind != theirs.kind;
        let content = theirs.content != UNKNOWN && ours.size == theirs.size && ours.content != theirs.content;
        let [mode, owner, time] = ours.attributes.differ(theirs.attributes);
        let fields = [
            (What::Name, ours.name != theirs.name),
            (What::Kind, kind),
            // What another type has is no difference of its own.
            (What::Size, !kind && ours.size != theirs.size),
            (What::Content, !kind && content),
            (What::Target, !kind && ours.target != theirs.target),
            (What::Device, !kind && ours.device != theirs.device),
            (What::Mode, mode),
            (What::Owner, owner),
            (What::Time, time),
        ];
        fields.into_iter().filter(|(_, differs)| *differs).map(move |(what, _)| difference(what, index))
    });
    let more = (all.len() != theirs.len()).then(|| difference(What::Sequence, all.len().min(theirs.len())));
    found.chain(more).collect()
}

/// Where one of the two goes on with something that the other has not, if it has more entries or fewer.
pub(crate) fn parting<'a>(all: &'a [Seen<'a>], theirs: &'a [Item]) -> Option<Difference<'a>> {
    let mut pairs = all.iter().zip(theirs);
    let index = pairs.position(|(ours, theirs)| !ours.item.is_like(theirs)).unwrap_or(all.len().min(theirs.len()));
    (all.len() != theirs.len()).then_some(Difference { what: What::Sequence, all, index, theirs })
}
