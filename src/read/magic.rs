//! What formats begin with.
//!
//! A tar header begins with a name, and that name can also be the signature of another format. Readers with more
//! formats than tar check some of them first, and then unpack a different archive than we do. The table here has the
//! signatures that these readers check. `docs/formats.md` is made from it. `tests/differential/formats.rs` runs the
//! readers themselves.

mod lzma;
mod numbers;
mod search;

use numbers::{is_header_to_7zip, is_plain};
pub(super) use search::{Search, searched};

/// Compressions that layers do not have.
const COMPRESSIONS: &[(&[u8], &str)] =
    &[(b"\xfd7zXZ\0", "xz"), (b"\x04\x22\x4d\x18", "lz4"), (b"LZIP\x01", "lzip"), (b"\x1f\x9d", "compress")];

/// The compression that a layer should not have, so that a message can name it.
pub(super) fn compression(first: &[u8]) -> Option<&'static str> {
    let known = COMPRESSIONS.iter().find(|(magic, _)| first.starts_with(magic)).map(|&(_, format)| format);
    // The three letters of bzip2 may begin a name in a plain tar; its whole first header may not.
    known.or_else(|| is_bzip2(first).then_some("bzip2")).or_else(|| lzma::is_lzip(first).then_some("lzip"))
}

/// A format, and how its files begin.
struct Format {
    name: &'static str,
    /// The signature, as text for the page.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page is made from it"))]
    begins: &'static str,
    begin: fn(&[u8]) -> bool,
    when: When,
    /// The readers that check for it, or that list the format.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page is made from it"))]
    readers: &'static str,
}

/// The kind of first header in which a format is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// Every header: some reader prefers the format to tar, or no meaningful name begins like this.
    Always,
    /// Only headers that are not plain tar. For plain ones, readers prefer tar, and ordinary names may begin like this.
    NotPlain,
    /// Only headers that 7-Zip does not accept. For others, it prefers tar, and no other reader looks for the format.
    Not7Zip,
}

impl When {
    /// Whether the format is looked for in an archive that begins with this block.
    fn includes(self, block: &[u8]) -> bool {
        match self {
            Self::Always => true,
            Self::NotPlain => !is_plain(block),
            Self::Not7Zip => !is_header_to_7zip(block),
        }
    }

    #[cfg(test)]
    fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::NotPlain => "not plain",
            Self::Not7Zip => "not tar to 7-Zip",
        }
    }
}

const fn format(
    name: &'static str,
    begins: &'static str,
    begin: fn(&[u8]) -> bool,
    when: When,
    readers: &'static str,
) -> Format {
    Format { name, begins, begin, when, readers }
}

