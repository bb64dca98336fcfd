//! The laws of reading an archive.

use super::bytes::Bytes;
use super::pieces::{Pieces, SINGLE};
use super::written;
use layercage::error::{Misuse, Position};
use layercage::rules::{Limit, Quirk, Rule, Violation};
use layercage::tar::{Component, EndMark, Entry, EntryKind, Source, TarReader};
use layercage::{Error, Limits};
use std::collections::BTreeSet;
use std::io::{BufRead, ErrorKind};

/// What is chosen about a reading beside the archive.
pub(crate) struct Setup<'a> {
    pub(crate) limits: Limits,
    covered: bool,
    /// Where the archive is cut for another reading.
    cut: usize,
    /// Of the pieces in which it comes.
    pub(crate) sizes: &'a [u8],
}

/// Something that came of a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Entry(Box<Entry>),
    Content(Vec<u8>),
    Refused(Violation, Position),
    End(Vec<Quirk>, Position),
}

enum Contents {
    Read,
    /// A part is looked at, the rest is passed over by the reader.
    Left,
}

impl<'a> Setup<'a> {
    pub(crate) fn choose(bytes: &mut Bytes<'a>) -> Self {
        let (choice, cut) = (bytes.byte(), bytes.take(2));
        let limits = if choice & 1 == 0 { Limits::default() } else { tiny() };
        let cut = cut.iter().fold(0, |cut, &byte| cut << 8 | usize::from(byte));
        Self { limits, covered: choice & 2 != 0, cut, sizes: bytes.take(4) }
    }
}

/// Limits that small archives go beyond.
fn tiny() -> Limits {
    [
        (Limit::Entries, 3),
        (Limit::FileBytes, 1000),
        (Limit::PathBytes, 40),
        (Limit::PathDepth, 3),
        (Limit::ExtendedHeaderBytes, 600),
        (Limit::SparseSegments, 3),
        (Limit::Xattrs, 2),
        (Limit::Headers, 6),
        (Limit::LayerBytes, 6000),
        (Limit::XattrBytes, 20),
    ]
    .into_iter()
    .fold(Limits::default(), |limits, (limit, most)| limits.with(limit, most))
}

/// Reads an archive in every way, and gives what came of it.
pub(crate) fn read(archive: &[u8], setup: &Setup<'_>) -> Vec<Step> {
    let reader = |bytes| {
        TarReader::new(bytes, &setup.limits).with_end_mark(if setup.covered {
            EndMark::Optional
        } else {
            EndMark::Required
        })
    };
    let steps = steps(reader(Pieces::new(archive, &[])), &Contents::Read);
    assert!(steps.len() <= 2 * archive.len() / 512 + 2, "no more steps than blocks");
    check(&steps, archive, &setup.limits);

    let single = self::steps(reader(Pieces::new(archive, SINGLE)), &Contents::Read);
    assert_eq!(steps, single, "byte by byte the same comes of it");
    let split = self::steps(reader(Pieces::new(archive, setup.sizes)), &Contents::Read);
    assert_eq!(steps, split, "in pieces the same comes of it");
    let left = self::steps(reader(Pieces::new(archive, setup.sizes)), &Contents::Left);
    let without_content: Vec<_> = steps.iter().filter(|step| !matches!(step, Step::Content(_))).cloned().collect();
    assert_eq!(without_content, left, "whoever passes over content sees the same");

    let cut = self::steps(reader(Pieces::new(&archive[..setup.cut.min(archive.len())], &[])), &Contents::Read);
    shows_nothing_else(&steps, &cut);
    for pair in steps.windows(2) {
        if let [Step::Entry(entry), Step::Content(content)] = pair {
            written::reads_back(entry, content);
        }
    }
    steps
}

fn steps<R: BufRead>(mut reader: TarReader<R>, contents: &Contents) -> Vec<Step> {
    let mut steps = Vec::new();
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => {
                let at = reader.position();
                assert_eq!((at.entry, at.offset), (Some(entry.number), Some(entry.offset)));
                steps.push(Step::Entry(Box::new(entry)));
                let content = content(&mut reader.source(), contents);
                match content {
                    Ok(Some(content)) => steps.push(Step::Content(content)),
                    Ok(None) => (),
                    Err(error) => {
                        steps.push(Step::Refused(violation(error), reader.position()));
                        return steps;
                    }
                }
            }
            Ok(None) => {
                let end = Step::End(reader.end_quirks().to_vec(), reader.position());
                assert!(matches!(reader.next_entry(), Ok(None)), "the end is the end");
                let after = reader.end_quirks().iter().any(|quirk| matches!(quirk, Quirk::DataAfterEnd { .. }));
                assert!(after || !has_more(&mut reader.into_inner()), "all is read, unless that is said");
                steps.push(end);
                return steps;
            }
            Err(error) => {
                steps.push(Step::Refused(violation(error), reader.position()));
                if !reader.can_go_on() {
                    assert!(
                        matches!(reader.next_entry(), Err(error) if error.misuse() == Some(&Misuse::Poisoned)),
                        "nothing comes behind"
                    );
                    return steps;
                }
            }
        }
    }
}

fn has_more(reader: &mut impl BufRead) -> bool {
    loop {
        match reader.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            rest => return !rest.unwrap().is_empty(),
        }
    }
}

fn content(source: &mut impl Source, contents: &Contents) -> Result<Option<Vec<u8>>, Error> {
    let mut content = Vec::new();
    if let Contents::Left = contents {
        // What is wrong with it, the reader finds once more when it passes over the rest.
        let half = source.chunk().map_or(0, |chunk| chunk.len() / 2);
        source.consume(half);
        return Ok(None);
    }
    loop {
        let chunk = source.chunk()?;
        let bytes = chunk.len();
        if bytes == 0 {
            return Ok(Some(content));
        }
        content.extend_from_slice(chunk);
        source.consume(bytes);
    }
}

