//! Is a file the archive of an image, or a layer?

use super::archive::{looked_at, of_archives, system, uncompressed, whole};
use super::evidence::{Evidence, Witness};
use super::headers::Headers;
use super::outline::Outline;
use crate::read::{Format, TarReader};
use crate::words::{Error, Fault, Limits, Misuse, Position, UnknownWord};
use std::fmt::{self, Display};
use std::fs::File;
use std::io::BufRead;
use std::str::FromStr;

/// What a file is: the archive of an image, or a layer.
///
/// Both are tar archives. A file is an image when it has `oci-layout` or `index.json`, or a `manifest.json` that is
/// the list that `docker save` writes, whether or not all that these name is there. Anything else is a layer.
///
/// The answer depends on the whole file, and it is meant to be safe: what an engine would load as an image is never
/// called a layer, whatever its author does to it. So what is incomplete, damaged or refused later is an image as soon
/// as it shows that it is one:
///
/// - `index.json` may be the last of ten million members, and two members may have one name. Links of these names
///   count, directories do not.
/// - A `manifest.json` is the list when an element is an object with a text `Config` or a list `Layers`. It need not
///   be JSON to its end. Keys are compared as Go compares them, without regard to case.
/// - A `manifest.json` of any kind is one beside members that are named like parts of an image (`blobs/sha256/HEX`,
///   `HEX/layer.tar`, `HEX.json` and so on), and so is the `repositories` of Docker before 1.10. Such members are
///   enough in an archive that breaks off.
///
/// A layer may have a file `index.json` of its own at its top, or a link `manifest.json`. Only its user can know: the
/// command has `--as layer` for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// An image, or several: [`Image::open_archive`](super::Image::open_archive) opens it, or says what is wrong with it.
    Image,
    /// A layer, or what is no archive at all.
    Layer,
}

impl What {
    /// Both of them.
    pub const ALL: &[Self] = &[Self::Image, Self::Layer];

    /// The word for it: `image` or `layer`, as it is written in options and data.
    pub fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Layer => "layer",
        }
    }

    /// Looks into a file, which may be compressed with gzip or zstd, from its first byte, wherever it is positioned.
    ///
    /// Reads all headers of a plain archive, or all of a compressed one. Writes nothing, and keeps no names. It reads as
    /// far as an audit of the layer would within the same limits, so that nothing comes after it has stopped.
    ///
    /// ```no_run
    /// # use layercage::{Limits, What};
    /// let file = std::fs::File::open("app.tar")?;
    /// if What::of(&file, &Limits::default())? == What::Layer {
    ///     // No manifest digest, tag or platform says anything of it.
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Misuse::NotAFile`] for a pipe or another stream, which can be read only once: [`Scratch::keep`](super::Scratch::keep)
    /// makes a file of it. A failing system. Never the archive's fault.
    pub fn of(file: &File, limits: &Limits) -> Result<Self, Error> {
        look(file, limits).map(|seen| seen.what)
    }
}

impl Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for What {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL.iter().copied().find(|what| what.word() == word).ok_or(UnknownWord)
    }
}

/// What was seen in a file.
pub(super) struct Seen {
    pub(super) what: What,
    /// Why it could not be read to its end.
    pub(super) broken: Option<Error>,
}

/// Looks into a file.
pub(super) fn look(file: &File, limits: &Limits) -> Result<Seen, Error> {
    let nowhere = |fault: Fault| fault.at(Position::default());
    let file = file.try_clone().map_err(|error| nowhere(system("fcntl", error)))?;
    let (file, is_stream) = looked_at(file).map_err(nowhere)?;
    if is_stream {
        return Err(nowhere(Misuse::NotAFile.into()));
    }
    let mut evidence = Evidence::default();
    let read = match whole(&file).and_then(|whole| uncompressed(whole, limits)) {
        Ok(stream) if stream.format() == Format::Plain => {
            let reader = TarReader::new(Headers::of(file), &of_archives(limits), false);
            read(reader, &mut evidence, TarReader::jump)
        }
        Ok(stream) => read(TarReader::new(stream, &of_archives(limits), false), &mut evidence, |_| ()),
        Err(fault) => Err(nowhere(fault)),
    };
    let (is_whole, broken) = match read {
        Ok(is_whole) => (is_whole, None),
        Err(error) if !matches!(error.kind(), Fault::Refused(_)) => return Err(error),
        Err(error) => (false, Some(error)),
    };
    let what = if evidence.is_image(is_whole) { What::Image } else { What::Layer };
    Ok(Seen { what, broken })
}

/// Reads an archive as far as it can be read. Says whether it ends as it should, or why it cannot be read on.
///
/// What is odd or refused about single entries does not matter here: policy may allow it in a layer, and an engine may
/// take it.
fn read<R: BufRead>(
    mut reader: TarReader<R>,
    evidence: &mut Evidence,
    pass: impl Fn(&mut TarReader<R>),
) -> Result<bool, Error> {
    let mut is_whole = true;
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => {
                evidence.see(&entry.path, &entry.kind);
                if Evidence::wants(&entry.path, &entry.kind) {
                    let mut outline = Outline::default();
                    let drained = Witness::new(reader.source(), &mut outline).drain();
                    evidence.hear(&outline);
                    drained.map_err(|fault| fault.at(reader.position()))?;
                }
                pass(&mut reader);
            }
            Ok(None) => return Ok(is_whole && reader.end_quirks().is_empty()),
            Err(fault) if reader.can_go_on() && matches!(fault, Fault::Refused(_)) => is_whole = false,
            Err(fault) => return Err(fault.at(reader.position())),
        }
    }
}
