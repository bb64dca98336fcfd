//! Layers for a store that are read while others are applied, and runs that need the same layers.

use super::world::{World, layer, slow, there, three, unpacker};
use layercage::image::LayerDescriptor;
use layercage::overlay::OverlayImage;
use layercage::{Policy, Selected};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

const JOBS: [usize; 4] = [1, 2, 3, 8];

/// Counts something by number. Threads wait for it.
#[derive(Default)]
struct Counts {
    counts: Mutex<BTreeMap<usize, usize>>,
    changed: Condvar,
}

impl Counts {
    fn add(&self, number: usize) {
        *self.counts.lock().unwrap().entry(number).or_default() += 1;
        self.changed.notify_all();
    }

    fn wait_for(&self, number: usize) {
        let counts = self.counts.lock().unwrap();
        let waited =
            self.changed.wait_timeout_while(counts, Duration::from_secs(60), |counts| !counts.contains_key(&number));
        assert!(!waited.unwrap().1.timed_out(), "{number}");
    }

    fn numbers(&self) -> Vec<usize> {
        self.counts.lock().unwrap().keys().copied().collect()
    }

    fn is_each_once(&self) -> bool {
        self.counts.lock().unwrap().values().all(|count| *count == 1)
    }
}

/// A layer that does something before its first byte.
struct Begun<F>(Box<dyn Read + Send>, Option<F>);

impl<F: FnOnce() -> io::Result<()>> Read for Begun<F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Some(begin) = self.1.take() {
            begin()?;
        }
        self.0.read(out)
    }
}

/// Unpacks an image whose layers are opened by `open`, with as many readers as jobs.
fn unpack_from<R: Read + Send>(
    world: &World,
    image: &Selected,
    jobs: usize,
    open: impl FnMut(&LayerDescriptor) -> io::Result<R> + Send,
) -> Result<OverlayImage, layercage::Error> {
    let unpacker = unpacker(jobs).with_readers(NonZeroUsize::new(jobs).unwrap());
    unpacker.session().unpack_overlay_from(image, open, &world.store())
}

#[test]
fn layers_are_read_while_those_below_them_are_applied() {
    let world = World::new();
    let image = world.image("image", &three());
    let opened = Counts::default();
    // The first layer arrives when the third one is read.
    let open = |layer: &LayerDescriptor| {
        let (number, opened) = (layer.position().number, &opened);
        let begin = move || {
            opened.add(number);
            if number == 1 {
                opened.wait_for(3);
            }
            Ok(())
        };
        Ok(Begun(Box::new(image.open_layer(layer)?), Some(begin)))
    };
    assert_eq!(there(&unpack_from(&world, &image, 4, open).unwrap()), [false; 3]);
    assert!(opened.is_each_once());
    world.assert_tidy();
}

#[test]
fn a_layer_that_is_claimed_ahead_is_waited_for_and_not_read_by_others() {
    for (jobs, others) in [(1, 2), (2, 1), (3, 3), (4, 8)] {
        let world = World::new();
        let [one, two, three] = three();
        let image = world.image("image", &[one.clone(), two.clone(), three]);
        let other = world.image("other", &[one, two, layer().file("own", b"")]);
        let (claimed, waiting) = (Counts::default(), Counts::default());
        thread::scope(|scope| {
            scope.spawn(|| {
                let open = |layer: &LayerDescriptor| {
                    let (number, claimed, waiting) = (layer.position().number, &claimed, &waiting);
                    claimed.add(number);
                    let begin = move || {
                        if number == 1 {
                            waiting.wait_for(0);
                            // It has looked for the layer many times by now.
                            thread::sleep(Duration::from_millis(100));
                        }
                        Ok(())
                    };
                    Ok(Begun(Box::new(image.open_layer(layer)?), Some(begin)))
                };
                assert_eq!(there(&unpack_from(&world, &image, jobs, open).unwrap()), [false; 3]);
            });
            claimed.wait_for(1);
            waiting.add(0);
            let read = Counts::default();
            let open = |layer: &LayerDescriptor| {
                read.add(layer.position().number);
                Ok(other.open_layer(layer)?)
            };
            let unpacked = unpack_from(&world, &other, others, open).unwrap();
            // With one job, the second layer is anybody's.
            let most = if jobs == 1 { 1..=2 } else { 1..=1 };
            assert!(most.contains(&read.numbers().len()) && read.numbers().contains(&3), "{jobs} {:?}", read.numbers());
            assert!(there(&unpacked)[2]);
        });
        world.assert_tidy();
    }
}