/// Bytes can be wrong, and nothing else.
pub(crate) fn violation(error: Error) -> Violation {
    match error.rule() {
        Some(Rule::Violation(violation)) => violation.clone(),
        _ => panic!("bytes alone end in {error:?}"),
    }
}

fn check(steps: &[Step], archive: &[u8], limits: &Limits) {
    let (mut number, mut before) = (0, None);
    let mut last: Option<&Entry> = None;
    for step in steps {
        match step {
            Step::Entry(entry) => {
                // Where an entry was refused and reading went on, a number is left out.
                assert!(entry.number > number, "numbers go up");
                number = entry.number;
                grows(&mut before, entry.offset, archive);
                check_entry(entry, limits);
                last = Some(entry);
            }
            Step::Content(content) => check_content(last.unwrap(), content),
            Step::Refused(_, position) => {
                if let Some(refused) = position.entry
                    && refused > number
                {
                    assert_eq!(refused, number + 1);
                    number = refused;
                    grows(&mut before, position.offset.unwrap(), archive);
                }
            }
            Step::End(quirks, position) => {
                assert_eq!(position.entry, None);
                assert!(position.offset.unwrap() <= archive.len() as u64);
                assert!(position.offset >= before, "the end is behind the last entry");
                check_quirks(quirks);
            }
        }
    }
    assert!(number <= limits.most(Limit::Entries) + 1);
}

fn grows(before: &mut Option<u64>, offset: u64, archive: &[u8]) {
    assert!(*before < Some(offset), "offsets grow");
    assert!(offset.is_multiple_of(512) && offset < archive.len() as u64);
    *before = Some(offset);
}

fn check_entry(entry: &Entry, limits: &Limits) {
    let most = |limit| limits.most(limit);
    assert!(entry.number <= most(Limit::Entries));
    let path = entry.path.as_bytes();
    assert!(path.len() as u64 <= most(Limit::PathBytes));
    assert!(entry.path.components().count() as u64 <= most(Limit::PathDepth));
    let mut components = entry.path.components().peekable();
    while let Some(component) = components.next() {
        // Of a whiteout it is the name that it removes which has to fit.
        let removed = component.as_bytes().strip_prefix(b".wh.").filter(|_| components.peek().is_none());
        match removed.filter(|_| component.as_bytes().len() > Component::LONGEST) {
            Some(removed) => assert!(Component::parse(removed).is_ok() && !removed.starts_with(b".wh.")),
            None => assert_eq!(Component::parse(component.as_bytes()), Ok(component)),
        }
    }
    let metadata = &entry.metadata;
    assert!(metadata.mode <= 0o7777 && metadata.uid < u32::MAX && metadata.gid < u32::MAX);
    assert!(metadata.mtime.nanoseconds() < 1_000_000_000);
    let names: BTreeSet<_> = metadata.xattrs.iter().map(|xattr| &xattr.name).collect();
    assert_eq!(names.len(), metadata.xattrs.len(), "each attribute once");
    assert!(names.len() as u64 <= most(Limit::Xattrs));
    let bytes: usize = metadata.xattrs.iter().map(|xattr| xattr.name.len() + xattr.value.len()).sum();
    assert!(bytes as u64 <= most(Limit::XattrBytes));
    if let EntryKind::File { size, sparse } = &entry.kind {
        assert!(*size <= most(Limit::FileBytes));
        let segments = sparse.as_ref().map_or(&[][..], |map| map.segments());
        assert!(segments.len() as u64 <= most(Limit::SparseSegments));
        let end = segments.iter().fold(0, |end, segment| {
            assert!(segment.offset >= end, "data ascends");
            segment.offset + segment.length
        });
        assert!(end <= *size, "data lies within the file");
    }
    check_quirks(&entry.quirks);
}

fn check_quirks(quirks: &[Quirk]) {
    let ids: BTreeSet<_> = quirks.iter().map(Quirk::id).collect();
    assert_eq!(ids.len(), quirks.len(), "each kind of oddity once: {quirks:?}");
}

fn check_content(entry: &Entry, content: &[u8]) {
    let expected = match &entry.kind {
        EntryKind::File { sparse: Some(map), .. } => map.segments().iter().map(|segment| segment.length).sum(),
        EntryKind::File { size, sparse: None } => *size,
        _ => 0,
    };
    assert_eq!(content.len() as u64, expected, "content is as long as it is said to be");
}

/// What a cut archive shows is what the whole one shows, up to where it is cut; and that it is cut is said.
fn shows_nothing_else(whole: &[Step], cut: &[Step]) {
    let (last, before) = cut.split_last().unwrap();
    assert!(whole.starts_with(before), "a cut archive shows something else:\n{cut:?}\n{whole:?}");
    let rest = &whole[before.len()..];
    match last {
        last if rest == [last.clone()] => (),
        Step::Refused(Violation::Truncated, _) => (),
        // Too little is left of the first header to be told from something else.
        Step::Refused(Violation::NotATar { .. }, _) if before.is_empty() => (),
        Step::End(quirks, _) => {
            let marked = !quirks
                .iter()
                .any(|quirk| matches!(quirk, Quirk::UnmarkedEnd { .. } | Quirk::NoEndBlocks | Quirk::NoPadding));
            let more = rest.iter().any(|step| matches!(step, Step::Entry(_)));
            assert!(!(marked && more), "entries are lost without a word: {rest:?}");
        }
        last => panic!("a cut archive ends in {last:?}"),
    }
}
