//! Two sinks that are given the same layers.

use super::context::LayerContext;
use super::data::Data;
use super::replay::Replay;
use super::sink::{Sink, Visibility};
use super::sink_error::SinkError;
use crate::cage::Scratch;
use crate::plan::{Judged, Reporter};
use crate::read::Checked;
use crate::words::{Change, Effect};

/// Gives each layer to two sinks. Each change goes to the first sink and then to the second.
///
/// The content of a file is kept for the second sink while the first one reads it: up to 1 MiB in memory, the rest in a
/// temporary file. It is created when it is needed, and grows to the size of the largest file of a layer.
///
/// When one sink fails, the layer fails for both, and both abandon it. Then [`Sink::abandon_layer`] may follow
/// [`Sink::end_layer`], if the second sink failed at its end. A quirk that both sinks report is noted twice. The
/// changes are [visible at once](Visibility::AtOnce) if those of one sink are. A `Tee` is a sink, too: for three sinks,
/// put a `Tee` into a `Tee`.
///
/// ```no_run
/// # use layercage::{Error, Scratch, Selected, Sink, Staged, Unpacker};
/// # use layercage::sink::Tee;
/// # fn unpack(image: &Selected, staged: &mut Staged, listing: impl Sink, scratch: Scratch) -> Result<(), Error> {
/// let mut both = Tee::new(staged.rootfs(), listing, scratch);
/// Unpacker::default().session().apply_image(image, &mut both)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tee<A, B> {
    first: A,
    second: B,
    replay: Replay,
}

impl<A: Sink, B: Sink> Tee<A, B> {
    /// Gives layers to both sinks. A file of `scratch` keeps the content of large files.
    pub fn new(first: A, second: B, scratch: Scratch) -> Self {
        Self { first, second, replay: Replay::new(scratch) }
    }

    /// Returns the sinks.
    pub fn into_inner(self) -> (A, B) {
        (self.first, self.second)
    }
}

impl<A: Sink, B: Sink> Sink for Tee<A, B> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.first.begin_layer(layer)?;
        self.second.begin_layer(layer)
    }

    fn change(
        &mut self,
        change: Judged<Change>,
        mut data: Data<'_>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        if data.size() == 0 {
            self.first.change(change.clone(), Data::of(&mut &b""[..]), reporter)?;
            return self.second.change(change, data, reporter);
        }
        let holes = data.holes();
        let mut recording = self.replay.record(&mut data);
        let first = Data::of_change(change.get(), &mut recording).counting(holes);
        self.first.change(change.clone(), first, reporter)?;
        recording.finish()?;
        let mut source = self.replay.source();
        let second = Data::of_change(change.get(), &mut source).counting(holes);
        self.second.change(change, second, reporter)
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.first.end_layer(checked)?;
        self.second.end_layer(checked)
    }

    fn abandon_layer(&mut self) -> Effect {
        match (self.first.abandon_layer(), self.second.abandon_layer()) {
            (Effect::None, Effect::None) => Effect::None,
            _ => Effect::Partial,
        }
    }

    fn visibility(&self) -> Visibility {
        match (self.first.visibility(), self.second.visibility()) {
            (Visibility::AtCommit, Visibility::AtCommit) => Visibility::AtCommit,
            _ => Visibility::AtOnce,
        }
    }
}
