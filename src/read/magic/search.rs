//! Signatures that readers search for after the start of a file.
//!
//! libarchive searches for archives inside programs, and for a zip table at the end of a file. It does so before it
//! accepts the file as tar, unless it is sure of the first header.

use super::numbers::{is_header_to_7zip, is_header_to_libarchive, is_plain};

/// A signature and its position: anywhere, or at one offset.
struct Needle {
    format: &'static str,
    bytes: &'static [u8],
    at: Option<u64>,
    /// What must be at another offset before it. At most one needle of a search has such a part.
    before: Option<(u64, &'static [u8])>,
}

const fn anywhere(format: &'static str, bytes: &'static [u8]) -> Needle {
    Needle { format, bytes, at: None, before: None }
}

const fn at(format: &'static str, at: u64, bytes: &'static [u8]) -> Needle {
    Needle { format, bytes, at: Some(at), before: None }
}

/// Cabinets in a Windows program. libarchive searches the first 128 KiB, and also everything else that it has in its
/// buffer, even the whole file.
const CABINETS: &[Needle] = &[anywhere("cab", b"MSCF\0\0\0\0")];

/// Other archives in a program.
const IN_PROGRAMS: &[Needle] = &[
    anywhere("cab", b"MSCF\0\0\0\0"),
    anywhere("7z", b"7z\xbc\xaf\x27\x1c"),
    anywhere("rar", b"Rar!\x1a\x07"),
    anywhere("lha", b"-lh0-"),
    anywhere("lha", b"-lh1-"),
    anywhere("lha", b"-lh2-"),
    anywhere("lha", b"-lh3-"),
    anywhere("lha", b"-lh4-"),
    anywhere("lha", b"-lh5-"),
    anywhere("lha", b"-lh6-"),
    anywhere("lha", b"-lh7-"),
    anywhere("lha", b"-lhd-"),
    anywhere("lha", b"-lzs-"),
    anywhere("lha", b"-lz4-"),
    anywhere("lha", b"-lz5-"),
    anywhere("zip", b"PK\x05\x06"),
    anywhere("iso9660", b"\x01CD001\x01"),
];

/// The end of a zip archive, and the volume descriptor of an ISO 9660 file system.
const IN_ANYTHING: &[Needle] = &[anywhere("zip", b"PK\x05\x06"), anywhere("iso9660", b"\x01CD001\x01")];

/// Disk images that 7-Zip detects by bytes after their first block.
const IMAGES: &[Needle] = &[
    at("gpt", 512, b"EFI PART"),
    // HFS+ in a volume of HFS, which alone 7-Zip does not read.
    Needle { before: Some((1024, b"BD")), ..at("hfs", 1148, b"H+") },
    at("hfs", 1024, b"H+\0\x04"),
    at("hfs", 1024, b"HX\0\x05"),
    at("ext", 1080, b"\x53\xef"),
    at("lp", 4096, b"gDla"),
    at("udf", 32_768, b"\0BEA01\x01\0"),
    at("iso9660", 32_768, b"\x01CD001"),
];

/// One byte less than the longest of these.
const LONGEST: usize = 7;

/// The search of any reader in an archive that begins with this block; `None` for nearly all archives.
pub(in crate::read) fn searched(block: &[u8]) -> Option<Search> {
    let is_windows = block.starts_with(b"MZ");
    if is_plain(block) && (!is_windows || is_sure(block)) {
        return None;
    }
    let in_programs: &[Needle] = match is_header_to_libarchive(block) {
        false if is_windows || block.starts_with(b"\x7fELF") => IN_PROGRAMS,
        false => IN_ANYTHING,
        true if is_windows && !is_sure(block) => CABINETS,
        true => &[],
    };
    let images: &[Needle] = if is_header_to_7zip(block) { &[] } else { IMAGES };
    if in_programs.is_empty() && images.is_empty() {
        return None;
    }
    let mut search = Search { needles: [in_programs, images], offset: 0, tail: Vec::new(), begun: false, found: None };
    search.look(block);
    Some(search)
}

/// Whether libarchive prefers tar to a cabinet: the magic has its own version.
fn is_sure(block: &[u8]) -> bool {
    block.get(257..265).is_some_and(|magic| matches!(magic, b"ustar\x0000" | b"ustar  \0"))
}

/// A search through all bytes of an archive, with a fixed amount of memory.
pub(in crate::read) struct Search {
    needles: [&'static [Needle]; 2],
    /// The number of bytes searched so far, and the last of them.
    offset: u64,
    tail: Vec<u8>,
    /// Whether the first part of a needle was there.
    begun: bool,
    found: Option<&'static str>,
}

impl Search {
    /// Searches the next bytes.
    pub(in crate::read) fn look(&mut self, bytes: &[u8]) {
        let before = self.tail.len();
        // A match across both buffers.
        self.tail.extend(bytes.iter().take(LONGEST));
        let start = self.offset - before as u64;
        let tail = std::mem::take(&mut self.tail);
        self.look_through(&tail, start);
        self.look_through(bytes, self.offset);
        self.offset += bytes.len() as u64;
        self.tail = match bytes.len().checked_sub(LONGEST) {
            Some(front) => bytes.get(front..).unwrap_or_default().to_vec(),
            None => {
                let kept = tail.len().saturating_sub(LONGEST);
                tail.get(kept..).unwrap_or_default().to_vec()
            }
        };
    }

