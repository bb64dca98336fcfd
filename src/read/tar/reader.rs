//! The reader of archives.

#[cfg(feature = "image")]
use super::block::Jump;
use super::block::{Block, Blocks, Padding, has_magic, padding};
use super::end::{self, EndMark};
use super::entry::{self, Composed};
use super::extended::{Extended, ExtendedKind};
use super::header::Header;
use super::oddities::Oddities;
use super::pax;
use super::sparse::unaligned;
use crate::read::magic;
use crate::words::{
    Entry, EntryKind, EntryPath, Error, Escaped, FileKind, Limit, Limits, Misuse, Position, Quirk, Source, Violation,
};
use std::fmt;
use std::io::BufRead;

/// Reads the entries of a tar archive one after another, in memory that does not grow with them.
///
/// After an error nothing more comes but [`Misuse::Poisoned`], unless [`TarReader::can_go_on`].
///
/// ```
/// # use layercage::{Error, Limits};
/// # use layercage::tar::{Source, TarReader};
/// # let mut archive = tar::Builder::new(Vec::new());
/// # let mut header = tar::Header::new_gnu();
/// # header.set_size(2);
/// # archive.append_data(&mut header, "etc/hostname", &b"a\n"[..]).unwrap();
/// # let archive = archive.into_inner().unwrap();
/// let mut reader = TarReader::new(&archive[..], &Limits::default());
/// while let Some(entry) = reader.next_entry()? {
///     assert_eq!(entry.path.as_bytes(), b"etc/hostname");
///     assert_eq!(reader.source().chunk()?, b"a\n");
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct TarReader<R> {
    blocks: Blocks<R>,
    limits: Limits,
    end_mark: EndMark,
    state: State,
    /// The entries begun so far, and the headers of every kind.
    number: u64,
    headers: u64,
    /// Where the current entry, or the end, begins.
    start: u64,
    /// The name of the current entry as it is written, and whether it is known yet.
    name: Vec<u8>,
    is_named: bool,
    /// The content of the last extended header.
    content: Vec<u8>,
    /// The last entry is behind us.
    ending: bool,
    /// Content of the current entry that is still to come, and the padding behind it.
    left: u64,
    padding: u64,
    /// Where the current entry ends is known, whatever else is wrong with it.
    framed: bool,
    /// What the first block and global headers add to the next entry, or to the end.
    global: Oddities,
    end_quirks: Vec<Quirk>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Ended,
    Failed,
}

