//! Lists what every layer of an image changes, with the SHA-256 of each file: a sink of your own.
//!
//! ```sh
//! cargo run --release --example own_sink -- tests/images/world
//! ```
//!
//! The image is verified while it is listed: a layer is whole when its line "verified" is there.

#![allow(clippy::disallowed_methods, reason = "opens the image that its user names")]

use cap_std::ambient_authority;
use layercage::blob::Checked;
use layercage::error::Escaped;
use layercage::policy::Devices;
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError};
use layercage::tar::{Change, ChangeKind};
use layercage::{Image, Policy, Selector, Sink, Unpacker};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::io::{self, BufWriter, Read, Write};

/// Writes one line for each change.
struct Listing<W>(W);

impl<W: Write> Sink for Listing<W> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        let (number, of) = (layer.number().unwrap_or(1), layer.of().unwrap_or(1));
        Ok(writeln!(self.0, "layer {number} of {of}")?)
    }

    fn change(&mut self, change: Judged<Change>, data: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        let Change { path, kind, .. } = change.get();
        let what = match kind {
            ChangeKind::File { .. } => sha256(data)?,
            ChangeKind::PseudoLink { .. } => format!("{} of hard links", sha256(data)?),
            ChangeKind::Directory(_) => "directory".to_owned(),
            ChangeKind::Symlink { target, .. } => format!("symbolic link to {}", Escaped::whole(target.as_bytes())),
            ChangeKind::HardLink { target, .. } => format!("hard link to {}", Escaped::whole(target.as_bytes())),
            ChangeKind::Fifo(_) => "FIFO".to_owned(),
            ChangeKind::Device { device, .. } => format!("device {}:{}", device.major, device.minor),
            ChangeKind::Skipped(_) => "skipped".to_owned(),
            ChangeKind::Whiteout => "removed".to_owned(),
            ChangeKind::OpaqueWhiteout => "emptied".to_owned(),
        };
        // Escaped, so that no name can send commands to the terminal.
        Ok(writeln!(self.0, "{} {what}", Escaped::whole(path.as_bytes()))?)
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        Ok(writeln!(self.0, "verified, {} bytes", checked.blob_bytes)?)
    }
}

/// Hashes the content of a file. Its errors are those of the archive, and keep their rule and position.
fn sha256(mut data: Data<'_>) -> io::Result<String> {
    let (mut hasher, mut buffer) = (Sha256::new(), [0; 16 << 10]);
    loop {
        match data.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => hasher.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: own_sink IMAGE")?;
    let selected = Image::open_ambient(path, ambient_authority())?.select(&Selector::host())?;
    let mut session = Unpacker::new(Policy::default().with_devices(Devices::Skip)).session();
    let mut listing = Listing(BufWriter::new(io::stdout().lock()));
    session.apply_image(&selected, &mut listing)?;
    listing.0.flush()?;
    session.report().notes().iter().for_each(|note| eprintln!("note: {note}"));
    Ok(())
}