    /// The format found, returned once.
    pub(in crate::read) fn take_found(&mut self) -> Option<&'static str> {
        self.found.take()
    }

    fn look_through(&mut self, bytes: &[u8], start: u64) {
        for needle in self.needles.into_iter().flatten() {
            let is_at = |at: u64, what: &[u8]| {
                let at = at.checked_sub(start).and_then(|at| usize::try_from(at).ok());
                at.and_then(|at| bytes.get(at..)).is_some_and(|rest| rest.starts_with(what))
            };
            let is_begun = match needle.before {
                None => true,
                Some((at, what)) => {
                    self.begun |= is_at(at, what);
                    self.begun
                }
            };
            let is_there = needle.at.map_or_else(|| contains(bytes, needle.bytes), |at| is_at(at, needle.bytes));
            if is_begun && is_there {
                self.found = Some(needle.format);
            }
        }
    }

    /// Bytes were skipped without a search: they may contain a match.
    #[cfg(feature = "image")]
    pub(in crate::read) fn miss(&mut self) {
        self.found = self.needles.into_iter().flatten().map(|needle| needle.format).next();
    }
}

/// The rows of the page of formats.
#[cfg(test)]
pub(super) fn rows() -> Vec<String> {
    let all = [
        (CABINETS, "`MZ` without magic", "libarchive"),
        (IN_PROGRAMS, "`MZ`, `7f` `ELF`; not plain", "libarchive"),
        (IN_ANYTHING, "not plain", "libarchive"),
        (IMAGES, "not tar to 7-Zip", "7-Zip"),
    ];
    let rows = all.iter().flat_map(|(needles, when, readers)| {
        needles.iter().map(move |Needle { format, bytes, at, before }| {
            let place = at.map_or("anywhere".to_owned(), |at| format!("at {at}"));
            let before = before.map(|(at, bytes)| format!("`{}` at {at}, ", bytes.escape_ascii())).unwrap_or_default();
            format!("| {format} | {before}`{}` {place} | {when} | {readers} |", bytes.escape_ascii())
        })
    });
    rows.collect()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(&first) = needle.first() else { return false };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == first) {
        let behind = rest.get(at..).unwrap_or_default();
        if behind.starts_with(needle) {
            return true;
        }
        rest = behind.get(1..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with this name, this magic, and this where the numbers of a device are.
    fn block(name: &[u8], magic: &[u8; 8], device: &[u8; 8]) -> [u8; 512] {
        let mut block = *include_bytes!("plain");
        block[..name.len()].copy_from_slice(name);
        block[257..265].copy_from_slice(magic);
        block[329..337].copy_from_slice(device);
        block
    }

    const SURE: &[u8; 8] = b"ustar\x0000";
    const OLD: &[u8; 8] = &[0; 8];
    const NUMBER: &[u8; 8] = b"0000001\0";

    #[test]
    fn nothing_is_searched_for_in_ordinary_archives() {
        for name in [&b"./"[..], b"bin/", b"MZ/a", b"PK"] {
            assert!(searched(&block(name, SURE, NUMBER)).is_none());
            assert!(searched(&block(name, b"ustar  \0", &[0; 8])).is_none());
        }
        assert!(searched(&block(b"./", OLD, &[0; 8])).is_none());
    }

    #[test]
    fn what_lies_across_two_chunks_is_found() {
        let archive = [&block(b"MZ", OLD, NUMBER)[..], &[b'M'; 700], b"MSCF\0\0\0\0", &[0; 100]].concat();
        for at in 512..archive.len() {
            for size in [1, 2, 3, 7, 8, 9, 4096] {
                let mut search = searched(&archive[..512]).unwrap();
                search.look(&archive[512..at]);
                archive[at..].chunks(size).for_each(|chunk| search.look(chunk));
                assert_eq!(search.take_found(), Some("cab"), "{at} and {size}");
                assert_eq!(search.take_found(), None);
            }
        }
    }

    #[test]
    fn only_what_the_first_header_lets_a_reader_search_for_is_found() {
        type Row = (&'static [u8], &'static [u8; 8], &'static [u8; 8], &'static [u8], Option<&'static str>);
        let rows: &[Row] = &[
            (b"MZ", OLD, NUMBER, b"MSCF\0\0\0\0", Some("cab")),
            (b"MZ", b"ustar\x0011", NUMBER, b"MSCF\0\0\0\0", Some("cab")),
            (b"MZ", OLD, NUMBER, b"MSCF\0\0\0a", None),
            (b"MZ", OLD, NUMBER, b"Rar!\x1a\x07\0", None),
            (b"MZ", SURE, b"rubbish!", b"Rar!\x1a\x07\0", Some("rar")),
            (b"f", OLD, b"rubbish!", b"Rar!\x1a\x07\0", None),
            (b"f", OLD, b"rubbish!", b"PK\x05\x06", Some("zip")),
            (b"f", OLD, b"rubbish!", b"\x01CD001\x01", Some("iso9660")),
            (b"f", OLD, b"rubbish!", b"EFI PART", Some("gpt")),
            (b"f", OLD, b"rubbish!", b"xEFI PART", None),
            // No device to 7-Zip, and so a header.
            (b"f", OLD, b"\0ubbish!", b"EFI PART", None),
            (b"f", OLD, b"\0ubbish!", b"PK\x05\x06", None),
        ];
        for (name, magic, device, content, expected) in rows {
            let found = searched(&block(name, magic, device)).and_then(|mut search| {
                search.look(content);
                search.take_found()
            });
            assert_eq!(found, *expected, "{}", content.escape_ascii());
        }
    }

    #[test]
    fn two_letters_at_the_place_of_a_volume_are_one_only_if_it_holds_another_one() {
        let volume = |first: &[u8], behind: &[u8]| {
            let mut archive = block(b"f", OLD, b"rubbish!").to_vec();
            archive.resize(4096, 0);
            archive[1024..1024 + first.len()].copy_from_slice(first);
            archive[1148..1148 + behind.len()].copy_from_slice(behind);
            archive
        };
        for (first, behind, expected) in [
            (&b"BDelete"[..], &b""[..], None),
            (b"BD", b"H+", Some("hfs")),
            (b"B", b"H+", None),
            (b"H+\0\x04", b"", Some("hfs")),
            (b"H+\0\x05", b"", None),
            (b"HX\0\x05", b"", Some("hfs")),
        ] {
            let archive = volume(first, behind);
            for size in [1, 3, 512, 1149, 4096] {
                let mut search = searched(&archive[..512]).unwrap();
                archive[512..].chunks(size).for_each(|chunk| search.look(chunk));
                assert_eq!(search.take_found(), expected, "{first:?} {behind:?} {size}");
            }
        }
    }
}
