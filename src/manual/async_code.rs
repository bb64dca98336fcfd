//! Layers that arrive in an async runtime.
//!
//! Readers here are plain [`std::io::Read`], and unpacking makes system calls that block: it belongs on a thread where
//! that is allowed (`tokio::task::spawn_blocking`, say). Runtimes have a bridge from their readers to that trait,
//! `tokio_util::io::SyncIoBridge` for one. Where there is none, a bounded channel is enough: the async side sends what
//! comes, the thread reads it, and neither runs ahead of the other by more than the channel holds.
//!
//! One thing is easy to get wrong: a sender that is dropped (a task that was cancelled, a connection that was lost) must
//! not look like the end of the layer. With a digest or diff ID it would be refused all the same; without one, this is
//! all that tells.
//!
//! Another is the timeout of a connection that stalls. Layers are applied one after another, so a download that is ahead
//! has to wait. A timeout that counts this time, as that of an HTTP client may, ends downloads that are not stalled. Count
//! only the time in which the reader waits.
//!
//! `examples/pull` of the repository pulls images from a registry in this way: with `tokio` and `oci-client`, two downloads
//! at once, cancelled by Ctrl-C.
//!
//! ```
//! use cap_std::{ambient_authority, fs::Dir};
//! use layercage::{Error, Layer, Policy, Rootfs, Unpacker};
//! use layercage::error::Blame;
//! use std::io::{self, Read};
//! use std::sync::mpsc::{Receiver, sync_channel};
//!
//! /// Reads what comes through a channel; an empty piece is the end, however often it is asked for.
//! struct Pieces {
//!     from: Receiver<Vec<u8>>,
//!     piece: io::Cursor<Vec<u8>>,
//!     ended: bool,
//! }
//!
//! impl Read for Pieces {
//!     fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
//!         if !self.ended && self.piece.position() == self.piece.get_ref().len() as u64 {
//!             let piece = self.from.recv().map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))?;
//!             self.ended = piece.is_empty();
//!             self.piece = io::Cursor::new(piece);
//!         }
//!         self.piece.read(out)
//!     }
//! }
//!
//! let unpack = |from| {
//!     let directory = tempfile::tempdir()?;
//!     let root = Dir::open_ambient_dir(directory.path(), ambient_authority())?;
//!     let layer = Layer::new(Pieces { from, piece: io::Cursor::default(), ended: false });
//!     let applied = Unpacker::new(Policy::default()).apply(layer, &mut Rootfs::over(&root)?);
//!     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(applied.map(|applied| applied.report().entries))
//! };
//! # let mut archive = tar::Builder::new(Vec::new());
//! # let mut header = tar::Header::new_gnu();
//! # header.set_size(2);
//! # archive.append_data(&mut header, "etc/hostname", &b"a\n"[..])?;
//! # let archive = archive.into_inner()?;
//!
//! // The thread that may block; the runtime's own in an async program.
//! let (to, from) = sync_channel(4);
//! let unpacking = std::thread::spawn(move || unpack(from));
//! for piece in archive.chunks(512).chain([&[][..]]) {
//!     to.send(piece.to_vec())?; // what an async task would do with its runtime's channel
//! }
//! assert_eq!(unpacking.join().unwrap().unwrap()?, 1);
//!
//! // A sender that is gone is a failure, and never an archive's end.
//! let (to, from) = sync_channel(4);
//! to.send(archive[..1024].to_vec())?;
//! drop(to);
//! assert_eq!(unpack(from).unwrap().unwrap_err().blame(), Blame::System);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
