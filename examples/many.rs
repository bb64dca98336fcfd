//! Unpacks many images at once, each into a directory of its own: `many DIRECTORY IMAGE...`.
//!
//! ```sh
//! cargo run --release --example many -- /srv/trees images/*.tar
//! ```
//!
//! Each image becomes DIRECTORY/NAME with the name of its file, whole or not at all. An image that is refused does not
//! stop the others.

#![allow(clippy::disallowed_methods, reason = "opens the paths that its user names")]

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::policy::Devices;
use layercage::{Error, Image, Policy, Report, Selector};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, mpsc};
use std::thread;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let directory = arguments.next().ok_or("usage: many DIRECTORY IMAGE...")?;
    let parent = Dir::open_ambient_dir(&directory, ambient_authority())?;
    let policy = Policy::default().with_devices(Devices::Skip);
    let images = Mutex::new(arguments.collect::<Vec<_>>().into_iter());
    let (mut unpacked, mut failed, mut total) = (0, 0, Report::default());
    thread::scope(|scope| {
        let (send, results) = mpsc::channel();
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let (images, parent, policy, send) = (&images, &parent, &policy, send.clone());
            scope.spawn(move || {
                // Each thread takes the next image when it is free.
                while let Some(image) = images.lock().ok().and_then(|mut images| images.next()) {
                    let result = unpack(&image, parent, policy);
                    if send.send((image, result)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (image, result) in results {
            match result {
                Ok(report) => {
                    unpacked += 1;
                    total.merge(report);
                }
                Err(error) => {
                    failed += 1;
                    eprintln!("{}: {error:#}", image.display());
                }
            }
        }
    });
    println!("{unpacked} images unpacked, {failed} failed");
    println!("{} entries, {} bytes", total.entries, total.bytes_written);
    total.counts().for_each(|(rule, count)| println!("{count} notes [{rule}]"));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Unpacks one image. A failure leaves nothing behind.
fn unpack(path: &Path, parent: &Dir, policy: &Policy) -> Result<Report, Error> {
    let image = Image::open_ambient(path, ambient_authority())?;
    let selected = image.select(&Selector::host())?;
    selected.unpack_into(parent, path.file_name().unwrap_or_default(), policy)
}
