//! The grammar of whiteouts.

use crate::words::{Component, EntryPath, Escaped, Violation, WHITEOUT as PREFIX};

const OPAQUE: &[u8] = b".wh..wh..opq";
const BOOKKEEPING: &[u8] = b".wh..wh.";

/// The meaning of an entry's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// An ordinary name.
    None,
    /// A whiteout, which removes this path.
    Whiteout(EntryPath),
    /// An opaque marker, which removes everything below this directory.
    Opaque(EntryPath),
    /// Bookkeeping of AUFS. The entry, and everything below it, has no effect.
    Bookkeeping,
    /// Bookkeeping, unless the entry is a regular file: then it is the data of hard links.
    PseudoLink,
}

/// Reads the name of an entry.
///
/// Follows image-spec, layer.md, "Whiteouts" and "Opaque Whiteout".
///
/// # Errors
///
/// [`Violation::WhiteoutOfNothing`] if nothing, `.` or `..` follows `.wh.`: a reader that only strips the prefix would
/// remove the directory itself, or its parent. [`Violation::WhiteoutInParent`] if another component than the last one
/// has the prefix.
pub(super) fn parse(path: &EntryPath) -> Result<Marker, Violation> {
    let bytes = path.as_bytes();
    // This check is faster, and most names have no component that begins with a dot.
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

/// Checks the name of a directory that is created because a link leads there. If it were named like a whiteout, it would
/// become one when the tree is packed as a layer again.
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
