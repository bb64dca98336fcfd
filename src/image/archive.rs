//! An image in a tar archive, which is read where it lies: its headers once, its members by position.

use super::blob::BlobReader;
use super::headers::Headers;
use super::members::{Member, Members, Place};
use super::recognise::{What, look};
use crate::read::{Expected, Format, LayerStream, TarReader};
use crate::words::{Because, Entry, EntryPath, Error, Limit, Limits, Policy, Quirk, Verdict, Violation};
use std::fs::File;
use std::io::{self, BufRead, ErrorKind, Read, Seek, Write};
use std::sync::Arc;

/// An archive whose members are known.
#[derive(Debug)]
pub(super) struct Archive {
    file: Arc<File>,
    members: Members,
}

impl Archive {
    /// Opens the archive of an image. One that is compressed, or that comes as a stream, is kept uncompressed in
    /// the file that `spool` makes.
    pub(super) fn open_file(
        file: File,
        limits: &Limits,
        spool: impl FnOnce() -> Result<File, Error>,
    ) -> Result<Self, Error> {
        let (file, is_stream) = looked_at(file)?;
        if is_stream {
            let stream = uncompressed(Whole { reader: &*file, call: "read" }, limits)?;
            return Self::of_spooled(stream, limits, spool);
        }
        let whole = whole(&file)?;
        let stream = uncompressed(whole.clone(), limits)?;
        if stream.format() == Format::Plain {
            return Self::index(file, limits);
        }
        // A layer may be large: nothing is written before there is an image to be seen.
        let seen = look(&file, limits)?;
        if seen.what == What::Layer {
            return Err(seen.broken.unwrap_or_else(|| Violation::NotAnImage { because: LAYER }.into()));
        }
        if let Some(misplaced) = seen.misplaced {
            return Err(misplaced.into());
        }
        let stream = uncompressed(whole, limits)?;
        Self::of_spooled(stream, limits, spool)
    }

    fn of_spooled<R: Read>(
        mut stream: LayerStream<R>,
        limits: &Limits,
        spool: impl FnOnce() -> Result<File, Error>,
    ) -> Result<Self, Error> {
        let file = kept(&mut stream, spool()?, limits, Limit::ArchiveBytes);
        Self::index(Arc::new(file?), limits)
    }

    fn index(file: Arc<File>, limits: &Limits) -> Result<Self, Error> {
        if file.metadata().map_err(|error| system("fstat", error))?.len() == 0 {
            return Err(Violation::NotAnImage { because: EMPTY }.into());
        }
        let mut members = Members::default();
        headers(&file, limits, &mut members)?;
        Ok(Self { file, members })
    }

    /// Why there is no image in an archive without `oci-layout` and `manifest.json`.
    pub(super) fn no_image(&self, limits: &Limits) -> Result<Violation, Error> {
        let seen = look(&self.file, limits)?;
        let because = match seen.what {
            What::Layer => LAYER,
            What::Image => INCOMPLETE,
        };
        Ok(seen.misplaced.unwrap_or(Violation::NotAnImage { because }))
    }

    /// Opens a member that is a regular file, or that links lead to; `None` when it is missing.
    pub(super) fn open(&self, name: &EntryPath, limits: &Limits) -> Result<Option<BlobReader>, Error> {
        Ok(self.members.file(name, limits)?.map(|place| place.reader(&self.file)))
    }

    /// The same for one that must be there.
    pub(super) fn open_existing(&self, name: &EntryPath, limits: &Limits) -> Result<BlobReader, Error> {
        Ok(self.members.existing_file(name, limits)?.reader(&self.file))
    }
}

const EMPTY: Because =
    Because { what: "the file is empty", advice: Some("write or fetch it again: whatever wrote it has failed") };

/// What is given most often in place of an image.
const LAYER: Because = Because {
    what: "this is the tar archive of a single layer or of a file system, such as `docker export` writes",
    advice: Some("`apply` applies it to a directory; `docker save` writes an image"),
};

const INCOMPLETE: Because = Because {
    what: "it has neither `oci-layout` nor `manifest.json`, though other parts of an image are there",
    advice: Some("the copy of the image is incomplete: fetch or pack it again"),
};

/// The files of an archive of `docker save`, of which engines before 25 wrote no layout.
pub(super) const UNPACKED_SAVE: Because = Because {
    what: "this is the directory of an unpacked archive of `docker save`",
    advice: Some("name the archive itself, or pack the directory again: `tar -C DIR -cf FILE .`"),
};