#[test]
fn layers_that_a_failed_run_had_claimed_are_made_by_the_next() {
    for jobs in JOBS {
        let world = World::new();
        let image = world.image("image", &three());
        let claimed = Counts::default();
        thread::scope(|scope| {
            let failing = scope.spawn(|| {
                let open = |layer: &LayerDescriptor| {
                    let (number, claimed) = (layer.position().number, &claimed);
                    claimed.add(number);
                    let begin = move || {
                        claimed.wait_for(9);
                        thread::sleep(Duration::from_millis(50));
                        Err(io::Error::other("the connection is lost"))
                    };
                    Ok(Begun(Box::new(image.open_layer(layer)?), Some(begin)))
                };
                unpack_from(&world, &image, jobs, open).unwrap_err()
            });
            claimed.wait_for(1);
            claimed.add(9);
            assert_eq!(there(&world.unpack_with(&image, jobs)), [false; 3], "{jobs}");
            let error = failing.join().unwrap();
            assert!(format!("{error:#}").contains("the connection is lost"), "{error:#}");
        });
        world.assert_tidy();
    }
}

#[test]
fn an_error_of_the_opener_comes_after_the_layers_below_it() {
    for jobs in JOBS {
        let world = World::new();
        let image = world.image("image", &three());
        let opened = Counts::default();
        let open = |layer: &LayerDescriptor| {
            opened.add(layer.position().number);
            match layer.position().number {
                3 => Err(io::Error::other("no such layer")),
                _ => Ok(image.open_layer(layer)?),
            }
        };
        let error = unpack_from(&world, &image, jobs, open).unwrap_err();
        assert_eq!(error.position().layer.unwrap().number, 3);
        assert!(opened.is_each_once());
        assert_eq!(world.names().iter().filter(|name| name.ends_with("/diff")).count(), 2, "{jobs}");
        world.assert_tidy();
        assert_eq!(there(&world.unpack_with(&image, jobs)), [false, true, true]);
    }
}

#[test]
fn a_panic_of_a_reader_leaves_the_store_as_after_a_failure() {
    for jobs in JOBS {
        let world = World::new();
        let image = world.image("image", &three());
        let panics = |layer: &LayerDescriptor| {
            let number = layer.position().number;
            let begin = move || if number == 2 { panic!("of the reader") } else { Ok(()) };
            Ok(Begun(Box::new(image.open_layer(layer)?), Some(begin)))
        };
        let run = std::panic::AssertUnwindSafe(|| unpack_from(&world, &image, jobs, panics).map(drop));
        let panic = std::panic::catch_unwind(run).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"of the reader"), "{jobs}");
        world.assert_tidy();
        let unpacked = world.unpack_with(&image, jobs);
        assert!(!there(&unpacked)[0] && !there(&unpacked)[1], "{jobs}");
    }
}

#[test]
fn runs_of_images_that_share_layers_make_each_layer_once() {
    let world = World::new();
    let images: Vec<_> = (0..4)
        .map(|number| {
            let mut layers = slow();
            layers.push(layer().file(&format!("own{number}"), b""));
            (world.image(&format!("image{number}"), &layers), JOBS[number])
        })
        .collect();
    let opened = Counts::default();
    thread::scope(|scope| {
        for (number, (image, jobs)) in images.iter().enumerate() {
            let (world, opened) = (&world, &opened);
            let open = move |layer: &LayerDescriptor| {
                let layer_number = layer.position().number;
                opened.add(if layer_number == 7 { 100 + number } else { layer_number });
                Ok(image.open_layer(layer)?)
            };
            scope.spawn(move || unpack_from(world, image, *jobs, open).unwrap());
        }
    });
    assert_eq!(opened.numbers(), [1, 2, 3, 4, 5, 6, 100, 101, 102, 103]);
    assert!(opened.is_each_once());
    world.assert_tidy();
}

/// Under another policy, a layer is another one. Its lock is the same.
#[test]
fn runs_with_other_policies_wait_for_each_other_and_end() {
    let world = World::new();
    let image = world.image("image", &slow());
    let policies = (0..4).map(|second| {
        let epoch = layercage::tar::Timestamp::new(second, 0).unwrap();
        Policy::default().with_epoch(epoch)
    });
    thread::scope(|scope| {
        for (policy, jobs) in policies.zip(JOBS) {
            let (world, image) = (&world, &image);
            scope.spawn(move || {
                let unpacker = layercage::Unpacker::new(policy).with_jobs(NonZeroUsize::new(jobs).unwrap());
                let unpacked = unpacker.unpack_overlay(image, &world.store()).unwrap();
                assert_eq!(there(&unpacked), [false; 6]);
            });
        }
    });
    world.assert_tidy();
}
