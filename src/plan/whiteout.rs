//! The grammar of whiteouts.

use crate::words::{Component, EntryPath, Escaped, Violation, WHITEOUT as PREFIX};

const OPAQUE: &[u8] = b".wh..wh..opq";
const BOOKKEEPING: &[u8] = b".wh..wh.";

/// What an entry's name says, by its last component.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// Nothing about whiteouts: an ordinary name.
    None,
    /// This path goes.
    Whiteout(EntryPath),
    /// What is below this directory goes.
    Opaque(EntryPath),
    /// AUFS wrote it for itself: the entry, and what is below it, means nothing.
    Bookkeeping,
    /// The same, unless it is a regular file: then AUFS keeps the data of hard links there.
    PseudoLink,
}

/// Reads the name of an entry.
///
/// Follows image-spec, layer.md, "Whiteouts" and "Opaque Whiteout".
///
/// # Errors
///
/// [`Violation::WhiteoutOfNothing`] when nothing, `.` or `..` follows `.wh.`: a reader that just strips the
/// prefix would remove the directory itself, or its parent. [`Violation::WhiteoutInParent`] when the prefix
/// stands anywhere but last.
pub(super) fn parse(path: &EntryPath) -> Result<Marker, Violation> {
    let bytes = path.as_bytes();
    // Most names have no component that begins with a point, which is seen faster.
    let is_hidden = bytes.first() == Some(&b'.') || bytes.windows(2).any(|window| window == b"/.");
    if !is_hidden || !path.components().any(|component| component.as_bytes().starts_with(PREFIX)) {
        return Ok(Marker::None);
    }
    let (Some((_, last)), Some(directory)) = (path.split_last(), path.parent()) else { return Ok(Marker::None) };
    for component in directory.components() {
        let name = component.as_bytes();
        if name.starts_with(BOOKKEEPING) && name != OPAQUE {
            return Ok(if path.pseudo_link().is_some() { Marker::PseudoLink } else { Marker::Bookkeeping });
        }
        if name.starts_with(PREFIX) {
            return Err(Violation::WhiteoutInParent { component: Escaped::new(name) });
        }
    }
    match last.as_bytes() {
        OPAQUE => Ok(Marker::Opaque(directory)),
        name if name.starts_with(BOOKKEEPING) => Ok(Marker::Bookkeeping),
        name => match name.strip_prefix(PREFIX) {
            None => Ok(Marker::None),
            Some(rest) => match Component::parse(rest) {
                Ok(removed) => Ok(Marker::Whiteout(directory.child(removed))),
                Err(_) => Err(Violation::WhiteoutOfNothing),
            },
        },
    }
}

/// Lets a directory be made where a link's target asks for it: what is named like a whiteout would be taken for
/// one when the tree is made a layer again.
///
/// # Errors
///
/// [`Violation::WhiteoutInParent`].
#[cfg(feature = "unpack")]
pub(crate) fn may_be_made(name: Component<'_>) -> Result<(), Violation> {
    match name.as_bytes().starts_with(PREFIX) {
        true => Err(Violation::WhiteoutInParent { component: Escaped::new(name.as_bytes()) }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Limits;

    fn path(name: &[u8]) -> EntryPath {
        EntryPath::of_entry(name, &Limits::default()).unwrap()
    }

    fn read(name: &[u8]) -> Result<Marker, Violation> {
        parse(&path(name))
    }

    #[test]
    fn the_last_component_says_what_an_entry_is() {
        assert_eq!(read(b"a/log.wh."), Ok(Marker::None));
        assert_eq!(read(b""), Ok(Marker::None));
        assert_eq!(read(b"a/.wh.log"), Ok(Marker::Whiteout(path(b"a/log"))));
        assert_eq!(read(b".wh.log"), Ok(Marker::Whiteout(path(b"log"))));
        assert_eq!(read(b".wh..log"), Ok(Marker::Whiteout(path(b".log"))));
        assert_eq!(read(b"a/.wh..wh..opq"), Ok(Marker::Opaque(path(b"a"))));
        let longest = [b'n'; 255];
        assert_eq!(read(&[b".wh.", &longest[..]].concat()), Ok(Marker::Whiteout(path(&longest))));
        assert_eq!(read(b".wh..wh..opq"), Ok(Marker::Opaque(path(b""))));
        assert_eq!(read(b".wh..wh.plnk"), Ok(Marker::Bookkeeping));
        assert_eq!(read(b".wh..wh.plnk/12.34"), Ok(Marker::PseudoLink));
        for name in [&b".wh..wh.plnk/a/b"[..], b"a/.wh..wh.plnk/1", b".wh..wh.orph/1", b".wh..wh.plnk2/1"] {
            assert_eq!(read(name), Ok(Marker::Bookkeeping));
        }
        assert_eq!(read(b".wh..wh."), Ok(Marker::Bookkeeping));
    }

    #[test]
    fn whiteouts_of_nothing_and_whiteouts_in_the_middle_are_refused() {
        for name in [&b".wh."[..], b".wh..", b".wh...", b"a/.wh.."] {
            assert_eq!(read(name), Err(Violation::WhiteoutOfNothing));
        }
        assert!(matches!(read(b".wh.a/b"), Err(Violation::WhiteoutInParent { .. })));
        assert!(matches!(read(b"x/.wh..wh..opq/b"), Err(Violation::WhiteoutInParent { .. })));
    }
}
