//! An image in a tar archive. All headers are read once; after that, members are read by position.

use super::archive_file::{Whole, is_stream, kept, of_archives, system, uncompressed, whole};
use super::blob::BlobReader;
use super::headers::Headers;
use super::member::{Member, Place};
use super::members::Members;
use super::recognise::{What, inspect};
use crate::read::{Format, LayerStream, TarReader};
use crate::words::{Because, Entry, EntryPath, Error, Limit, Limits, Policy, Quirk, Verdict, Violation};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, Read};
use std::sync::Arc;

/// An archive and the list of its members.
#[derive(Debug)]
pub(super) struct Archive {
    file: Arc<File>,
    members: Members,
}

impl Archive {
    /// Opens the archive of an image. A compressed archive, or a stream, is stored uncompressed in the file that
    /// `spool` creates.
    pub(super) fn open_file(
        file: File,
        limits: &Limits,
        spool: impl FnOnce() -> Result<File, Error>,
    ) -> Result<Self, Error> {
        let file = Arc::new(file);
        if is_stream(&file)? {
            let stream = uncompressed(Whole { reader: &*file, call: "read" }, limits)?;
            return Self::of_spooled(stream, limits, spool);
        }
        let whole = whole(&file)?;
        let stream = uncompressed(whole.clone(), limits)?;
        if stream.format() == Format::Plain {
            return Self::index(file, limits);
        }
        // A layer may be large, so nothing is stored before it is clear that this is an image.
        let inspected = inspect(&file, limits)?;
        if inspected.what == What::Layer {
            return Err(inspected.broken.unwrap_or_else(|| Violation::NotAnImage { because: LAYER }.into()));
        }
        if let Some(misplaced) = inspected.misplaced {
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

    /// The violation of an archive without `oci-layout` and `manifest.json`.
    pub(super) fn no_image(&self, limits: &Limits) -> Result<Violation, Error> {
        let inspected = inspect(&self.file, limits)?;
        let because = match inspected.what {
            What::Layer => LAYER,
            What::Image => INCOMPLETE,
        };
        Ok(inspected.misplaced.unwrap_or(Violation::NotAnImage { because }))
    }

    /// Opens a regular file, or the file that a link leads to. `None` if there is no member of this name.
    pub(super) fn open(&self, name: &EntryPath, limits: &Limits) -> Result<Option<BlobReader>, Error> {
        Ok(self.members.file(name, limits)?.map(|place| place.reader(&self.file)))
    }

    /// The same for a member that must exist.
    pub(super) fn open_existing(&self, name: &EntryPath, limits: &Limits) -> Result<BlobReader, Error> {
        Ok(self.members.existing_file(name, limits)?.reader(&self.file))
    }
}

const EMPTY: Because = Because {
    what: Cow::Borrowed("the file is empty"),
    advice: Some("write or fetch it again: the program that wrote it has failed"),
    is_layer: false,
};

/// The most frequent mistake: a layer or a file system in place of an image.
const LAYER: Because = Because {
    what: Cow::Borrowed("it is the tar archive of a single layer or of a file system, such as `docker export` writes"),
    advice: Some("`docker save` writes an image; a layer can only be applied"),
    is_layer: true,
};

const INCOMPLETE: Because = Because {
    what: Cow::Borrowed("it has neither `oci-layout` nor `manifest.json`, but other parts of an image"),
    advice: Some("the copy of the image is incomplete: fetch or pack it again"),
    is_layer: false,
};

/// The files of an archive of `docker save` in a directory. Before version 25 they are no image layout.
pub(super) const UNPACKED_SAVE: Because = Because {
    what: Cow::Borrowed("it is the directory of an unpacked archive of `docker save`"),
    advice: Some("name the archive itself, or pack the directory again: `tar -C DIR -cf FILE .`"),
    is_layer: false,
};

/// Reads all headers, and skips the contents between them.
pub(super) fn headers(file: &Arc<File>, limits: &Limits, members: &mut Members) -> Result<(), Error> {
    let length = file.metadata().map_err(|error| system("fstat", error))?.len();
    let mut reader = TarReader::new(Headers::of(Arc::clone(file)), &of_archives(limits));
    let (mut sparse_bytes, mut hole_bytes) = (0_u64, 0_u64);
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
            // Holes take no space in the archive, but time to read: an archive of 7 KB may have a member of 4 TiB.
            if let Member::File(place @ Place { size, map: Some(_), .. }) = &member {
                hole_bytes = hole_bytes.saturating_add(size.saturating_sub(place.stored()));
                limits.check(Limit::HoleBytes, hole_bytes)?;
                sparse_bytes = sparse_bytes.saturating_add(*size);
                limits.check(Limit::ArchiveBytes, sparse_bytes)?;
            }
            reader.jump();
            members.add(&path, member, limits, file)
        };
        match entry {
            Ok(Some(entry)) => add(entry).map_err(|error: Error| error.at(position))?,
            Ok(None) => return at_end(&reader),
            Err(error) => return Err(error),
        }
    }
}

/// Returns the member of an entry, or an error for an entry that other readers read differently.
pub(super) fn judged(entry: Entry, at: u64) -> Result<Member, Error> {
    entry.quirks.iter().try_for_each(judge)?;
    Ok(Member::of(entry.kind, at))
}

pub(super) fn at_end<R: BufRead>(reader: &TarReader<R>) -> Result<(), Error> {
    let judged = reader.end_quirks().iter().try_for_each(judge);
    judged.map_err(|violation| Error::from(violation).at(reader.position()))
}

/// Judges a quirk of the archive around an image. The caller's policy is for layers and does not apply here: quirks
/// that the default policy accepts pass without a note, and all others are refused.
fn judge(quirk: &Quirk) -> Result<(), Violation> {
    match (quirk, Policy::default().verdict(quirk.rule())) {
        // A layer may have this index behind its end mark. No writer puts it behind the archive of an image: there it
        // is a member that `tar -i` finds and other readers do not.
        (Quirk::EstargzIndex, _) | (_, Verdict::Refuse) => {
            Err(Violation::ArchiveAmbiguous { rule: quirk.id(), because: quirk.to_string() })
        }
        (_, Verdict::Note | Verdict::Pass) => Ok(()),
    }
}