/// Reads all headers, and nothing of what lies between them.
pub(super) fn headers(file: &Arc<File>, limits: &Limits, members: &mut Members) -> Result<(), Error> {
    let length = file.metadata().map_err(|error| system("fstat", error))?.len();
    let mut reader = TarReader::new(Headers::of(Arc::clone(file)), &of_archives(limits));
    let mut sparse_bytes: u64 = 0;
    loop {
        let entry = reader.next_entry();
        let position = reader.position();
        let mut add = |entry: Entry| {
            let path = entry.path.clone();
            let member = judged(entry, reader.content_offset())?;
            if let Member::File(place) = &member
                && place.at.checked_add(place.stored()).is_none_or(|end| end > length)
            {
                return Err(Violation::Truncated.into());
            }
            // Holes take no byte of the archive: a member of 7 KB may have 4 TiB, and hours are spent on reading them.
            if let Member::File(Place { size, map: Some(_), .. }) = &member {
                sparse_bytes = sparse_bytes.saturating_add(*size);
                limits.check(Limit::ArchiveBytes, sparse_bytes)?;
            }
            reader.jump();
            members.add(&path, member, limits, file)
        };
        match entry {
            Ok(Some(entry)) => add(entry).map_err(|error: Error| error.at(position))?,
            Ok(None) => return at_end(&reader),
            Err(error) => return Err(error.at(position)),
        }
    }
}

/// What an entry is, unless it is one that readers differ on.
pub(super) fn judged(entry: Entry, at: u64) -> Result<Member, Error> {
    entry.quirks.iter().try_for_each(judge)?;
    Ok(Member::of(entry.kind, at))
}

pub(super) fn at_end<R: BufRead>(reader: &TarReader<R>) -> Result<(), Error> {
    let judged = reader.end_quirks().iter().try_for_each(judge);
    judged.map_err(|violation| Error::from(violation).at(reader.position()))
}

/// Judges a quirk of the archive around an image. No policy applies to it and no report has its notes: quirks that real
/// archives have pass, all others are refused, whatever is allowed for layers.
fn judge(quirk: &Quirk) -> Result<(), Violation> {
    match (quirk, Policy::default().verdict(quirk.rule())) {
        // A layer may have this index behind its end mark. No writer puts it behind the archive of an image: there it is
        // a member that `tar -i` finds and other readers do not.
        (Quirk::EstargzIndex, _) | (_, Verdict::Refuse) => {
            Err(Violation::ArchiveAmbiguous { rule: quirk.id(), because: quirk.to_string() })
        }
        (_, Verdict::Note | Verdict::Pass) => Ok(()),
    }
}

/// The limits for the archive itself, which has its own: a member is a layer, not a file of one.
pub(super) fn of_archives(limits: &Limits) -> Limits {
    let limits = limits.clone().with(Limit::FileBytes, u64::MAX).with(Limit::Entries, u64::MAX);
    limits.with(Limit::LayerBytes, u64::MAX)
}

/// The same for one that must be inflated: looking at it ends where keeping it would, or a layer.
fn of_streams(limits: &Limits) -> Limits {
    let most = limits.most(Limit::LayerBytes).max(limits.most(Limit::ArchiveBytes));
    limits.clone().with(Limit::LayerBytes, most)
}

/// The file, and whether it cannot be read by position.
pub(super) fn looked_at(file: File) -> Result<(Arc<File>, bool), Error> {
    let metadata = file.metadata().map_err(|error| system("fstat", error))?;
    Ok((Arc::new(file), !metadata.is_file()))
}

pub(super) fn whole(file: &Arc<File>) -> Result<Whole<BlobReader>, Error> {
    let length = file.metadata().map_err(|error| system("fstat", error))?.len();
    Ok(Whole { reader: BlobReader::new(Arc::clone(file), 0, length), call: "pread64" })
}

/// A whole archive. The decompressor and tar reader report system errors as errors of a layer. Here they are renamed.
#[derive(Clone)]
pub(super) struct Whole<R> {
    reader: R,
    call: &'static str,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.reader.read(out).map_err(|error| match error.kind() {
            // Callers retry this error, if it keeps its kind.
            ErrorKind::Interrupted => error,
            _ => system(self.call, error).into(),
        })
    }
}

pub(super) fn uncompressed<R: Read>(reader: R, limits: &Limits) -> Result<LayerStream<R>, Error> {
    LayerStream::open(reader, Expected::unchecked(), &of_streams(limits))
}

pub(super) fn system(call: &'static str, error: io::Error) -> Error {
    Error::system(call, b"(archive)", error)
}

/// Copies a stream to a file, and returns the file positioned at its first byte.
pub(super) fn kept(stream: &mut impl Read, file: File, limits: &Limits, limit: Limit) -> Result<File, Error> {
    let mut bounded = Bounded { file, limits, limit, bytes: 0 };
    io::copy(stream, &mut bounded).map_err(Error::of_reader)?;
    bounded.file.rewind().map_err(|error| Error::system("lseek", SPOOLED, error))?;
    Ok(bounded.file)
}

const SPOOLED: &[u8] = b"(spooled archive)";

/// Writes to the file, up to the limit.
struct Bounded<'l> {
    file: File,
    limits: &'l Limits,
    limit: Limit,
    bytes: u64,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.limits.check(self.limit, self.bytes).map_err(Error::from)?;
        self.file.write_all(bytes).map_err(|error| Error::system("write", SPOOLED, error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