/// The formats that readers detect at the start of a file.
///
/// libarchive checks its filters before its formats: a filter counts, with any content after it. Python tries all its
/// compressions before tar. 7-Zip prefers wim, xz, zip and zstd to tar, and all other formats if it does not accept the
/// tar header. file(1) detects tar by its checksum, before other formats.
#[rustfmt::skip]
const FORMATS: &[Format] = {
    use When::{Always, Not7Zip, NotPlain};
    &[
        // Compressions.
        format("gzip", "`1f 8b`", |b| b.starts_with(b"\x1f\x8b"), Always, "libarchive, Python, 7-Zip"),
        format("zstd", "`28 b5 2f fd`", |b| b.starts_with(b"\x28\xb5\x2f\xfd"), Always, "libarchive, Python 3.14, 7-Zip"),
        format("zstd", "`50` to `5f`, `2a 4d 18`", |b| matches!(b, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]), Always, "libarchive, Python 3.14"),
        format("xz", "`fd` `7zXZ` `00`", |b| b.starts_with(b"\xfd7zXZ\0"), Always, "libarchive, Python, 7-Zip"),
        format("bzip2", "`BZh`, a digit, the mark of a block or of the end", is_bzip2, Always, "libarchive, Python, 7-Zip"),
        format("lzip", "`LZIP`, version 0 or 1, the size of a dictionary", lzma::is_lzip, Always, "libarchive, Python"),
        format("lzip", "`LZIP` `01`", |b| b.starts_with(b"LZIP\x01"), Always, "libarchive, Python"),
        format("lzma", "properties, and a size of a dictionary that encoders write", lzma::is_lzma, Always, "libarchive, Python"),
        format("lzma", "the same, and a size of nothing", lzma::is_header, Not7Zip, "7-Zip"),
        format("lz4", "`04 22 4d 18`", |b| b.starts_with(b"\x04\x22\x4d\x18"), Always, "libarchive"),
        format("lz4", "`02 21 4c 18`", |b| b.starts_with(b"\x02\x21\x4c\x18"), Always, "libarchive"),
        format("compress", "`1f 9d`", |b| b.starts_with(b"\x1f\x9d"), Always, "libarchive, 7-Zip"),
        format("lzop", "`89` `LZO` `00 0d 0a 1a 0a`", |b| b.starts_with(b"\x89LZO\0\r\n\x1a\n"), Always, "libarchive"),
        format("grzip", "`GRZipII` `00 02 04` `:)`", |b| b.starts_with(b"GRZipII\0\x02\x04:)"), Always, "libarchive"),
        format("lrzip", "`LRZI` `00`, a version from 6 on", |b| matches!(b, [b'L', b'R', b'Z', b'I', 0, 6..=255, ..]), Always, "libarchive"),
        format("rpm", "`ed ab ee db`", |b| b.starts_with(b"\xed\xab\xee\xdb"), Always, "libarchive, 7-Zip"),
        format("uuencode", "a line `begin` or `begin-base64` in the name", is_encoded, Always, "libarchive"),
        format("mslz", "`SZDD` `88 f0` `'3A`", |b| b.starts_with(b"SZDD\x88\xf0'3A"), Always, "7-Zip"),
        format("ppmd", "`8f af ac 84`", |b| b.starts_with(b"\x8f\xaf\xac\x84"), Always, "7-Zip"),
        // Archives.
        format("ar", "`!<arch>` and a newline", |b| b.starts_with(b"!<arch>\n"), Always, "libarchive, 7-Zip"),
        format("xar", "`xar!` `00 1c`", |b| b.starts_with(b"xar!\0\x1c"), Always, "libarchive, 7-Zip"),
        format("cab", "`MSCF` `00 00 00 00`", |b| b.starts_with(b"MSCF\0\0\0\0"), Always, "libarchive, 7-Zip"),
        format("WARC", "`WARC/`, a version and the end of a line", is_warc, Always, "libarchive"),
        format("zip", "`PK`, the mark of a record", |b| matches!(b, [b'P', b'K', 1, 2, ..] | [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5 | 6, 6, ..] | [b'P', b'K', 7, 8, ..]), Always, "7-Zip, libarchive"),
        format("zip", "`PK00PK`", |b| b.starts_with(b"PK00PK"), Always, "7-Zip"),
        format("zip", "`PK00`", |b| b.starts_with(b"PK00"), NotPlain, "libarchive"),
        format("wim", "`MSWIM` `00 00 00`, the size of a header", |b| b.starts_with(b"MSWIM\0\0\0") && b.get(8).is_some_and(|&size| size != 0), Always, "7-Zip"),
        format("7z", "`7z` `bc af 27 1c`", |b| b.starts_with(b"7z\xbc\xaf\x27\x1c"), Always, "libarchive, 7-Zip"),
        format("rar", "`Rar!` `1a 07`", |b| b.starts_with(b"Rar!\x1a\x07"), Always, "libarchive, 7-Zip"),
        format("cpio", "`070701`, `070702`, `070707` or `070727`", |b| matches!(b, [b'0', b'7', b'0', b'7', b'0', b'1' | b'2' | b'7', ..] | [b'0', b'7', b'0', b'7', b'2', b'7', ..]), NotPlain, "libarchive, 7-Zip"),
        format("cpio", "`71 c7` or `c7 71`", |b| matches!(b, [0x71, 0xc7, ..] | [0xc7, 0x71, ..]), NotPlain, "libarchive, 7-Zip"),
        format("lha", "`-lh` or `-lz` behind two bytes", |b| matches!(b, [_, _, b'-', b'l', b'h' | b'z', _, b'-', ..]), NotPlain, "libarchive, 7-Zip"),
        format("mtree", "`#mtree`, or a whole line in the name", |b| b.starts_with(b"#mtree") || text(b).contains(&b'\n'), NotPlain, "libarchive"),
        format("arj", "`60 ea`", |b| b.starts_with(b"\x60\xea"), Not7Zip, "7-Zip"),
        format("chm", "`ITSF` `03 00`", |b| b.starts_with(b"ITSF\x03\0"), Always, "7-Zip"),
        format("hxs", "`ITOLITLS` `01 00`", |b| b.starts_with(b"ITOLITLS\x01\0"), Always, "7-Zip"),
        format("compound", "`d0 cf 11 e0 a1 b1 1a e1`", |b| b.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), Always, "7-Zip"),
        format("nsis", "`ef be ad de` `NullsoftInst` at 4", |b| at(b, 4, b"\xef\xbe\xad\xdeNullsoftInst"), Always, "7-Zip"),
        // Programs and images of disks, which 7-Zip opens as archives.
        format("elf", "`7f` `ELF`", |b| b.starts_with(b"\x7fELF"), Always, "7-Zip; libarchive searches behind it"),
        format("pe", "`MZ`, and where the header is at 60", is_pe, Always, "7-Zip; libarchive searches behind `MZ`"),
        format("te", "`VZ` and a machine", |b| matches!(b, [b'V', b'Z', _, 1 | 2 | 0x50 | 0x64 | 0x86 | 0xaa, ..]), Not7Zip, "7-Zip"),
        format("macho", "`fe ed fa ce` or `cf`, in either order", |b| matches!(b, [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..]), Always, "7-Zip"),
        format("mub", "`ca fe ba be` `00 00 00` or `b9 fa f1 0e`", |b| b.starts_with(b"\xca\xfe\xba\xbe\0\0\0") || b.starts_with(b"\xb9\xfa\xf1\x0e"), Always, "7-Zip"),
        format("swf", "`FWS`, `CWS` or `ZWS`, and a version below 64", |b| matches!(b, [b'F' | b'C' | b'Z', b'W', b'S', 1..=31, ..]), Always, "7-Zip"),
        format("flv", "`FLV` `01`", |b| b.starts_with(b"FLV\x01"), Always, "7-Zip"),
        format("dmg", "`koly` `00 00 00 04`", |b| b.starts_with(b"koly\0\0\0\x04"), Always, "7-Zip"),
        format("qcow", "`QFI` `fb`", |b| b.starts_with(b"QFI\xfb"), Always, "7-Zip"),
        format("vmdk", "`KDMV`", |b| b.starts_with(b"KDMV"), Not7Zip, "7-Zip"),
        format("vhd", "`conectix` `00 00`", |b| b.starts_with(b"conectix\0\0"), Not7Zip, "7-Zip"),
        format("vhdx", "`vhdxfile`", |b| b.starts_with(b"vhdxfile"), Not7Zip, "7-Zip"),
        format("vdi", "`7f 10 da be` at 64", |b| at(b, 64, b"\x7f\x10\xda\xbe"), Always, "7-Zip"),
        format("simg", "`3a ff 26 ed`", |b| b.starts_with(b"\x3a\xff\x26\xed"), Always, "7-Zip"),
        format("squashfs", "`hsqs`, `sqsh`, `shsq` or `qshs`", |b| [b"hsqs", b"sqsh", b"shsq", b"qshs"].iter().any(|magic| b.starts_with(*magic)), Not7Zip, "7-Zip"),
        format("cramfs", "`Compressed ROMFS` at 16", |b| at(b, 16, b"Compressed ROMFS"), Not7Zip, "7-Zip"),
        format("ntfs", "`NTFS` and four blanks at 3", |b| at(b, 3, b"NTFS    \0"), Not7Zip, "7-Zip"),
        format("fat", "`55 aa` at 510", |b| at(b, 510, b"\x55\xaa"), Not7Zip, "7-Zip"),
        format("apm", "`ER`, the size of a block, zeros at 12", |b| matches!(b, [b'E', b'R', 2 | 4 | 8 | 16, 0, ..]) && at(b, 12, b"\0\0\0\0"), Not7Zip, "7-Zip"),
        format("apfs", "`NXSB` `00` at 32", |b| at(b, 32, b"NXSB\0"), Not7Zip, "7-Zip"),
        format("uefi", "the GUID of a capsule", |b| b.starts_with(b"\xbd\x86\x66\x3b\x76\x0d\x30\x40") || b.starts_with(b"\x8b\xa6\x3c\x4a\x23\x77\xfb\x48") || b.starts_with(b"\xb9\x82\x91\x53\xb5\xab\x91\x43"), Always, "7-Zip"),
        format("uefi", "the GUID of a volume at 16", |b| at(b, 16, b"\xd9\x54\x93\x7a\x68\x04\x4a\x44") || at(b, 16, b"\x78\xe5\x8c\x8c\x3d\x8a\x1c\x4f"), Always, "7-Zip"),
    ]
};

