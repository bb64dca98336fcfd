//! An image in a tar archive, which is read where it lies: its headers once, its members by position.

use super::archive_file::{Whole, kept, looked_at, of_archives, system, uncompressed, whole};
use super::blob::BlobReader;
use super::headers::Headers;
use super::member::{Member, Place};
use super::members::Members;
use super::recognise::{What, look};
use crate::read::{Format, LayerStream, TarReader};
use crate::words::{Because, Entry, EntryPath, Error, Limit, Limits, Policy, Quirk, Verdict, Violation};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, Read};
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

const EMPTY: Because = Because {
    what: Cow::Borrowed("the file is empty"),
    advice: Some("write or fetch it again: whatever wrote it has failed"),
};

/// What is given most often in place of an image.
const LAYER: Because = Because {
    what: Cow::Borrowed(
        "this is the tar archive of a single layer or of a file system, such as `docker export` writes",
    ),
    advice: Some("`apply` applies it to a directory; `docker save` writes an image"),
};

const INCOMPLETE: Because = Because {
    what: Cow::Borrowed("it has neither `oci-layout` nor `manifest.json`, though other parts of an image are there"),
    advice: Some("the copy of the image is incomplete: fetch or pack it again"),
};

/// The files of an archive of `docker save`, of which engines before 25 wrote no layout.
pub(super) const UNPACKED_SAVE: Because = Because {
    what: Cow::Borrowed("this is the directory of an unpacked archive of `docker save`"),
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