impl<R: BufRead> TarReader<R> {
    /// Creates a reader at the beginning of an archive, which must have its end mark unless it is
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
            left: 0,
            padding: 0,
            framed: false,
            global: Oddities::default(),
            end_quirks: Vec::new(),
        }
    }

    /// Sets whether the archive may end without its end mark.
    #[must_use]
    pub fn with_end_mark(self, end_mark: EndMark) -> Self {
        Self { end_mark, ..self }
    }

    /// Reads the next entry, and skips the unread content of the one before. `None` at the end, after all of it has been
    /// read.
    ///
    /// # Errors
    ///
    /// A [`Violation`] of the archive, or an error of the reader.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        match self.state {
            State::Ended => return Ok(None),
            State::Failed => return Err(Misuse::Poisoned.into()),
            State::Between => {}
        }
        // Whatever leaves in the middle leaves nothing that could be read on.
        self.state = State::Failed;
        self.framed = false;
        let next = self.advance();
        self.state = match &next {
            Ok(Some(_)) => State::Between,
            Ok(None) => State::Ended,
            Err(_) if self.framed => State::Between,
            Err(_) => State::Failed,
        };
        next
    }

    /// Whether entries can be read on behind a refusal: what was refused is the entry and not the way in which
    /// the archive is framed.
    pub fn can_go_on(&self) -> bool {
        self.state == State::Between
    }

    /// The content of the current entry; none for one that is no file.
    pub fn source(&mut self) -> impl Source {
        Content(self)
    }

    /// What is odd about the end; nothing before it.
    pub fn end_quirks(&self) -> &[Quirk] {
        &self.end_quirks
    }

    /// The reader below, at the end of the archive when [`TarReader::next_entry`] has given `None`.
    pub fn into_inner(self) -> R {
        self.blocks.into_inner()
    }

    /// Where the content of the current entry begins that is still unread.
    #[cfg(feature = "image")]
    pub(crate) fn content_offset(&self) -> u64 {
        self.blocks.offset()
    }

    /// Leaves the rest of the current entry's content unread, of which nothing says that it is there.
    #[cfg(feature = "image")]
    pub(crate) fn jump(&mut self)
    where
        R: Jump,
    {
        self.blocks.jump(std::mem::take(&mut self.left));
    }

    fn advance(&mut self) -> Result<Option<Entry>, Error> {
        self.blocks.skip(self.left)?;
        self.left = 0;
        let has_padding = self.skip_padding()?;
        self.is_named = false;
        if !has_padding {
            return self.end_without_padding();
        }
        let mut extended = Extended::default();
        let mut oddities = Oddities::default();
        let mut counted = false;
        loop {
            // A global header is no part of the entry that follows it.
            if extended.is_empty() {
                self.start = self.blocks.offset();
            }
            let header = match self.blocks.block()? {
                Some(block) if !is_zero(&block) => self.begin(block, &mut counted)?,
                end => return self.end(end, &extended),
            };
            match (header.flag(), ExtendedKind::of(header.flag())) {
                (_, Some(kind)) => {
                    header.extended_quirk().into_iter().for_each(|quirk| oddities.add(quirk));
                    match (kind, self.read_content(&header)?) {
                        (_, Padding::Zeros) => (),
                        (ExtendedKind::Pax, Padding::Text) => return Err(Violation::PaxPadding.into()),
                        (_, Padding::Text) => oddities.add(Quirk::LongNameTrailing),
                    }
                    extended.add(kind, &self.content, &self.limits, &mut oddities)?;
                }
                // Go forgets the extended headers before a global one, GNU tar applies them to what follows.
                (b'g', _) => {
                    if !std::mem::take(&mut extended).is_empty() {
                        oddities.add(Quirk::ExtendedHeaderAlone);
                    }
                    header.extended_quirk().into_iter().for_each(|quirk| self.global.add(quirk));
                    if self.read_content(&header)? == Padding::Text {
                        return Err(Violation::PaxPadding.into());
                    }
                    pax::judge_global(&self.content, &mut self.global)?;
                }
                _ => return self.entry(&header, extended, oddities).map(Some),
            }
        }
    }

    /// Passes over what fills the last block of the current entry's content. `false`: the archive ends there, and may.
    ///
    /// Writers that are never closed leave it out behind their last file (stacker and umoci until 2024, ggcr and kaniko
    /// until 2019). All content is there then, and a digest shows that nothing was cut off. A part of the padding is
    /// written by none of them.
    fn skip_padding(&mut self) -> Result<bool, Error> {
        let padding = std::mem::take(&mut self.padding);
        // Asked for, and not read off an error: a compressed stream that is cut fails here too, and is no end.
        let is_missing = padding > 0 && self.end_mark == EndMark::Optional && self.blocks.chunk(1)?.is_empty();
        if !is_missing {
            self.blocks.skip(padding)?;
        }
        Ok(!is_missing)
    }

    /// Takes a header block; the first one of an entry counts it, and one that is forgotten before a global header
    /// is no entry of its own.
    fn begin(&mut self, block: Block, counted: &mut bool) -> Result<Header, Error> {
        let header = Header::parse(block);
        // Before anything else counts: what is no header at all makes no archive.
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

    /// A signature found after the first block is noted at the next entry, or at the end.
    fn note_found(&mut self) {
        if let Some(format) = self.blocks.take_found() {
            self.global.add(Quirk::ForeignMagic { format });
        }
    }

    /// Reads the content of an extended header, whose size no other header changes.
    fn read_content(&mut self, header: &Header) -> Result<Padding, Error> {
        let size = header.size()?;
        self.limits.check(Limit::ExtendedHeaderBytes, size)?;
        self.blocks.content(size, &mut self.content)
    }

    fn entry(&mut self, header: &Header, extended: Extended, mut oddities: Oddities) -> Result<Entry, Error> {
        let size = extended.size();
        let composed = self.compose(header, extended, &mut oddities).inspect_err(|_| {
            if let Some(stored) = entry::stored(header, size, &self.name) {
                (self.left, self.padding, self.framed) = (stored, padding(stored), true);
            }
        });
        let Composed { mut kind, metadata, stored, sparse: layout } = composed?;
        if let EntryKind::File { sparse, .. } = &mut kind {
            self.left = stored;
            if let Some(layout) = layout {
                let (map, left) = layout.read(&mut self.blocks, stored, &self.limits)?;
                if let Some(quirk) = unaligned(&map) {
                    oddities.add(quirk);
                }
                *sparse = Some(map);
                self.left = left;
            }
            self.padding = padding(stored);
        }
        self.framed = true;
        let path = EntryPath::of_entry(&self.name, &self.limits)?;
        oddities.append(std::mem::take(&mut self.global));
        let quirks = oddities.into_quirks();
        Ok(Entry { number: self.number, offset: self.start, path, kind, metadata, quirks })
    }

    /// The entry of the headers, whose name is known from here on.
    fn compose(
        &mut self,
        header: &Header,
        mut extended: Extended,
        oddities: &mut Oddities,
    ) -> Result<Composed, Violation> {
        match extended.take_path(oddities) {
            Some(name) => self.name = name,
            None => header.name(&mut self.name, oddities)?,
        }
        self.is_named = true;
        entry::compose(header, extended, &self.name, &self.limits, oddities)
    }

    /// Reads the end, which begins with a zero block or is that of the stream.
    fn end(&mut self, zeros: Option<Block>, extended: &Extended) -> Result<Option<Entry>, Error> {
        self.ending = true;
        if !extended.is_empty() {
            self.end_quirks.push(Quirk::ExtendedHeaderAlone);
        }
        match zeros {
            Some(_) => {
                let end = end::after_zero_block(&mut self.blocks, &self.limits);
                // File systems and CDs begin with zeros, which look like an archive of nothing.
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
        self.leave()
    }

    /// The same, where it is that of the stream, right behind the content of the last entry.
    fn end_without_padding(&mut self) -> Result<Option<Entry>, Error> {
        self.ending = true;
        self.start = self.blocks.offset();
        self.end_quirks.push(Quirk::NoPadding);
        self.leave()
    }

    /// What belongs to no entry any more belongs to the end.
    fn leave(&mut self) -> Result<Option<Entry>, Error> {
        self.note_found();
        self.end_quirks.extend(std::mem::take(&mut self.global).into_quirks());
        Ok(None)
    }
}

impl<R> TarReader<R> {
    /// The position of the entry that is read or was read last, or of the end.
    pub fn position(&self) -> Position {
        let mut position = Position::default();
        self.locate(&mut position);
        position
    }

    /// Writes the position into another one and reuses its memory. The layer stays as it is.
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

/// The content of the current entry.
struct Content<'a, R>(&'a mut TarReader<R>);

impl<R: BufRead> Source for Content<'_, R> {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        let Self(reader) = self;
        if reader.left == 0 {
            return Ok(&[]);
        }
        let chunk = reader.blocks.chunk(reader.left)?;
        if chunk.is_empty() { Err(Violation::Truncated.into()) } else { Ok(chunk) }
    }

    fn consume(&mut self, bytes: usize) {
        let Self(reader) = self;
        let bytes = bytes.min(usize::try_from(reader.left).unwrap_or(usize::MAX));
        reader.blocks.consume(bytes);
        reader.left -= bytes as u64;
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
