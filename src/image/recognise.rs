//! Detects whether a file is the archive of an image or a layer.

use super::archive_file::{is_stream, of_archives, system, uncompressed, whole};
use super::evidence::{Evidence, Extent, Inspector};
use super::headers::Headers;
use super::outline::Outline;
use crate::read::{Format, TarReader};
use crate::words::{Error, Escaped, Limits, Misuse, Violation, words};
use std::fs::File;
use std::io::BufRead;
use std::sync::Arc;

words! {
    "a kind of input":
    /// What a file is: the archive of an image, or a layer.
    ///
    /// Both are tar archives. A file is an image if it has `oci-layout`, `index.json`, or the `manifest.json` of
    /// `docker save`. The files that these name may be missing. Anything else is a layer.
    ///
    /// If all members are in one directory, and that directory holds an image (`tar -cf FILE DIR` packs it so), the
    /// file is an image as well. It is refused with
    /// [`Violation::ImageInDirectory`](crate::rules::Violation::ImageInDirectory).
    ///
    /// The answer depends on the whole file, and errs on the safe side: a file that an engine would load as an image
    /// must not be called a layer. (One form is not recognised: `a/index.json` where `a` is a link to the top of the
    /// archive.) So an incomplete, damaged or refused archive is an image, too:
    ///
    /// - `index.json` may be the last of ten million members, and two members may have the same name. Links with these
    ///   names count. Directories do not.
    /// - A `manifest.json` is that of `docker save` if it is a list and an element is an object with a string `Config` or a
    ///   list `Layers`. The rest may be malformed. Keys are compared as in Go, ignoring case.
    /// - Any `manifest.json` counts if there are also members named like parts of an image (`blobs/sha256/HEX`,
    ///   `HEX/layer.tar`, `HEX.json` and so on). So does the `repositories` of Docker before 1.10. In a truncated archive
    ///   such members alone are enough.
    ///
    /// A layer may have its own file `index.json` at its top, or a link `manifest.json`. Only the user can know that it
    /// is a layer: the command has `--as layer` for this case. The same holds for a layer of which an image in a
    /// directory is the only content.
    ///
    /// The enum is exhaustive on purpose.
    enum What {
        /// One image or several. [`Image::open_archive`](super::Image::open_archive) opens it, or reports what is
        /// wrong.
        Image "image",
        /// A layer, or a file that is not an archive.
        Layer "layer",
    }
}

impl What {
    /// Inspects a file, plain or compressed with gzip or zstd. It is read from its first byte, at any file position.
    ///
    /// Reads all headers of a plain archive, or all bytes of a compressed one. Writes nothing, and stores no names. It
    /// reads as far as an audit with the same limits would read: no entry of that audit is missed.
    ///
    /// ```no_run
    /// # use layercage::Limits;
    /// # use layercage::image::What;
    /// let file = std::fs::File::open("app.tar")?;
    /// if What::of(&file, &Limits::default())? == What::Layer {
    ///     // No manifest digest, tag or platform says anything of it.
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAFile`] for a pipe or another stream, because it can be read only once:
    /// [`Scratch::keep`](crate::Scratch::keep) copies it to a file. System errors. The content of the archive never
    /// causes an error.
    pub fn of(file: &File, limits: &Limits) -> Result<Self, Error> {
        inspect(file, limits).map(|inspected| inspected.what)
    }
}

/// The result of an inspection.
pub(super) struct Inspected {
    pub(super) what: What,
    /// The error that ended the reading early.
    pub(super) broken: Option<Error>,
    /// The violation of an image that is not at the top of the archive but in a directory.
    pub(super) misplaced: Option<Violation>,
}

/// Inspects a file.
pub(super) fn inspect(file: &File, limits: &Limits) -> Result<Inspected, Error> {
    let file = file.try_clone().map_err(|error| system("fcntl", error))?;
    let file = Arc::new(file);
    if is_stream(&file)? {
        return Err(Misuse::NotAFile.into());
    }
    let mut evidence = Evidence::default();
    let read = match whole(&file).and_then(|whole| uncompressed(whole, limits)) {
        Ok(stream) if stream.format() == Format::Plain => {
            let reader = TarReader::new(Headers::of(file), &of_archives(limits));
            read(reader, &mut evidence, TarReader::jump)
        }
        Ok(stream) => read(TarReader::new(stream, &of_archives(limits)), &mut evidence, |_| ()),
        Err(error) => Err(error),
    };
    let (read, broken) = match read {
        Ok(extent) => (extent, None),
        Err(error) if !error.is_refusal() => return Err(error),
        Err(error) => (Extent::Part, Some(error)),
    };
    let what = if evidence.is_image(read) { What::Image } else { What::Layer };
    let misplaced = evidence.directory().map(|(name, _)| Violation::ImageInDirectory { directory: Escaped::new(name) });
    Ok(Inspected { what, broken, misplaced })
}

/// Reads an archive as far as possible. Returns whether it ends correctly, or why it cannot be read further.
///
/// Quirks and refusals of single entries are ignored here: a policy may allow them in a layer, and an engine may accept
/// them.
fn read<R: BufRead>(
    mut reader: TarReader<R>,
    evidence: &mut Evidence,
    pass: impl Fn(&mut TarReader<R>),
) -> Result<Extent, Error> {
    let mut extent = Extent::Whole;
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => {
                evidence.add_entry(&entry.path, &entry.kind);
                if evidence.wants_content(&entry.path, &entry.kind) {
                    let mut outline = Outline::default();
                    let drained = Inspector::new(reader.source(), &mut outline).drain();
                    evidence.add_content(&entry.path, &outline);
                    drained.map_err(|error| error.at(reader.position()))?;
                }
                pass(&mut reader);
            }
            Ok(None) => {
                return Ok(if reader.end_quirks().is_empty() { extent } else { Extent::Part });
            }
            Err(error) if reader.can_go_on() && error.is_refusal() => extent = Extent::Part,
            Err(error) => return Err(error),
        }
    }
}
