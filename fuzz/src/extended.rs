//! Extended headers: any records, in any order, before an entry.

use super::build::{Archive, Header};
use super::bytes::Bytes;
use super::header::FLAGS;
use super::reading::{self, Setup, Step};
use super::written::record;
use layercage::rules::Quirk;
use layercage::tar::EntryKind;

const KEYS: &[&str] = &[
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "mtime",
    "atime",
    "ctime",
    "uname",
    "comment",
    "hdrcharset",
    "SCHILY.xattr.user.a",
    "SCHILY.xattr.security.capability",
    "SCHILY.xattr.",
    "SCHILY.dev",
    "SCHILY.realsize",
    "LIBARCHIVE.xattr.user.a",
    "GNU.sparse.name",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.size",
    "GNU.sparse.realsize",
    "GNU.sparse.numblocks",
    "GNU.sparse.offset",
    "GNU.sparse.numbytes",
    "GNU.sparse.map",
    "vendor.key",
    "VENDOR.key",
];

const NAMES: &[&str] = &["a", "a/b", "/a//./b/", "..", "a/../b", ".", "", "a\0b", "a\0", "\u{e9}", "a/.wh.b", "dir/"];

/// Reads an archive of extended headers before an entry, and a plain entry behind it.
pub fn extended(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let setup = Setup::choose(&mut bytes);
    let mut archive = Archive::default();
    let mut entry_flag = b'0';
    // Whether every header has the content that it speaks of.
    let mut framed = true;
    while !bytes.is_empty() {
        archive = match bytes.below(9) {
            0..=2 => archive.raw_pax(&records(&mut bytes)),
            3 => archive.long_name(text(&mut bytes)),
            4 => archive.long_link(text(&mut bytes)),
            5 => archive.with(Header::posix(b'g', "g"), records(&mut bytes)),
            6 => archive.raw_pax(bytes.some(80)),
            7 => {
                let size = bytes.number();
                framed &= size == 0;
                archive.header(Header::posix(bytes.pick(b"xgLK"), "-").size(size))
            }
            _ => {
                entry_flag = bytes.pick(&FLAGS[..10]);
                break;
            }
        };
    }
    let content = bytes.some(64);
    let header = Header::posix(entry_flag, "entry").target("target");
    let archive = archive.with(header, content).file("sentinel", "still here").end();
    let steps = reading::read(&archive, &setup);
    if let [.., Step::Entry(entry), Step::Content(content), Step::End(..)] = &steps[..]
        && framed
        && sizes_agree(&steps)
    {
        assert_eq!(entry.path.as_bytes(), b"sentinel", "what stands before one entry is not applied to another");
        assert_eq!(entry.kind, EntryKind::File { size: 10, sparse: None });
        assert_eq!((entry.metadata.mode, entry.metadata.uid, entry.metadata.xattrs.len()), (0o644, 0, 0));
        assert_eq!(content, b"still here");
    }
}

/// Where two sizes are stated and one of them is taken, the archive may end elsewhere.
fn sizes_agree(steps: &[Step]) -> bool {
    steps.iter().all(|step| match step {
        Step::Entry(entry) => !entry
            .quirks
            .iter()
            .any(|quirk| matches!(quirk, Quirk::SizeDisagrees { .. } | Quirk::SizeWithoutData { .. })),
        _ => true,
    })
}

fn records(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    for _ in 0..bytes.below(6) {
        let key = match bytes.byte() {
            known if usize::from(known) < 8 * KEYS.len() => KEYS[usize::from(known) % KEYS.len()].as_bytes(),
            _ => bytes.some(16),
        };
        let value = match bytes.below(6) {
            0 => text(bytes),
            1 | 2 => bytes.number().to_string().into_bytes(),
            3 => format!("{}.{}", bytes.number().cast_signed() >> 8, bytes.number()).into_bytes(),
            4 => format!("{},{}", bytes.below(9), bytes.number()).into_bytes(),
            _ => bytes.some(40).to_vec(),
        };
        let mut record = record(key, &value);
        match bytes.byte() {
            240 => record.insert(0, b'0'),
            241 => record[0] = record[0].wrapping_add(1),
            242 => *record.last_mut().unwrap() = b' ',
            243 => record.push(0),
            _ => (),
        }
        records.extend(record);
    }
    records
}

fn text(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let text = match bytes.byte() {
        known @ 0..=127 => NAMES[usize::from(known) % NAMES.len()].as_bytes().to_vec(),
        128..=200 => bytes.some(120).to_vec(),
        _ => bytes.pick(&["a", "a/", "/"]).repeat(bytes.below(200)).into_bytes(),
    };
    match bytes.byte() & 1 {
        0 => text,
        _ => [&text[..], b"\0"].concat(),
    }
}
