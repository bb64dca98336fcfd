//! The readers, as a program uses them that builds nothing else: `default-features = false`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use layercage::blob::{Algorithm, Format, LayerStream};
use layercage::tar::{Change, ChangeKind, Source, TarReader};
use layercage::{Expected, Limits};
use std::io::Write;

/// A layer of a directory, a file, a whiteout and a hard link.
fn layer() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str, kind: tar::EntryType, target: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_path(name).unwrap();
        if !target.is_empty() {
            header.set_link_name(target).unwrap();
        }
        header.set_cksum();
        archive.append(&header, content).unwrap();
    };
    add("etc", tar::EntryType::Directory, "", b"");
    add("etc/hostname", tar::EntryType::Regular, "", b"box\n");
    add("etc/.wh.passwd", tar::EntryType::Regular, "", b"");
    add("etc/name", tar::EntryType::Link, "etc/hostname", b"");
    archive.into_inner().unwrap()
}

/// The changes of a layer: what it does, to which path, with which content.
fn changes(blob: &[u8]) -> (Vec<(String, Vec<u8>)>, layercage::blob::Checked) {
    let limits = Limits::default();
    let expected = Expected::unchecked().compute_diff_id(Algorithm::Sha256);
    let stream = LayerStream::open(blob, expected, &limits).unwrap();
    let mut reader = TarReader::new(stream, &limits).with_end_mark(expected.end_mark());
    let mut changes = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let Some(change) = Change::of(&entry, &limits).unwrap() else { continue };
        let kind = match change.kind {
            ChangeKind::Directory(_) => "directory".to_owned(),
            ChangeKind::File { size, .. } => format!("file of {size} bytes"),
            ChangeKind::HardLink { target, .. } => format!("hard link to {target}"),
            ChangeKind::Whiteout => "whiteout".to_owned(),
            other => format!("{other:?}"),
        };
        let mut content = Vec::new();
        let mut source = reader.source();
        loop {
            let chunk = source.chunk().unwrap();
            if chunk.is_empty() {
                break;
            }
            let bytes = chunk.len();
            content.extend_from_slice(chunk);
            source.consume(bytes);
        }
        changes.push((format!("{} {kind}", change.path), content));
    }
    (changes, reader.into_inner().finish().unwrap())
}

#[test]
fn changes_are_read_without_anything_that_writes() {
    let plain = layer();
    let (of_plain, checked) = changes(&plain);
    let described: Vec<_> = of_plain.iter().map(|(change, content)| (change.as_str(), &content[..])).collect();
    assert_eq!(
        described,
        [
            ("\"etc\" directory", &b""[..]),
            ("\"etc/hostname\" file of 4 bytes", b"box\n"),
            ("\"etc/passwd\" whiteout", b""),
            ("\"etc/name\" hard link to \"etc/hostname\"", b""),
        ]
    );
    let diff_id = checked.diff_id();
    assert!(diff_id.is_some());

    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&plain).unwrap();
    let blob = encoder.finish().unwrap();
    assert_eq!(Format::Gzip.is_supported(), cfg!(feature = "gzip"));
    if cfg!(feature = "gzip") {
        let (of_gzip, checked) = changes(&blob);
        assert_eq!((of_gzip, checked.diff_id()), (of_plain, diff_id));
    } else {
        let error = LayerStream::open(&blob[..], Expected::unchecked(), &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("without its feature `gzip`"), "{error}");
        assert_eq!(error.advice(), Some("build layercage with its feature `gzip`, or decompress the data"));
    }
}
