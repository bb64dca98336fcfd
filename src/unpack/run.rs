//! One layer: read, judged, handed to a sink, in one pass.

use super::layer::About;
use super::progress::{Step, Watch, WatchedStream};
use super::suspicion::Suspicion;
use super::unpacker::Unpacker;
use crate::output::Sink;
use crate::plan::Judge;
use crate::read::{Blob, Checked, TarReader, Verified, Verifying};
use crate::words::{Blame, Entry, Error, Fault, Position, Quirk, Report};

/// What came of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    report: Report,
    checked: Checked,
}

impl Applied {
    /// What was tolerated, adjusted or skipped.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The same, for keeps.
    pub fn into_report(self) -> Report {
        self.report
    }

    /// The proof that this was the layer meant.
    ///
    /// # Errors
    ///
    /// [`Misuse::Unproven`](crate::Misuse::Unproven) when digest, size or diff ID was not given.
    pub fn verified(self) -> Result<Verified<Blob>, Error> {
        self.checked.verified()
    }
}

/// The application of one layer.
pub(super) struct Run<'a, 'p> {
    pub(super) unpacker: &'a Unpacker,
    pub(super) watch: &'a Watch<'p>,
    pub(super) about: About,
    /// What came of the lower layers of the image.
    pub(super) before: &'a Report,
}

impl Run<'_, '_> {
    /// Applies the layer that `open` opens. The sink's `begin_layer` is called first. Any later failure, even a panic
    /// of the reader, then finds the sink inside a layer.
    pub(super) fn apply<S: Verifying>(
        self,
        open: impl FnOnce() -> Result<S, Error>,
        sink: &mut impl Sink,
    ) -> Result<Applied, Error> {
        let mut judge = Judge::new(&self.unpacker.policy, self.unpacker.within(), self.before);
        judge.at(self.about.position());
        let stream = match self.begin(open, &mut judge, sink) {
            Ok(stream) => stream,
            Err(error) => {
                sink.abandon_layer();
                return Err(error);
            }
        };
        let stream = WatchedStream::new(stream, self.watch);
        let mut reader = TarReader::new(stream, self.unpacker.within()).with_end_mark(self.about.expected.end_mark());
        if let Err(error) = self.transfer(&mut reader, &mut judge, sink) {
            sink.abandon_layer();
            // A damaged blob can break any rule, so the damage is reported instead. If the reader failed, damage cannot
            // be excluded, so the reader's error is reported.
            let is_refused = error.blame() == Blame::Archive;
            let damage = if is_refused { reader.into_inner().damage() } else { None };
            return Err(with_effect(damage.map_or(error, |fault| self.at_layer(fault)), sink));
        }
        self.finish(reader, judge, sink).map_err(|fault| {
            sink.abandon_layer();
            with_effect(self.at_layer(fault), sink)
        })
    }

    /// Begins the layer, and opens it. A failure here changes nothing in the tree.
    fn begin<S: Verifying>(
        &self,
        open: impl FnOnce() -> Result<S, Error>,
        judge: &mut Judge<'_>,
        sink: &mut impl Sink,
    ) -> Result<S, Error> {
        let About { position: layer, stated_compression, .. } = self.about;
        let terms = judge.terms().map_err(|fault| self.at_layer(fault))?;
        sink.begin_layer(&terms).map_err(|fault| self.at_layer(fault))?;
        self.watch.begin(layer, Step::Applying).map_err(|fault| self.at_layer(fault))?;
        let stream = open()?;
        if let Some(stated) = stated_compression
            && stated != stream.format()
        {
            let quirk = Quirk::CompressionDiffers { stated: stated.name(), found: stream.format().name() };
            judge.quirk(quirk).map_err(|fault| self.at_layer(fault))?;
        }
        Ok(stream)
    }

    fn at_layer(&self, fault: Fault) -> Error {
        fault.at(self.about.position())
    }

    fn transfer<S: Verifying>(
        &self,
        reader: &mut TarReader<S>,
        judge: &mut Judge<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Error> {
        let layer = self.about.position;
        let mut suspicion = Suspicion::of(&self.about);
        loop {
            let entry = match reader.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(()),
                Err(fault) => return Err(fault.at(Position { layer, ..reader.position() })),
            };
            reader.locate(judge.position_mut());
            self.take(entry, &mut suspicion, reader, judge, sink)
                .map_err(|fault| fault.at(judge.position().clone()))?;
        }
    }

    fn take<S: Verifying>(
        &self,
        entry: Entry,
        suspicion: &mut Suspicion,
        reader: &mut TarReader<S>,
        judge: &mut Judge<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), Fault> {
        suspicion.see(&entry)?;
        let bytes_before = judge.bytes_written();
        let change = judge.judge(entry)?;
        self.watch.entry(judge.bytes_written() - bytes_before)?;
        match change {
            Some(change) => suspicion.pass(change, reader, judge, sink),
            None => Ok(()),
        }
    }

    fn finish<S: Verifying>(
        &self,
        reader: TarReader<S>,
        mut judge: Judge<'_>,
        sink: &mut impl Sink,
    ) -> Result<Applied, Fault> {
        let end = Position { layer: self.about.position, ..reader.position() };
        let quirks = reader.end_quirks().to_vec();
        let checked = reader.into_inner().finish()?;
        judge.at(end);
        for quirk in quirks {
            judge.quirk(quirk)?;
        }
        judge.at(self.about.position());
        for quirk in checked.quirks.clone() {
            judge.quirk(quirk)?;
        }
        sink.end_layer(&checked)?;
        Ok(Applied { report: judge.into_report(), checked })
    }
}

fn with_effect(error: Error, sink: &impl Sink) -> Error {
    if sink.has_changed() { error.in_part() } else { error }
}
