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
        reason: "for a sparse file with PAX records, returns the stored data as the content, and the stand-in name \
                 of the header",
        applies: |difference, anatomy| {
            matches!(difference.what, What::Name | What::Size | What::Content) && anatomy.is_pax_sparse()
        },
    },
    Exception {
        name: "tar-crate-newline-in-record",
        peer: "tar crate",
        reason: "treats a newline in a PAX value as the end of the record, and ignores all further records",
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
        reason: "returns the time in the header, even if a PAX record has another",
        applies: |difference, anatomy| difference.what == What::Time && anatomy.position(b"mtime").is_some(),
    },
    Exception { name: "tar-crate-gnu-prefix", peer: "tar crate", reason: GNU_PREFIX, applies: gnu_prefix },
    Exception { name: "gnu-tar-gnu-prefix", peer: "GNU tar", reason: GNU_PREFIX, applies: gnu_prefix },
    Exception {
        name: "libarchive-gnu-prefix",
        peer: "libarchive",
        reason: "ignores the ustar prefix in a header with GNU magic (the quirk `gnu-prefix`), and reads the end of \
                 a long prefix as a sparse map, which may continue in the next header",
        applies: |difference, _| is_gnu_prefix(difference) && !matches!(difference.what, What::Target | What::Device),
    },
    Exception {
        name: "libarchive-negative-fraction",
        peer: "libarchive",
        reason: "adds the fraction of a negative time to its seconds instead of subtracting it (the quirk \
                 `negative-fraction`)",
        applies: |difference, _| {
            let time = difference.ours().map(|ours| ours.entry.metadata.mtime);
            difference.what == What::Time && time.is_some_and(|time| time.seconds() < 0 && time.nanoseconds() > 0)
        },
    },
    Exception { name: "libarchive-empty-number", peer: "libarchive", reason: EMPTY_NUMBER, applies: empty_number },
    Exception { name: "tarfile-empty-number", peer: "tarfile", reason: EMPTY_NUMBER, applies: empty_number },
    Exception {
        name: "libarchive-target-elsewhere",
        peer: "libarchive",
        reason: "returns an empty file for a link whose target is only in an extended header, as Go writes a target \
                 without ASCII letters",
        applies: |difference, anatomy| {
            let is_link =
                difference.ours().is_some_and(|ours| matches!(ours.item.kind, Kind::Symlink | Kind::HardLink));
            is_link && anatomy.has_no_target() && matches!(difference.what, What::Kind | What::Target)
        },
    },
    Exception {
        name: "gnu-tar-whiteout-target",
        peer: "GNU tar",
        reason: "removes the start of a hard link's target up to a `..`; only whiteouts and AUFS bookkeeping may \
                 have such a target, which is ignored",
        applies: |difference, _| {
            let name = difference.ours().map_or(&[][..], |ours| &ours.item.name);
            let is_ignored = name.split(|&byte| byte == b'/').any(|component| component.starts_with(b".wh."));
            difference.what == What::Target && is_ignored
        },
    },
    Exception {
        name: "gnu-tar-nul-root",
        peer: "GNU tar",
        reason: "treats the root `/` of type NUL as a file, and fails to create it",
        applies: |difference, anatomy| {
            let root = difference.ours().is_some_and(|ours| ours.item.name.is_empty());
            root && anatomy.flag() == Some(0) && kinds(difference) == Some((Kind::Directory, Kind::File))
        },
    },
    Exception {
        name: "tar-crate-nul-directory",
        peer: "tar crate",
        reason: "returns a file instead of a directory for type NUL, POSIX magic and a name that ends in a slash",
        applies: |difference, anatomy| {
            anatomy.flag() == Some(0)
                && anatomy.magic().starts_with(b"ustar\0")
                && kinds(difference) == Some((Kind::Directory, Kind::File))
        },
    },
    Exception {
        name: "tar-crate-version",
        peer: "tar crate",
        reason: "treats a header with POSIX magic and a version other than 00 as version 7: without prefix and \
                 device, and never as an extended header",
        applies: |difference, anatomy| {
            let other = anatomy.magic().starts_with(b"ustar\0") && !anatomy.magic().ends_with(b"00");
            let sequence = difference.what == What::Sequence && anatomy.has_odd_extended();
            sequence || matches!(difference.what, What::Name | What::Device) && other
        },
    },
    Exception {
        name: "tarfile-gnu-times",
        peer: "tarfile",
        reason: "reads the times in a header with GNU magic as a ustar prefix (the quirk `gnu-times`)",
        applies: |difference, anatomy| {
            difference.what == What::Name && anatomy.magic() == b"ustar  \0" && ends_with_ours(difference)
        },
    },
    Exception {
        name: "tarfile-directory-by-field",
        peer: "tarfile",
        reason: "for type NUL without content and a long name, looks for the final slash in the truncated name of \
                 the header: returns a directory or a file by that",
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
        reason: "returns the stand-in name in `path` for a sparse file if that record follows `GNU.sparse.name`, as \
                 GNU tar writes it for long names",
        applies: |difference, anatomy| {
            let name = anatomy.position(b"GNU.sparse.name");
            difference.what == What::Name && name.zip(anatomy.position(b"path")).is_some_and(|(name, path)| name < path)
        },
    },
    Exception {
        name: "tarfile-bad-number",
        peer: "tarfile",
        reason: "ends without an error at a header with a malformed number that is not used: the device number of \
                 another type, or the owner, mode or time of an extended header",
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
    "ignores the ustar prefix in a header with GNU magic, as Go before 1.8 could write it (the quirk `gnu-prefix`)";

const EMPTY_NUMBER: &str = "reads an empty owner, group or time in a PAX record as zero (the quirk `pax-empty`)";

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
