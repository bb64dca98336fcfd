//! Readers that know more formats than tar: whatever one of them takes for another format, we refuse.
//!
//! Each archive here is a tar of two files. The first has a name that another format begins with; the second is called
//! `plain`, and a reader that does not list it has read something else. `docs/formats.md` has what we look for.

use crate::corpus::build::{Archive, Header, tar};
use crate::corpus::compress::{gzip, zstd};
use crate::corpus::foreign::{LZIP, behind_nothing, lzma};
use layercage::policy::Verdict;
use layercage::rules::Quirk;
use layercage::tar::{EndMark, TarReader};
use layercage::{Limits, Policy};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// A format of the page, and what its files begin with.
const SAMPLES: &[(&str, &[u8])] = &[
    ("gzip", b"\x1f\x8b\x08"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("zstd", b"\x5f\x2a\x4d\x18\x10\0\0\0"),
    ("xz", b"\xfd7zXZ\0\0\x04"),
    ("bzip2", b"BZh91AY&SY"),
    ("bzip2", b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0"),
    ("lzip", b"LZIP\x01\x0c"),
    ("lzip", b"LZIP\0\x0c"),
    ("lzma", b"]\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff"),
    ("lzma", b"]\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"),
    ("lzma", b"\x1a\x02"),
    ("lz4", b"\x04\x22\x4d\x18\x64\x40\xa7"),
    ("lz4", b"\x02\x21\x4c\x18"),
    ("compress", b"\x1f\x9d\x90"),
    ("lzop", b"\x89LZO\0\r\n\x1a\n"),
    ("grzip", b"GRZipII\0\x02\x04:)"),
    ("lrzip", b"LRZI\0\x06"),
    ("rpm", b"\xed\xab\xee\xdb\x03\0\0\0"),
    ("uuencode", b"begin 644 x\n#YWFH\n`\nend\n"),
    ("uuencode", b"begin-base64 644 x\nYWFh\n====\n"),
    ("mslz", b"SZDD\x88\xf0\x27\x33Ax\x04\0\0\0\xffevil"),
    ("ppmd", b"\x8f\xaf\xac\x84"),
    ("ar", b"!<arch>\n"),
    ("xar", b"xar!\0\x1c\0\x01"),
    ("cab", b"MSCF\0\0\0\0"),
    ("WARC", b"WARC/1.0\r\n"),
    ("zip", b"PK\x03\x04"),
    ("zip", b"PK\x01\x02"),
    ("zip", b"PK\x05\x06"),
    ("zip", b"PK\x06\x06"),
    ("zip", b"PK\x07\x08PK\x03\x04"),
    ("zip", b"PK00PK\x03\x04"),
    ("wim", b"MSWIM\0\0\0\xd0\0\0\0\0\x0d\x01\0"),
    ("7z", b"7z\xbc\xaf\x27\x1c\0\x04"),
    ("rar", b"Rar!\x1a\x07\0"),
    ("rar", b"Rar!\x1a\x07\x01\0"),
    ("cpio", b"070701"),
    ("cpio", b"070702"),
    ("cpio", b"070707"),
    ("cpio", b"070727"),
    ("cpio", b"\x71\xc7"),
    ("cpio", b"\xc7\x71"),
    ("lha", b"\x1a:-lh0-"),
    ("lha", b"\x1a:-lz5-"),
    ("mtree", b"#mtree\n"),
    ("mtree", b"./a type=file mode=0644\n"),
    ("arj", b"\x60\xea\x28\0\x1e\x06\x01\0"),
    ("chm", b"ITSF\x03\0\0\0\x60\0\0\0"),
    ("hxs", b"ITOLITLS\x01\0\0\0(\0\0\0"),
    ("compound", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ("nsis", b"\0\0\0\0\xef\xbe\xad\xdeNullsoftInst"),
    ("elf", b"\x7fELF\x02\x01\x01"),
    ("pe", b"MZ\x90\0\x03\0\0\0"),
    ("te", b"VZ\x4c\x01"),
    ("macho", b"\xcf\xfa\xed\xfe\x07\0\0\x01"),
    ("mub", b"\xca\xfe\xba\xbe\0\0\0\x02"),
    ("swf", b"FWS\x09"),
    ("swf", b"CWS\x09"),
    ("flv", b"FLV\x01\x05\0\0\0\x09\0\0\0\0"),
    ("dmg", b"koly\0\0\0\x04\0\0\x02\0"),
    ("qcow", b"QFI\xfb\0\0\0\x02"),
    ("vmdk", b"KDMV\x01\0\0\0"),
    ("vhd", b"conectix\0\0\0\x02"),
    ("vhdx", b"vhdxfile"),
    ("vdi", b"<<< image of a disk >>>\n                                        \x7f\x10\xda\xbe"),
    ("simg", b"\x3a\xff\x26\xed\x01\0"),
    ("squashfs", b"hsqs"),
    ("cramfs", b"\x45\x3d\xcd\x28            Compressed ROMFS"),
    ("ntfs", b"\xeb\x52\x90NTFS    \0"),
    ("apm", b"ER\x02\0"),
    ("apfs", b"                                NXSB\0"),
    ("uefi", b"\xbd\x86\x66\x3b\x76\x0d\x30\x40\xb7\x0e\xb5\x51\x9e\x2f\xc5\xa0"),
    ("uefi", b"                \xd9\x54\x93\x7a\x68\x04\x4a\x44\x81\xce\x0b\xf6\x17\xd8\x90\xdf"),
];

/// Formats of the page whose mark no name can hold.
const BEHIND_NAMES: &[&str] = &["fat", "gpt", "hfs", "ext", "lp", "udf", "iso9660"];

/// What the first header is like.
type Dress = (&'static str, fn(Header) -> Header);

const DRESSES: &[Dress] = &[
    ("POSIX", |header| header.bytes(257, b"ustar\x0000")),
    ("GNU", |header| header.bytes(257, b"ustar  \0")),
    ("no magic", |header| header.bytes(257, &[0; 8])),
    ("another version", |header| header.bytes(257, b"ustar\x0011")),
    ("no number", |header| header.bytes(257, &[0; 8]).raw_major(b"rubbish!")),
    ("no number in POSIX", |header| header.bytes(257, b"ustar\x0000").raw_major(b"rubbish!")),
    ("a number after a NUL", |header| header.bytes(257, &[0; 8]).raw_major(b"\0ubbish!")),
    ("base-256", |header| header.bytes(257, b"ustar  \0").raw_uid(b"\x80\0\0\0\0\0\0\x01")),
    ("base-256 in the time", |header| header.bytes(257, b"ustar  \0").raw_mtime(b"\x80\0\0\0\0\0\0\x02\0\0\0\0")),
    ("a time before 1970", |header| header.bytes(257, b"ustar  \0").raw_mtime(&[0xff; 12])),
];

fn archive(dress: Dress, name: &[u8], content: &[u8]) -> Vec<u8> {
    let header = (dress.1)(Header::posix(b'0', name));
    tar().with(header, content).file("plain", "").end()
}

/// The map of a disk with one partition, behind its first block.
fn partitions() -> Vec<u8> {
    let mut map = vec![0; 2048];
    map[..2].copy_from_slice(b"PM");
    // How many entries the map has, where the partition begins, and its blocks.
    for (at, number) in [(4, 1_u32), (8, 1), (12, 2), (84, 2)] {
        map[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }
    map[16..20].copy_from_slice(b"evil");
    map[48..57].copy_from_slice(b"Apple_HFS");
    map
}

/// Archives of other formats that lie in a tar, and a reader that takes each for what it is not.
fn archives_of_two_formats() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let [posix, gnu, old, version, unsure, ..] = DRESSES else { panic!("{}", DRESSES.len()) };
    let inner = tar().file("evil", "").end();
    let name = |name: &[u8], content: &[u8]| archive(*posix, name, content);
    let member = b"!<arch>\nevil/           0           0     0     100644  4         `\nevil";
    let cpio = b"0707070000010000011006440000000000000000010000000000000000000000500000000004evil\0evil";
    // A member whose extra field is the rest of the header, and its data the content.
    let front = b"\x1f\x8b\x08\x04AAAA\x02\x03\xf4\x01";
    let behind = &gzip(&inner)[10..];
    let frame = [&[0; 424][..], &zstd(&inner)].concat();
    let in_program = |name: &[u8], at: usize, magic: &[u8]| [&vec![0; at - 512 - name.len()][..], magic].concat();
    vec![
        ("lzip", name(LZIP, b""), "libarchive"),
        ("lzip in GNU", archive(*gnu, LZIP, b""), "tarfile"),
        ("lzma without a dictionary", name(&lzma(0), b""), "tarfile"),
        ("lzma with a dictionary of 2 KiB", name(&lzma(2048), b""), "tarfile"),
        ("lzma with a dictionary of 4 KiB", name(&lzma(4096), b""), "tarfile"),
        ("lzma behind lzma of nothing", name(&behind_nothing(), b""), "tarfile"),
        ("gzip", name(front, behind), "libarchive"),
        ("zstd behind a frame to be skipped", name(b"\x50\x2a\x4d\x18\x90\x03\0\0", &frame), "libarchive"),
        ("a cabinet in a program", archive(*old, b"MZ", &cabinet(600)), "libarchive"),
        ("a cabinet in a program of another version", archive(*version, b"MZ", &cabinet(100_000)), "libarchive"),
        ("ar", archive(*old, member, b""), "libarchive"),
        ("WARC", archive(*old, b"WARC/1.0\r\nWARC-Type: resource\r\nContent-Length: 0\r\n\r\n", b""), "libarchive"),
        ("cpio", archive(*unsure, cpio, b""), "libarchive"),
        ("lha", archive(*unsure, &lha(), b""), "libarchive"),
        ("mtree", archive(*unsure, b"#mtree\nevil type=dir\n", b""), "libarchive"),
        ("rar in a program", archive(*unsure, b"MZ", &in_program(b"", 0x1_0000, b"Rar!\x1a\x07\0")), "libarchive"),
        ("zip at the end", archive(*unsure, b"f", &zip(512)), "libarchive"),
        ("a map of partitions", archive(*unsure, b"ER\x02\0\0\0\0\x64", &partitions()), "7-Zip"),
        ("zip at the beginning", archive(*posix, &zip_file(), &zip_end(0, 512)), "7-Zip"),
    ]
}

/// A cabinet of one empty file behind so many zeros.
fn cabinet(zeros: usize) -> Vec<u8> {
    let mut cabinet = b"MSCF\0\0\0\0".to_vec();
    let file = [&0_u32.to_le_bytes()[..], &0_u32.to_le_bytes(), &[0; 8], b"evil\0"].concat();
    let size = u32::try_from(36 + 8 + file.len() + 8).unwrap();
    cabinet.extend(size.to_le_bytes());
    cabinet.extend([0; 4]);
    cabinet.extend(44_u32.to_le_bytes());
    cabinet.extend([0; 4]);
    cabinet.extend([3, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    cabinet.extend((size - 8).to_le_bytes());
    cabinet.extend([1, 0, 0, 0]);
    cabinet.extend(file);
    cabinet.extend([0; 8]);
    [&vec![0; zeros][..], &cabinet].concat()
}

/// A file of lha with a header of level 0, stored.
fn lha() -> Vec<u8> {
    let body = b"-lh0-\x04\0\0\0\x04\0\0\0\0\0\0\0\x20\0\x04evil\0\0";
    let sum = body.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
    [&[u8::try_from(body.len()).unwrap(), sum][..], body, b"evil"].concat()
}

/// A zip archive of one stored file of four bytes that lies at that offset.
fn zip(at: u32) -> Vec<u8> {
    [zip_file(), zip_end(at, at + 38)].concat()
}

/// What the entry of a file and the one of its directory have in common.
fn zip_common() -> Vec<u8> {
    let (crc, size) = (0x8dfb_3152_u32.to_le_bytes(), 4_u32.to_le_bytes());
    [&[0x0a, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..], &crc, &size, &size, &[4, 0, 0, 0]].concat()
}

fn zip_file() -> Vec<u8> {
    [&b"PK\x03\x04"[..], &zip_common(), b"evilevil"].concat()
}

/// The end of a zip archive whose file lies at one offset, itself at another.
fn zip_end(file: u32, directory: u32) -> Vec<u8> {
    let entry = [&b"PK\x01\x02\x0a\0"[..], &zip_common(), &[0; 10], &file.to_le_bytes(), b"evil"].concat();
    let size = u32::try_from(entry.len()).unwrap().to_le_bytes();
    let mark = [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &size, &directory.to_le_bytes(), &[0; 2]].concat();
    [entry, mark].concat()
}

/// Whether the default policy refuses an archive, for whatever it has.
fn is_refused(archive: &[u8]) -> bool {
    let policy = Policy::default();
    let refuses = |quirks: &[Quirk]| quirks.iter().any(|quirk| policy.verdict(quirk.rule()) == Verdict::Refuse);
    let mut reader = TarReader::new(archive, &Limits::default()).with_end_mark(EndMark::Optional);
    loop {
        match reader.next_entry() {
            Err(_) => return true,
            Ok(None) => return refuses(reader.end_quirks()),
            Ok(Some(entry)) if refuses(&entry.quirks) => return true,
            Ok(Some(_)) => (),
        }
    }
}

/// The readers that take each of these files for another format, by the index of the file.
fn asked(files: &[String], place: &Path) -> (BTreeSet<(usize, &'static str)>, Vec<&'static str>) {
    let mut others = BTreeSet::new();
    let mut missing = Vec::new();
    let command = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(place).env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).stderr(Stdio::null());
        command
    };
    let python = command("python3").args(["-c", include_str!("formats.py")]).args(files).output();
    match python.ok().and_then(|output| serde_json::from_slice::<Value>(&output.stdout).ok()) {
        Some(answers) => {
            for reader in ["tarfile", "libarchive"] {
                match answers[reader].as_array() {
                    Some(indexes) => {
                        others.extend(indexes.iter().map(|index| (index.as_u64().unwrap() as usize, reader)))
                    }
                    None => missing.push(reader),
                }
            }
        }
        None => missing.extend(["tarfile", "libarchive"]),
    }
    // Further arguments would be names to look for in the first archive.
    match command("7z").args(["l", "-slt", "-p", "-an", "-ai!layer*"]).output() {
        Err(_) => missing.push("7-Zip"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let parts: Vec<_> = text.split("Listing archive: ").skip(1).collect();
            assert_eq!(parts.len(), files.len(), "7-Zip looks at every file");
            for part in parts {
                let index = files.iter().position(|file| Some(file.as_str()) == part.lines().next()).unwrap();
                let kind = part.lines().find_map(|line| line.strip_prefix("Type = "));
                if kind.is_some_and(|kind| kind != "tar") {
                    others.insert((index, "7-Zip"));
                }
            }
        }
    }
    match command("file").args(["--brief", "--mime-type"]).args(files).output() {
        Err(_) => missing.push("file"),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let types = text.lines().enumerate().filter(|(_, kind)| *kind != "application/x-tar");
            others.extend(types.map(|(index, _)| (index, "file")));
        }
    }
    for (index, file) in files.iter().enumerate() {
        let Ok(output) = command("tar").args(["--list", "--file", file]).output() else {
            missing.push("GNU tar");
            break;
        };
        let is_whole = output.stdout.split(|&byte| byte == b'\n').any(|name| name == b"plain");
        if output.status.success() && !is_whole {
            others.insert((index, "GNU tar"));
        }
    }
    (others, missing)
}

#[test]
fn whatever_a_reader_takes_for_another_format_is_refused() {
    let mut archives: Vec<(String, Vec<u8>, Option<&str>)> = Vec::new();
    for (format, sample) in SAMPLES {
        for dress in DRESSES {
            let name = format!("{format} {} ({})", sample.escape_ascii(), dress.0);
            archives.push((name, archive(*dress, sample, b"hello"), None));
        }
    }
    let of_two = archives_of_two_formats();
    archives.extend(of_two.into_iter().map(|(name, archive, reader)| (name.to_owned(), archive, Some(reader))));
    let place = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..archives.len()).map(|index| format!("layer{index}")).collect();
    for (file, (_, archive, _)) in files.iter().zip(&archives) {
        fs::write(place.path().join(file), archive).unwrap();
    }
    let (others, missing) = asked(&files, place.path());
    println!("{} archives, {} taken for another format; not asked: {missing:?}", archives.len(), others.len());
    let taken = others.iter().filter(|(index, _)| !is_refused(&archives[*index].1));
    let taken: Vec<_> = taken.map(|(index, reader)| format!("{reader} reads {}", archives[*index].0)).collect();
    assert!(taken.is_empty(), "taken by us:\n{}", taken.join("\n"));
    // Otherwise these would show nothing.
    for (index, (name, archive, reader)) in archives.iter().enumerate() {
        let Some(reader) = *reader else { continue };
        assert!(is_refused(archive), "{name}");
        assert!(missing.contains(&reader) || others.contains(&(index, reader)), "{reader} takes {name} for a tar");
    }
}

#[test]
fn a_sample_of_every_format_of_the_page_is_asked_about() {
    let page = include_str!("../../docs/formats.md");
    let rows = page.lines().filter(|line| line.starts_with("| ")).skip(1);
    let listed: BTreeSet<_> = rows.filter_map(|row| row.split('|').nth(1)).map(str::trim).collect();
    let samples = SAMPLES.iter().map(|(format, _)| *format).chain(BEHIND_NAMES.iter().copied());
    assert_eq!(samples.collect::<BTreeSet<_>>(), listed);
}

#[test]
fn names_that_real_layers_begin_with_are_taken() {
    for name in [
        ".",
        "./",
        "/",
        "a",
        "b",
        "bin",
        "bin/",
        "etc/",
        "usr/",
        "app",
        "MZ",
        "MZtools/",
        "PK",
        "ELF",
        "LZIP",
        "WARC/",
        "Rar",
        "BZh9",
        "begin",
        "7z",
        "070701-notes",
        "ER/",
        "VZ",
        "hsqs",
        "root/",
        "x",
        "~",
        "]",
        "-lh5-",
    ] {
        for dress in &DRESSES[..3] {
            let taken = archive(*dress, name.as_bytes(), b"");
            let flag = if name.ends_with('/') || name == "." { b'5' } else { b'0' };
            let header = (dress.1)(Header::posix(flag, name));
            let taken = if flag == b'5' { tar().header(header).file("plain", "").end() } else { taken };
            assert!(!is_refused(&taken), "{name} ({})", dress.0);
        }
    }
}
