//! The known differences: where another reader takes an archive that we take too, and reads something else.

use super::anatomy::Anatomy;
use super::compare::{Difference, What};
use super::item::Kind;
use layercage::rules::QuirkRule;

/// A known difference. One that is not seen any more fails the full run.
pub(crate) struct Exception {
    pub(crate) name: &'static str,
    pub(crate) peer: &'static str,
    /// What the peer does; the page in `docs/` has it too.
    pub(crate) reason: &'static str,
    /// Whether it explains a difference of that entry.
    applies: fn(&Difference, &Anatomy) -> bool,
}

pub(crate) const EXCEPTIONS: &[Exception] = &[
    Exception {
        name: "tar-crate-pax-sparse",
        peer: "tar crate",
        reason: "reads what is stored of a file with holes that PAX records describe, under its stand-in's name",
        applies: |difference, anatomy| {
            matches!(difference.what, What::Name | What::Size | What::Content) && anatomy.is_pax_sparse()
        },
    },
    Exception {
        name: "tar-crate-newline-in-record",
        peer: "tar crate",
        reason: "takes a newline in a PAX value for the end of the record, and reads none from there on",
        applies: |difference, anatomy| {
            let newline = anatomy.records.iter().any(|(_, value)| value.contains(&b'\n'));
            // Without its name in a record, what has a slash at the end of its own is a directory.
            let kind = difference.what == What::Kind && anatomy.name_field().ends_with(b"/");
            newline && (kind || matches!(difference.what, What::Name | What::Target | What::Owner | What::Time))
        },
    },
    Exception {
        name: "tar-crate-time-in-record",
        peer: "tar crate",
        reason: "has the header's own time, whatever a PAX record says",
        applies: |difference, anatomy| difference.what == What::Time && anatomy.position(b"mtime").is_some(),
    },
    Exception { name: "tar-crate-gnu-prefix", peer: "tar crate", reason: GNU_PREFIX, applies: gnu_prefix },
    Exception { name: "gnu-tar-gnu-prefix", peer: "GNU tar", reason: GNU_PREFIX, applies: gnu_prefix },
    Exception {
        name: "libarchive-gnu-prefix",
        peer: "libarchive",
        reason: "has no ustar prefix in a header with GNU magic (the quirk `gnu-prefix`), and takes the end of a long one \
                 for a map of holes, which may go on in the header behind it",
        applies: |difference, _| is_gnu_prefix(difference) && !matches!(difference.what, What::Target | What::Device),
    },
    Exception {
        name: "libarchive-negative-fraction",
        peer: "libarchive",
        reason: "adds the fraction of a negative time to its seconds, where it is to be taken off (the quirk \
                 `negative-fraction`)",
        applies: |difference, _| {
            let time = difference.ours().map(|ours| ours.entry.metadata.mtime);
            difference.what == What::Time && time.is_some_and(|time| time.seconds < 0 && time.nanoseconds > 0)
        },
    },
    Exception { name: "libarchive-empty-number", peer: "libarchive", reason: EMPTY_NUMBER, applies: empty_number },
    Exception { name: "tarfile-empty-number", peer: "tarfile", reason: EMPTY_NUMBER, applies: empty_number },
    Exception {
        name: "libarchive-target-elsewhere",
        peer: "libarchive",
        reason: "makes an empty file of a link whose target stands in an extended header alone, as Go writes one without a \
                 letter of ASCII",
        applies: |difference, anatomy| {
            let is_link =
                difference.ours().is_some_and(|ours| matches!(ours.item.kind, Kind::Symlink | Kind::HardLink));
            is_link && anatomy.has_no_target() && matches!(difference.what, What::Kind | What::Target)
        },
    },
    Exception {
        name: "gnu-tar-whiteout-target",
        peer: "GNU tar",
        reason: "removes a `..` and what precedes it from a hard link's target; the target of a whiteout or of AUFS \
                 bookkeeping is ignored",
        applies: |difference, _| {
            let name = difference.ours().map_or(&[][..], |ours| &ours.item.name);
            let is_ignored = name.split(|&byte| byte == b'/').any(|component| component.starts_with(b".wh."));
            difference.what == What::Target && is_ignored
        },
    },
    Exception {
        name: "gnu-tar-nul-root",
        peer: "GNU tar",
        reason: "takes the root `/` of type NUL for a file, which it fails to make",
        applies: |difference, anatomy| {
            let root = difference.ours().is_some_and(|ours| ours.item.name.is_empty());
            root && anatomy.flag() == Some(0) && kinds(difference) == Some((Kind::Directory, Kind::File))
        },
    },
    Exception {
        name: "tar-crate-nul-directory",
        peer: "tar crate",
        reason: "of type NUL in a header with POSIX magic, makes a file of what has a slash at its end",
        applies: |difference, anatomy| {
            anatomy.flag() == Some(0)
                && anatomy.magic().starts_with(b"ustar\0")
                && kinds(difference) == Some((Kind::Directory, Kind::File))
        },
    },
    Exception {
        name: "tar-crate-version",
        peer: "tar crate",
        reason: "takes a header with POSIX magic for one of version 7 when its version is not 00: it has no prefix and no device, \
                 and is no extended header",
        applies: |difference, anatomy| {
            let other = anatomy.magic().starts_with(b"ustar\0") && !anatomy.magic().ends_with(b"00");
            let sequence = difference.what == What::Sequence && anatomy.has_odd_extended();
            sequence || matches!(difference.what, What::Name | What::Device) && other
        },
    },
    Exception {
        name: "tarfile-gnu-times",
        peer: "tarfile",
        reason: "takes the times in a header with GNU magic for a ustar prefix (the quirk `gnu-times`)",
        applies: |difference, anatomy| {
            difference.what == What::Name && anatomy.magic() == b"ustar  \0" && ends_with_ours(difference)
        },
    },
    Exception {
        name: "tarfile-directory-by-field",
        peer: "tarfile",
        reason: "of type NUL and without content, makes a directory of what has a slash at the end of the header's own \
                 field, though that was cut, and a file where the slash was cut off",
        applies: |difference, anatomy| {
            let field = anatomy.name_field();
            let slash = field.ends_with(b"/");
            let pair = if slash { (Kind::File, Kind::Directory) } else { (Kind::Directory, Kind::File) };
            let is_cut = field.len() > 96;
            anatomy.flag() == Some(0) && is_cut && kinds(difference) == Some(pair)
        },
    },
    Exception {
        name: "tarfile-path-behind-sparse-name",
        peer: "tarfile",
        reason: "takes the stand-in in `path` for a sparse file's name when it stands behind `GNU.sparse.name`, where \
                 GNU tar writes it for long names",
        applies: |difference, anatomy| {
            let name = anatomy.position(b"GNU.sparse.name");
            difference.what == What::Name && name.zip(anatomy.position(b"path")).is_some_and(|(name, path)| name < path)
        },
    },
    Exception {
        name: "tarfile-bad-number",
        peer: "tarfile",
        reason: "ends without a word before a header with a number that is none, where it does not matter: a device's on \
                 what is no device, an owner, mode or time of an extended header",
        applies: |difference, anatomy| {
            let odd = |field: &[u8]| field.iter().any(|byte| !matches!(byte, b'0'..=b'7' | b' ' | 0));
            let bad = anatomy.unread_numbers().into_iter().any(odd);
            difference.what == What::Sequence && difference.their_item().is_none() && bad
        },
    },
];

