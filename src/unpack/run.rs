//! The application of one layer: it is read, judged and passed to a sink, in one pass.

use super::image_check::ImageCheck;
use super::layer::About;
use super::progress::{ObservedStream, Step, Watch};
use crate::output::{Sink, SinkError};
use crate::plan::{Reporter, judge, terms};
use crate::read::{Blob, Checked, TarReader, Verified, Verifying};
use crate::words::{Blame, Effect, Entry, Error, HolesRead, Limits, Policy, Position, Report, SharedWork};

/// A layer that was applied: its report, and what was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    report: Report,
    checked: Checked,
}

impl Applied {
    /// What was tolerated, adjusted or skipped in this layer.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Returns the report.
    pub fn into_report(self) -> Report {
        self.report
    }

    #[cfg(feature = "image")]
    pub(super) fn into_checked(self) -> Checked {
        self.checked
    }

    /// Sizes, digests and the proof of the layer. [`Checked::diff_id`] is there if it was expected or
    /// [computed](crate::Expected::compute_diff_id).
    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// The proof that this was the expected layer.
    ///
    /// # Errors
    ///
    /// [`Misuse::Unproven`](crate::error::Misuse::Unproven) if too little was expected for a proof.
    pub fn verified(self) -> Result<Verified<Blob>, Error> {
        self.checked.verified()
    }
}

/// The application of one layer.
pub(super) struct Run<'a, 'p> {
    pub(super) policy: &'a Policy,
    pub(super) limits: &'a Limits,
    pub(super) watch: &'a Watch<'p>,
    pub(super) about: About,
    /// The report of the layers before it in the session.
    pub(super) before: &'a Report,
    /// Counts the holes that are read as zeros in the session.
    pub(super) holes: &'a HolesRead,
    /// Where the sink adds work for other threads, if there are any.
    pub(super) shared_work: Option<&'a SharedWork>,
}

impl Run<'_, '_> {
    /// Applies the layer that `open` opens. The sink's `begin_layer` is called first. Any later failure, even a panic
    /// of the reader, then finds the sink inside a layer.
    pub(super) fn apply<S: Verifying>(
        self,
        open: impl FnOnce() -> Result<S, Error>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Applied, Error> {
        let mut reporter = Reporter::new(self.policy, self.limits).after(self.before);
        reporter.set_position(self.about.position());
        let stream = match self.begin(open, &mut reporter, sink) {
            Ok(stream) => stream,
            Err(error) => return Err(with_effect(error, sink.abandon_layer())),
        };
        let stream = ObservedStream::new(stream, self.watch);
        let mut reader = TarReader::new(stream, self.limits).with_end_mark(self.about.expected.end_mark());
        if let Err(error) = self.transfer(&mut reader, &mut reporter, sink) {
            let effect = sink.abandon_layer();
            // A damaged blob can break any rule, so the damage is reported instead. If the reader failed, damage cannot
            // be excluded, so the reader's error is reported.
            let is_refused = error.blame() == Blame::Archive;
            let damage = if is_refused { reader.into_inner().damage() } else { None };
            return Err(with_effect(damage.map_or(error, |error| self.at_layer(error)), effect));
        }
        self.finish(reader, reporter, sink).map_err(|error| with_effect(self.at_layer(error), sink.abandon_layer()))
    }

    /// Begins the layer, and opens it.
    fn begin<S: Verifying>(
        &self,
        open: impl FnOnce() -> Result<S, Error>,
        reporter: &mut Reporter<'_>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<S, Error> {
        let mut terms = terms(reporter).map_err(|error| self.at_layer(error))?;
        terms.cancellation = self.watch.cancellation().clone();
        sink.begin_layer(&self.about.context(&terms, self.shared_work))
            .map_err(|error| error.at(&self.about.position()))?;
        self.watch.begin(self.about.position, Step::Applying).map_err(|error| self.at_layer(error))?;
        let stream = open()?;
        if let Some(quirk) = self.about.compression_quirk(stream.format()) {
            reporter.quirk(quirk).map_err(|error| self.at_layer(error))?;
        }
        Ok(stream)
    }

    fn at_layer(&self, error: Error) -> Error {
        error.at(self.about.position())
    }

    fn transfer<S: Verifying>(
        &self,
        reader: &mut TarReader<S>,
        reporter: &mut Reporter<'_>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<(), Error> {
        let layer = self.about.position;
        let mut image_check = ImageCheck::of(&self.about);
        loop {
            let entry = match reader.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    return image_check.check_end().map_err(|error| error.at(Position { layer, ..reader.position() }));
                }
                Err(error) => return Err(self.at_layer(error)),
            };
            reader.locate(reporter.position_mut());
            self.apply_entry(entry, &mut image_check, reader, reporter, sink)
                .map_err(|error| error.at(reporter.position()))?;
        }
    }

    fn apply_entry<S: Verifying>(
        &self,
        entry: Entry,
        image_check: &mut ImageCheck,
        reader: &mut TarReader<S>,
        reporter: &mut Reporter<'_>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<(), SinkError> {
        image_check.check_entry(&entry)?;
        let bytes_before = reporter.report().bytes_written;
        let change = judge(entry, reporter)?;
        self.watch.entry(reporter.report().bytes_written - bytes_before)?;
        match change {
            Some(change) => image_check.apply(change, reader, self.holes, reporter, sink),
            None => Ok(()),
        }
    }

    fn finish<S: Verifying>(
        &self,
        reader: TarReader<S>,
        mut reporter: Reporter<'_>,
        sink: &mut (impl Sink + ?Sized),
    ) -> Result<Applied, Error> {
        let end = Position { layer: self.about.position, ..reader.position() };
        let quirks = reader.end_quirks().to_vec();
        let checked = reader.into_inner().finish()?;
        reporter.set_position(end);
        for quirk in quirks {
            reporter.quirk(quirk)?;
        }
        reporter.set_position(self.about.position());
        for quirk in checked.quirks.clone() {
            reporter.quirk(quirk)?;
        }
        sink.end_layer(&checked).map_err(SinkError::into_error)?;
        Ok(Applied { report: reporter.into_report(), checked })
    }
}

pub(super) fn with_effect(error: Error, effect: Effect) -> Error {
    match effect {
        Effect::None => error,
        Effect::Partial => error.in_part(),
    }
}
