//! Panics of the caller's code: nothing is committed after one, and none aborts the process.

use crate::support::layer::LayerBuilder;
use crate::support::open;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::blob::Checked;
use layercage::error::Misuse;
use layercage::image::LayerDescriptor;
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError};
use layercage::tar::Change;
use layercage::{Image, Layer, Policy, Selected, Selector, Sink, Staged, Unpacker};
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

fn unpacker(jobs: usize) -> Unpacker {
    Unpacker::new(Policy::default()).with_jobs(NonZeroUsize::new(jobs).unwrap())
}

fn world() -> Selected {
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world");
    let image = Image::open(&Dir::open_ambient_dir(world, ambient_authority()).unwrap()).unwrap();
    image.select(&Selector::host().with_reference("latest")).unwrap()
}

#[test]
fn a_panic_of_the_code_that_opens_a_layer_leaves_a_stage_that_can_only_be_dropped() {
    let selected = world();
    let layers = selected.layers().len();
    assert!(layers > 1);
    for (jobs, readers, panics_at) in
        (1..=3).flat_map(|jobs| (1..=2).flat_map(move |readers| (1..=layers).map(move |at| (jobs, readers, at))))
    {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(open(place.path()), "rootfs").unwrap();
        let open_layer = |layer: &LayerDescriptor| {
            assert!(layer.position().number < panics_at, "the registry's client has a bug");
            selected.open_layer(layer).map_err(io::Error::from)
        };
        let mut session = unpacker(jobs).with_readers(NonZeroUsize::new(readers).unwrap()).session();
        let apply = AssertUnwindSafe(|| session.apply_image_from(&selected, open_layer, staged.rootfs()));
        let panic = catch_unwind(apply).unwrap_err();
        let what = format!("{jobs} jobs, {readers} readers, layer {panics_at}");
        assert_eq!(panic.downcast_ref(), Some(&"the registry's client has a bug"), "{what}");
        let refused = staged.commit_unproven().unwrap_err();
        assert_eq!(refused.misuse(), Some(&Misuse::Poisoned), "{what}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "{what}");
    }
}

/// A sink that panics at its first change.
struct Panics;

impl Sink for Panics {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, _: Judged<Change>, _: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        panic!("the sink has a bug")
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_callback_that_panics_while_another_panic_unwinds_does_not_abort_the_process() {
    let bytes = LayerBuilder::new().file("a", &[1; 1 << 20]).build();
    for jobs in 1..=3 {
        let layer = Layer::new(&bytes[..]).on_abandoned(|| panic!("the callback has a bug"));
        let panic = catch_unwind(AssertUnwindSafe(|| unpacker(jobs).apply(layer, &mut Panics))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the sink has a bug"), "{jobs} jobs");
    }
}

#[test]
fn a_callback_that_panics_by_itself_ends_the_layer_and_nothing_is_committed() {
    let bytes = LayerBuilder::new().file("a", &[1; 1 << 20]).build();
    for jobs in 2..=3 {
        let place = tempfile::tempdir().unwrap();
        let mut staged = Staged::beside(open(place.path()), "rootfs").unwrap();
        let layer = Layer::new(&bytes[..]).on_abandoned(|| panic!("the callback has a bug"));
        let apply = AssertUnwindSafe(|| unpacker(jobs).apply(layer, staged.rootfs()));
        let panic = catch_unwind(apply).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the callback has a bug"), "{jobs} jobs");
        assert_eq!(staged.commit_unproven().unwrap_err().misuse(), Some(&Misuse::Poisoned), "{jobs} jobs");
    }
}
