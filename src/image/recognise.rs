//! Is a file the archive of an image, or a layer?

use super::archive::{Archive, at_end, headers, judged, looked_at, of_archives, system, uncompressed, whole};
use super::docker;
use super::members::{Member, Members};
use crate::read::{Format, TarReader};
use crate::words::{Entry, EntryPath, Error, Fault, Limit, Limits, Position, Source};
use std::fs::File;
use std::io::{BufRead, Read};
use std::sync::Arc;

/// Whether a file is the archive of an image, as far as it can be read. A stream is not.
pub(super) fn is_image(file: &File, limits: &Limits) -> Result<bool, Error> {
    let look = || {
        let (file, is_stream) = looked_at(file.try_clone().map_err(|error| system("fcntl", error))?)?;
        Ok(if is_stream { None } else { Some((whole(&file)?, file)) })
    };
    let Some((whole, file)) = look().map_err(|fault: Fault| fault.at(Position::default()))? else {
        return Ok(false);
    };
    let mut seen = Seen::default();
    let read = match uncompressed(whole, limits) {
        Ok(stream) if stream.format() == Format::Plain => {
            let mut members = Members::default();
            let read = headers(&file, limits, &mut members);
            seen.take(members, &file, limits).and(read)
        }
        Ok(stream) => seen.read(TarReader::new(stream, &of_archives(limits), false), limits),
        Err(fault) => Err(fault.at(Position::default())),
    };
    match read {
        Err(error) if !matches!(error.kind(), Fault::Refused(_)) => Err(error),
        // What broke off may be either; it is refused as what it looks like.
        Err(_) => Ok(seen.looks_like_image()),
        Ok(()) => Ok(seen.is_image()),
    }
}

/// What tells the archive of an image from a layer.
#[derive(Default)]
pub(super) struct Seen {
    members: Members,
    /// What `manifest.json` holds.
    manifest: Option<Vec<u8>>,
}

impl Seen {
    /// Reads an archive through, without keeping anything but names.
    pub(super) fn read<R: BufRead>(&mut self, mut reader: TarReader<R>, limits: &Limits) -> Result<(), Error> {
        loop {
            let entry = reader.next_entry();
            let position = reader.position();
            let mut add = |entry: Entry, reader: &mut TarReader<R>| {
                let member = judged(&entry, reader.content_offset())?;
                if entry.path.as_bytes() == docker::MANIFEST
                    && let Member::File { size, .. } = member
                {
                    limits.check(Limit::ManifestBytes, size)?;
                    self.manifest = Some(content(&mut reader.source())?);
                }
                self.members.add(&entry.path, member, limits, None)
            };
            match entry {
                Ok(Some(entry)) => add(entry, &mut reader).map_err(|fault| fault.at(position))?,
                Ok(None) => return at_end(&reader),
                Err(fault) => return Err(fault.at(position)),
            }
        }
    }

    /// Takes what was found in an archive that is read where it lies.
    fn take(&mut self, members: Members, file: &Arc<File>, limits: &Limits) -> Result<(), Error> {
        let archive = Archive::of(Arc::clone(file), members);
        let manifest = || {
            let name = EntryPath::parse(docker::MANIFEST, limits)?;
            let Some(mut reader) = archive.open(&name)? else { return Ok(None) };
            limits.check(Limit::ManifestBytes, reader.bytes_left())?;
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        };
        let manifest = manifest().map_err(|fault: Fault| fault.at(Position::default()));
        self.members = archive.into_members();
        self.manifest = manifest?;
        Ok(())
    }

    pub(super) fn is_image(&self) -> bool {
        let is_layout = self.members.has(b"oci-layout") && self.members.has(b"index.json");
        is_layout || self.docker().is_some_and(|named| named.iter().all(|name| self.members.has(name.as_bytes())))
    }

    fn looks_like_image(&self) -> bool {
        self.members.has(b"oci-layout") || self.docker().is_some()
    }

    /// The members that `manifest.json` names, when it is one of `docker save`.
    fn docker(&self) -> Option<Vec<EntryPath>> {
        let images = docker::parse(self.manifest.as_deref()?).ok()?;
        Some(images.into_iter().flat_map(docker::DockerImage::into_members).collect())
    }
}

fn content(source: &mut impl Source) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    loop {
        let chunk = source.chunk()?;
        if chunk.is_empty() {
            return Ok(bytes);
        }
        bytes.extend_from_slice(chunk);
        let got = chunk.len();
        source.consume(got);
    }
}
