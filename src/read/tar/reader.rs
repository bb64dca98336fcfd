//! The reader of archives.

#[cfg(feature = "image")]
use super::block::Jump;
use super::block::{Block, Blocks, Padding, has_magic, padding};
use super::content::{Content, Unread};
use super::end::{self, EndMark};
use super::entry::{self, Composed};
use super::extended::{Extended, ExtendedKind};
use super::header::Header;
use super::pax;
use super::quirk_set::QuirkSet;
use super::sparse::unaligned;
use crate::read::magic;
use crate::words::{
    Cursor, Entry, EntryKind, EntryPath, Error, Escaped, FileKind, Limit, Limits, Misuse, Position, Quirk, Source,
    Violation,
};
use std::fmt;
use std::io::{BufRead, Read};

/// Reads the entries of a tar archive one after another. Memory does not grow with the number of entries.
///
/// After an error, every further call returns [`Misuse::Poisoned`], unless [`TarReader::can_go_on`] is true.
///
/// ```
/// # use layercage::{Error, Limits};
/// # use layercage::tar::TarReader;
/// # let mut archive = tar::Builder::new(Vec::new());
/// # let mut header = tar::Header::new_gnu();
/// # header.set_size(2);
/// # archive.append_data(&mut header, "etc/hostname", &b"a\n"[..]).unwrap();
/// # let archive = archive.into_inner().unwrap();
/// let mut reader = TarReader::new(&archive[..], &Limits::default());
/// while let Some(entry) = reader.next_entry()? {
///     assert_eq!(entry.path.as_bytes(), b"etc/hostname");
///     assert_eq!(std::io::read_to_string(reader.source()).map_err(Error::of_reader)?, "a\n");
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct TarReader<R> {
    blocks: Blocks<R>,
    limits: Limits,
    end_mark: EndMark,
    state: State,
    /// The number of entries begun so far, and of headers of every kind.
    number: u64,
    headers: u64,
    /// The offset of the current entry, or of the end.
    start: u64,
    /// The name of the current entry as it is in the archive, and whether it is known yet.
    name: Vec<u8>,
    is_named: bool,
    /// The content of the last extended header.
    content: Vec<u8>,
    /// Whether all entries have been read.
    ending: bool,
    /// The unread content of the current entry, and the padding after it.
    unread: Unread,
    padding: u64,
    /// Whether the end of the current entry is known, even if the entry is refused.
    framed: bool,
    /// Quirks of the first block and of global headers. They are reported with the next entry, or at the end.
    global: QuirkSet,
    end_quirks: Vec<Quirk>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Ended,
    Failed,
}

impl<R: BufRead> TarReader<R> {
    /// Creates a reader at the beginning of an archive. The archive must have an end mark, unless the end mark is
    /// [optional](TarReader::with_end_mark).
    pub fn new(reader: R, limits: &Limits) -> Self {
        Self {
            blocks: Blocks::new(reader, limits),
            limits: limits.clone(),
            end_mark: EndMark::Required,
            state: State::Between,
            number: 0,
            headers: 0,
            start: 0,
            name: Vec::new(),
            is_named: false,
            content: Vec::new(),
            ending: false,
            unread: Unread::default(),
            padding: 0,
            framed: false,
            global: QuirkSet::default(),
            end_quirks: Vec::new(),
        }
    }

    /// Sets whether the archive may end without its end mark.
    #[must_use]
    pub fn with_end_mark(self, end_mark: EndMark) -> Self {
        Self { end_mark, ..self }
    }

