//! Layers written again as canonical archives: entry to bytes to entry.

use super::archive::fit_checksums;
use super::bytes::Bytes;
use layercage::audit::{Audit, Finding, Lower, Observer};
use layercage::blob::LayerStream;
use layercage::policy::Devices;
use layercage::rules::Limit;
use layercage::sink::TarSink;
use layercage::tar::{Change, ChangeKind, EndMark, EntryPath, Segment, Source, SparseMap, TarReader};
use layercage::{Error, Expected, Layer, Limits, Policy, Unpacker};

/// What may still be found in a canonical archive: what needs the whole layer, or the lower layers.
const STAYS: [&str; 7] = [
    "aufs-pseudo-link",
    "device-node",
    "directory-over-link",
    "duplicate-path",
    "hard-link-metadata",
    "hard-link-repeated",
    "link-climbs",
];

/// Filters a layer, reads what was written, and filters that.
pub fn canonical(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let choice = bytes.byte();
    let policy =
        if choice & 1 == 0 { Policy::compatible() } else { Policy::compatible().with_devices(Devices::Create) };
    let mut layer = bytes.rest().to_vec();
    if choice & 2 == 2 {
        fit_checksums(&mut layer);
    }
    let Ok(archive) = filter(&layer, &policy) else { return };
    let again = filter(&archive, &policy).unwrap_or_else(|error| panic!("what was written is refused: {error}"));
    assert!(again == archive, "what was written is written otherwise");
    assert_strict(&archive);
    let (read, written) = (files(&layer), files(&archive));
    let mut read = read.into_iter();
    for file in written {
        assert!(read.any(|other| other == file), "{:?} is in no layer", file.0);
    }
}

/// A file holds as many zeros as it says.
fn limits() -> Limits {
    Limits::default().with(Limit::FileBytes, 1 << 20).with(Limit::PathBytes, 4200)
}

fn filter(layer: &[u8], policy: &Policy) -> Result<Vec<u8>, Error> {
    let mut sink = TarSink::new(Vec::new());
    Unpacker::new(policy.clone()).with_limits(limits()).apply(Layer::new(layer), &mut sink)?;
    Ok(sink.into_inner())
}

struct Strict;

impl Observer for Strict {
    fn finding(&mut self, finding: &Finding) {
        assert!(STAYS.contains(&finding.rule.id()), "found in what was written: {finding}");
    }
}

/// The policy that lets nothing pass has nothing to say.
fn assert_strict(archive: &[u8]) {
    let audit = Audit::new(limits()).with_policy(Policy::paranoid()).with_tree(Lower::Unknown);
    { audit }.layer(Layer::new(archive), &mut Strict).unwrap();
}

/// The files of a layer, in order, each with its content.
fn files(layer: &[u8]) -> Vec<(EntryPath, Vec<u8>)> {
    let limits = limits();
    let Ok(stream) = LayerStream::open(layer, Expected::unchecked(), &limits) else { return Vec::new() };
    let mut reader = TarReader::new(stream, &limits).with_end_mark(EndMark::Optional);
    let mut files = Vec::new();
    while let Ok(Some(entry)) = reader.next_entry() {
        let Ok(Some(Change { path, kind: ChangeKind::File { size, sparse, .. }, .. })) = Change::of(&entry, &limits)
        else {
            continue;
        };
        files.push((path, content(size, sparse.as_ref(), &mut reader.source())));
    }
    files
}

fn content(size: u64, sparse: Option<&SparseMap>, source: &mut impl Source) -> Vec<u8> {
    let whole = [Segment { offset: 0, length: size }];
    let mut content = vec![0; usize::try_from(size).unwrap()];
    for segment in sparse.map_or(&whole[..], SparseMap::segments) {
        let begin = usize::try_from(segment.offset).unwrap();
        let mut left = &mut content[begin..begin + usize::try_from(segment.length).unwrap()];
        while !left.is_empty() {
            let chunk = source.chunk().expect("it was read before");
            let bytes = chunk.len().min(left.len());
            left[..bytes].copy_from_slice(&chunk[..bytes]);
            source.consume(bytes);
            left = &mut left[bytes..];
        }
    }
    content
}
