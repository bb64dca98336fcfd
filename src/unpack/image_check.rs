//! Detects that the input of `apply` is the archive of an image.

use super::layer::About;
#[cfg(feature = "image")]
use crate::image::{Evidence, Inspector, Outline};
use crate::output::{Data, Sink, SinkError};
use crate::plan::{Judged, Reporter};
use crate::read::{TarReader, Verifying};
use crate::words::{Change, Entry, Error, HolesRead, Source};
#[cfg(feature = "image")]
use crate::words::{Escaped, Misuse};

/// The evidence in the entries so far. Nothing is inspected unless the layer refuses images.
pub(super) struct ImageCheck {
    #[cfg(feature = "image")]
    evidence: Option<Evidence>,
    /// Whether the content of the current entry is evidence, too.
    #[cfg(feature = "image")]
    wants_content: bool,
}

#[cfg(feature = "image")]
impl ImageCheck {
    pub(super) fn of(about: &About) -> Self {
        Self { evidence: about.refuses_images.then(Evidence::default), wants_content: false }
    }

    /// Inspects an entry before it is applied.
    pub(super) fn check_entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let Some(evidence) = &mut self.evidence else { return Ok(()) };
        evidence.add_entry(&entry.path, &entry.kind);
        self.wants_content = evidence.wants_content(&entry.path, &entry.kind);
        match evidence.suggests_image() {
            true => Err(Misuse::ImageAsLayer { member: Escaped::new(entry.path.as_bytes()) }.into()),
            false => Ok(()),
        }
    }

    /// Passes a change to a sink.
    pub(super) fn apply<S: Verifying>(
        &mut self,
        change: Judged<Change>,
        reader: &mut TarReader<S>,
        holes: &HolesRead,
        reporter: &mut Reporter<'_>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<(), SinkError> {
        let Some(evidence) = self.evidence.as_mut().filter(|_| self.wants_content) else {
            return pass(change, &mut reader.source(), holes, reporter, sink);
        };
        let path = change.get().path.clone();
        let mut outline = Outline::default();
        pass(change, &mut Inspector::new(reader.source(), &mut outline), holes, reporter, sink)?;
        evidence.add_content(&path, &outline);
        let member = Escaped::new(path.as_bytes());
        if evidence.suggests_image() { Err(Misuse::ImageAsLayer { member }.into()) } else { Ok(()) }
    }

    /// Refuses the archive of an image in a directory. This is known only at the end, because a layer may have an image in
    /// its first directory, and other entries after it.
    pub(super) fn check_end(&self) -> Result<(), Error> {
        match self.evidence.as_ref().and_then(Evidence::directory) {
            Some((directory, file)) => {
                let member = Escaped::new(&[directory, file].join(&b'/'));
                Err(Misuse::ImageAsLayer { member }.into())
            }
            None => Ok(()),
        }
    }
}

#[cfg(not(feature = "image"))]
impl ImageCheck {
    pub(super) fn of(_: &About) -> Self {
        Self {}
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with images")]
    pub(super) fn check_entry(&mut self, _: &Entry) -> Result<(), Error> {
        Ok(())
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with images")]
    pub(super) fn check_end(&self) -> Result<(), Error> {
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "as with images")]
    pub(super) fn apply<S: Verifying>(
        &mut self,
        change: Judged<Change>,
        reader: &mut TarReader<S>,
        holes: &HolesRead,
        reporter: &mut Reporter<'_>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<(), SinkError> {
        pass(change, &mut reader.source(), holes, reporter, sink)
    }
}

fn pass(
    change: Judged<Change>,
    source: &mut dyn Source,
    holes: &HolesRead,
    reporter: &mut Reporter<'_>,
    sink: &mut (impl Sink + ?Sized),
) -> Result<(), SinkError> {
    let data = Data::of_change(change.get(), source).counting(Some(holes));
    sink.change(change, data, reporter)
}