    /// Reads the next entry, and skips the unread content of the previous one. Returns `None` at the end of the archive,
    /// after everything up to the end of the stream was read.
    ///
    /// # Errors
    ///
    /// A [`Violation`] of the archive, or an error of the reader, both with the [position](TarReader::position). If
    /// reading the content of the entry failed, this returns the same error, in case the caller ignored it.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        match self.state {
            State::Ended => return Ok(None),
            State::Failed => return Err(Misuse::Poisoned.into()),
            State::Between => {}
        }
        // After an early return or a panic, the reader cannot continue.
        self.state = State::Failed;
        self.framed = false;
        let next = self.advance().map_err(|error| error.at(self.position()));
        self.state = match &next {
            Ok(Some(_)) => State::Between,
            Ok(None) => State::Ended,
            Err(_) if self.framed => State::Between,
            Err(_) => State::Failed,
        };
        next
    }

    /// Whether the next entry can be read after a refusal. This is so if only the entry was refused, and its end is known.
    pub fn can_go_on(&self) -> bool {
        self.state == State::Between
    }

    /// The content of the current entry; empty for other types than files.
    ///
    /// [`Read`] gives the content with its holes as zeros. [`Source`] gives the stored bytes alone, without a copy: the
    /// [map](crate::tar::EntryKind::File) of the entry says where they belong. Both may be used: each continues where the
    /// other stopped, and a hole that was not read is skipped with the bytes after it.
    ///
    /// Errors of [`Read`] carry an [`Error`](crate::Error); [`Error::of_reader`](crate::Error::of_reader) extracts it.
    pub fn source(&mut self) -> impl Source + Read {
        Content::new(&mut self.blocks, &mut self.unread)
    }

    /// The quirks of the end of the archive; empty before the end.
    pub fn end_quirks(&self) -> &[Quirk] {
        &self.end_quirks
    }

    /// Returns the underlying reader. It is at the end of the archive if [`TarReader::next_entry`] has returned `None`.
    pub fn into_inner(self) -> R {
        self.blocks.into_inner()
    }

    /// The offset of the unread content of the current entry.
    #[cfg(feature = "image")]
    pub(crate) fn content_offset(&self) -> u64 {
        self.blocks.offset()
    }

    /// Skips the rest of the current entry's content without reading it. The content may be truncated.
    #[cfg(feature = "image")]
    pub(crate) fn jump(&mut self)
    where
        R: Jump,
    {
        self.blocks.jump(std::mem::take(&mut self.unread).stored);
    }

    fn advance(&mut self) -> Result<Option<Entry>, Error> {
        let Unread { stored, error, .. } = std::mem::take(&mut self.unread);
        error.map_or(Ok(()), Err)?;
        self.blocks.skip(stored)?;
        let has_padding = self.skip_padding()?;
        self.is_named = false;
        if !has_padding {
            return self.end_without_padding();
        }
        let mut extended = Extended::default();
        let mut quirks = QuirkSet::default();
        let mut counted = false;
        loop {
            // A global header is not part of the entry that follows it.
            if extended.is_empty() {
                self.start = self.blocks.offset();
            }
            let header = match self.blocks.block()? {
                Some(block) if !is_zero(&block) => self.begin(block, &mut counted)?,
                end => return self.end(end, &extended),
            };
            match (header.flag(), ExtendedKind::of(header.flag())) {
                (_, Some(kind)) => {
                    header.extended_quirk().into_iter().for_each(|quirk| quirks.add(quirk));
                    match (kind, self.read_content(&header)?) {
                        (_, Padding::Zeros) => (),
                        (ExtendedKind::Pax, Padding::Text) => return Err(Violation::PaxPadding.into()),
                        (_, Padding::Text) => quirks.add(Quirk::LongNameTrailing),
                    }
                    extended.add(kind, &self.content, &self.limits, &mut quirks)?;
                }
                // Go drops extended headers before a global one. GNU tar applies them to the next entry.
                (b'g', _) => {
                    if !std::mem::take(&mut extended).is_empty() {
                        quirks.add(Quirk::ExtendedHeaderAlone);
                    }
                    header.extended_quirk().into_iter().for_each(|quirk| self.global.add(quirk));
                    if self.read_content(&header)? == Padding::Text {
                        return Err(Violation::PaxPadding.into());
                    }
                    pax::judge_global(&self.content, &mut self.global)?;
                }
                _ => return self.entry(&header, extended, quirks).map(Some),
            }
        }
    }

    /// Skips the padding after the content of the current entry. Returns `false` if the archive ends without it, and the
    /// end mark is optional.
    ///
    /// Writers that were not closed do not write the padding of the last file (stacker and umoci until 2024, ggcr and
    /// kaniko until 2019). All content is there, and a digest shows that nothing was cut off. No writer writes a part of
    /// the padding.
    fn skip_padding(&mut self) -> Result<bool, Error> {
        let padding = std::mem::take(&mut self.padding);
        // The end is detected by an empty chunk, and not by an error: a truncated compressed stream fails here, too.
        let is_missing = padding > 0 && self.end_mark == EndMark::Optional && self.blocks.chunk(1)?.is_empty();
        if !is_missing {
            self.blocks.skip(padding)?;
        }
        Ok(!is_missing)
    }

    /// Parses a header block and counts it. The first header of an entry counts the entry; extended headers that a global
    /// header cancels are not an entry of their own.
    fn begin(&mut self, block: Block, counted: &mut bool) -> Result<Header, Error> {
        let header = Header::parse(block);
        // First of all: a file that does not begin with a header is not a tar archive.
        if let (Err(_), 0) = (&header, self.headers)
            && !has_magic(&block)
        {
            return Err(Violation::NotATar { found: self.blocks.kind(&block)? }.into());
        }
        if self.headers == 0 {
            self.blocks.search(magic::searched(&block));
            if let Some(format) = magic::foreign(&block) {
                self.global.add(Quirk::ForeignMagic { format });
            }
        }
        self.note_found();
        self.headers += 1;
        self.limits.check(Limit::Headers, self.headers)?;
        if !*counted && !header.as_ref().is_ok_and(|header| header.flag() == b'g') {
            *counted = true;
            self.number += 1;
            self.limits.check(Limit::Entries, self.number)?;
        }
        Ok(header?)
    }

    /// Adds the quirk of a signature that was found after the first block, to the next entry or to the end.
    fn note_found(&mut self) {
        if let Some(format) = self.blocks.take_found() {
            self.global.add(Quirk::ForeignMagic { format });
        }
    }

    /// Reads the content of an extended header. No other header changes its size.
    fn read_content(&mut self, header: &Header) -> Result<Padding, Error> {
        let size = header.size()?;
        self.limits.check(Limit::ExtendedHeaderBytes, size)?;
        self.blocks.content(size, &mut self.content)
    }

    fn entry(&mut self, header: &Header, extended: Extended, mut quirks: QuirkSet) -> Result<Entry, Error> {
        let size = extended.size();
        let composed = self.compose(header, extended, &mut quirks).inspect_err(|_| {
            if let Some(stored) = entry::stored(header, size, &self.name) {
                (self.unread.stored, self.padding, self.framed) = (stored, padding(stored), true);
            }
        });
        let Composed { mut kind, metadata, stored, sparse: layout } = composed?;
        if let EntryKind::File { sparse, size } = &mut kind {
            self.unread.stored = stored;
            if let Some(layout) = layout {
                let (map, left) = layout.read(&mut self.blocks, stored, &self.limits)?;
                if let Some(quirk) = unaligned(&map) {
                    quirks.add(quirk);
                }
                self.unread.sparse = Some(Cursor::new(*size, Some(map.clone())));
                *sparse = Some(map);
                self.unread.stored = left;
            }
            self.padding = padding(stored);
        }
        self.framed = true;
        let path = EntryPath::of_entry(&self.name, &self.limits)?;
        quirks.append(std::mem::take(&mut self.global));
        let quirks = quirks.into_vec();
        Ok(Entry { number: self.number, offset: self.start, path, kind, metadata, quirks })
    }

    /// Makes an entry of its headers. The name is known from here on.
    fn compose(
        &mut self,
        header: &Header,
        mut extended: Extended,
        quirks: &mut QuirkSet,
    ) -> Result<Composed, Violation> {
        match extended.take_path(quirks) {
            Some(name) => self.name = name,
            None => header.name(&mut self.name, quirks)?,
        }
        self.is_named = true;
        entry::compose(header, extended, &self.name, &self.limits, quirks)
    }

    /// Reads the end of the archive: a zero block, or the end of the stream.
    fn end(&mut self, zeros: Option<Block>, extended: &Extended) -> Result<Option<Entry>, Error> {
        self.ending = true;
        if !extended.is_empty() {
            self.end_quirks.push(Quirk::ExtendedHeaderAlone);
        }
        match zeros {
            Some(_) => {
                let end = end::after_zero_block(&mut self.blocks, &self.limits);
                // File systems and CDs begin with zeros, like an empty archive.
                if self.headers == 0
                    && has_data(&end)
                    && let found = self.blocks.kind_behind_zeros()?
                    && found != FileKind::Unknown
                {
                    return Err(Violation::NotATar { found }.into());
                }
                self.end_quirks.extend(end?);
            }
            None => self.end_quirks.push(end::without_zero_block(self.end_mark, self.blocks.offset())),
        }
        self.finish_end()
    }

    /// Handles the end of the stream right after the content of the last entry.
    fn end_without_padding(&mut self) -> Result<Option<Entry>, Error> {
        self.ending = true;
        self.start = self.blocks.offset();
        self.end_quirks.push(Quirk::NoPadding);
        self.finish_end()
    }

    /// Adds quirks that have no next entry.
    fn finish_end(&mut self) -> Result<Option<Entry>, Error> {
        self.note_found();
        self.end_quirks.extend(std::mem::take(&mut self.global).into_vec());
        Ok(None)
    }
}

impl<R> TarReader<R> {
    /// The position of the current entry, or of the end.
    pub fn position(&self) -> Position {
        let mut position = Position::default();
        self.locate(&mut position);
        position
    }

    /// Writes the position into another one, whose memory is reused. The layer is not changed.
    pub(crate) fn locate(&self, position: &mut Position) {
        position.entry = Some(self.number).filter(|&number| number > 0 && !self.ending);
        position.offset = Some(self.start);
        match &mut position.path {
            Some(path) if self.is_named => path.renew(&self.name),
            path => *path = self.is_named.then(|| Escaped::new(&self.name)),
        }
    }
}

impl<R> fmt::Debug for TarReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TarReader").field("position", &self.position()).finish_non_exhaustive()
    }
}

/// Whether something other than zeros follows the first zero block.
fn has_data(end: &Result<Vec<Quirk>, Error>) -> bool {
    match end {
        Ok(quirks) => quirks.iter().any(|quirk| matches!(quirk, Quirk::DataAfterEnd { .. })),
        Err(error) => error.violation() == Some(&Violation::LoneZeroBlock),
    }
}

fn is_zero(block: &Block) -> bool {
    block.iter().all(|&byte| byte == 0)
}