/// The format that some reader detects in an archive that begins with this block, although it is a tar header.
pub(super) fn foreign(block: &[u8]) -> Option<&'static str> {
    FORMATS.iter().find(|format| (format.begin)(block) && format.when.includes(block)).map(|format| format.name)
}

/// Whether some reader takes an archive that begins with this block for another format, or searches behind it for one.
#[cfg(feature = "unpack")]
pub(crate) fn is_doubtful_start(block: &[u8]) -> bool {
    foreign(block).is_some() || searched(block).is_some()
}

fn at(block: &[u8], at: usize, magic: &[u8]) -> bool {
    block.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

/// The bytes before the first NUL.
fn text(block: &[u8]) -> &[u8] {
    block.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The header of DOS, which says where that of Windows is. Of a name there are no more than 100 bytes, and what is text
/// at 60 is no place in a file.
fn is_pe(block: &[u8]) -> bool {
    let place = block.get(60..64).and_then(|bytes| bytes.first_chunk()).map(|&bytes| u32::from_le_bytes(bytes));
    block.starts_with(b"MZ") && place.is_some_and(|place| (1..0x1_0000).contains(&place))
}

fn is_bzip2(first: &[u8]) -> bool {
    let block = first.strip_prefix(b"BZh").and_then(|rest| rest.strip_prefix(&[*rest.first()?]));
    block.is_some_and(|block| block.starts_with(b"1AY&SY") || block.starts_with(b"\x17\x72\x45\x38\x50\x90"))
}

/// A version and the end of its line.
fn is_warc(block: &[u8]) -> bool {
    block.strip_prefix(b"WARC/").is_some_and(|rest| rest.iter().take(8).any(|&byte| byte == b'\n'))
}

/// Whether a line of the text in front begins what is encoded. It need not be the first.
fn is_encoded(block: &[u8]) -> bool {
    let text = block.split(|&byte| byte == 0).next().unwrap_or_default();
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let whole = text.iter().rposition(is_end).and_then(|end| text.get(..end)).unwrap_or_default();
    whole.split(is_end).any(|line| {
        let mode = line.strip_prefix(b"begin ").or_else(|| line.strip_prefix(b"begin-base64 "));
        matches!(mode, Some([b'0'..=b'7', b'0'..=b'7', b'0'..=b'7', b' ', ..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_formats_is_made_from_the_table() {
        let rows = FORMATS.iter().map(|format| {
            format!("| {} | {} | {} | {} |", format.name, format.begins, format.when.name(), format.readers)
        });
        let rows: Vec<_> = rows.chain(search::rows()).collect();
        let page = include_str!("../../docs/formats.md");
        let kept: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
        assert_eq!(kept, rows, "docs/formats.md should have:\n{}", rows.join("\n"));
    }

    #[test]
    fn names_begin_like_other_formats_only_on_purpose() {
        let rows: &[(&[u8], Option<&str>)] = &[
            (b"", None),
            (b"\0", None),
            (b"bin/", None),
            (b"./", None),
            (b".\0\0\0\0\0", None),
            (b"a\0b\0\0\0", None),
            (b"begin", None),
            (b"begin 644 x", None),
            (b"begin again\nand again\n", None),
            (b"WARC/1.0", None),
            (b"MSCFX", None),
            (b"MSCF", Some("cab")),
            (b"xar!/a", None),
            (b"!<arch>", None),
            (b"BZh9", None),
            (b"LZIPPED", None),
            (b"LZIP", None),
            (b"LZIP\0\0\0\0\0\0", None),
            (b"LZIP\0\x0c", Some("lzip")),
            (b"MZ", None),
            (b"PK", None),
            (b"PK00", None),
            (b"PK\x03\x04", Some("zip")),
            (b"070701", None),
            (b"Rar!", None),
            (b"Rar!\x1a\x07\0", Some("rar")),
            (b"\x7fELF", Some("elf")),
            (b"MSWIM\0\0\0\0\0", None),
            (b"VZ", None),
            (b"hsqs", None),
            (b"#mtree", None),
            (b"LRZIP", None),
            (b"LRZI\0\0", None),
            (b"LRZI\0\x06", Some("lrzip")),
            (b"\x1f\x8b\x08\x04", Some("gzip")),
            (b"\x28\xb5\x2f\xfd", Some("zstd")),
            (b"P*M\x18", Some("zstd")),
            (b"\xfd7zXZ\0", Some("xz")),
            (b"BZh91AY&SY", Some("bzip2")),
            (b"\x04\x22\x4d\x18", Some("lz4")),
            (b"LZIP\x01", Some("lzip")),
            (b"\x89LZO\0\r\n\x1a\n", Some("lzop")),
            (b"\x1f\x9d\x90", Some("compress")),
            (b"]\0\0\x80\0\xff", Some("lzma")),
            (b"a\0\x10\0\0", Some("lzma")),
            (b"\xed\xab\xee\xdb", Some("rpm")),
            (b"xar!\0\x1c\0\x01", Some("xar")),
            (b"MSCF\0\0\0\0", Some("cab")),
            (b"WARC/1.0\r\n", Some("WARC")),
            (b"!<arch>\n", Some("ar")),
            (b"begin 644 x\n#aaaa\n", Some("uuencode")),
            (b"a\r\nbegin-base64 644 x\nYWFh\n", Some("uuencode")),
        ];
        for (name, expected) in rows {
            let mut block = *include_bytes!("magic/plain");
            block[..name.len()].copy_from_slice(name);
            assert_eq!(foreign(&block), *expected, "{}", name.escape_ascii());
        }
    }
}