/// The exception that explains a difference.
pub(crate) fn explain(peer: &str, difference: &Difference) -> Option<&'static Exception> {
    let anatomy = difference.ours().map(|ours| Anatomy::of(ours.bytes)).unwrap_or_default();
    EXCEPTIONS.iter().find(|exception| exception.peer == peer && (exception.applies)(difference, &anatomy))
}

const GNU_PREFIX: &str =
    "has no ustar prefix in a header with GNU magic, where Go before 1.8 could write one (the quirk `gnu-prefix`)";

const EMPTY_NUMBER: &str = "takes an empty owner, group or time in a PAX record for zero (the quirk `pax-empty`)";

fn empty_number(difference: &Difference, anatomy: &Anatomy) -> bool {
    let is_empty = |keys: &[&[u8]]| anatomy.records.iter().any(|(key, value)| keys.contains(key) && value.is_empty());
    match difference.what {
        What::Owner => is_empty(&[b"uid", b"gid"]),
        What::Time => is_empty(&[b"mtime"]),
        _ => false,
    }
}

fn gnu_prefix(difference: &Difference, _: &Anatomy) -> bool {
    difference.what == What::Name && is_gnu_prefix(difference)
}

fn is_gnu_prefix(difference: &Difference) -> bool {
    let quirks = difference.ours().map_or(&[][..], |ours| &ours.entry.quirks);
    quirks.iter().any(|quirk| quirk.rule() == QuirkRule::GnuPrefix)
}

/// Our type and theirs, where that is what differs.
fn kinds(difference: &Difference) -> Option<(Kind, Kind)> {
    let kinds = difference.ours().zip(difference.their_item()).map(|(ours, theirs)| (ours.item.kind, theirs.kind));
    kinds.filter(|_| matches!(difference.what, What::Kind | What::Sequence))
}

/// Whether their name is ours with something in front; the root has no name, so that theirs is what is in front.
fn ends_with_ours(difference: &Difference) -> bool {
    let names = difference.ours().zip(difference.their_item());
    names.is_some_and(|(ours, theirs)| {
        let name = &ours.item.name[..];
        name.is_empty() || theirs.name.ends_with(&[b"/", name].concat())
    })
}
