//! Layers from async code.
//!
//! Readers here are plain [`std::io::Read`], and unpacking makes blocking system calls. Run it on a thread that may
//! block, for example with `tokio::task::spawn_blocking`. Some runtimes have an adapter from their readers to that
//! trait, such as `tokio_util::io::SyncIoBridge`. Without an adapter, use a bounded channel: the async side sends the
//! bytes that arrive, and the thread reads them. The capacity of the channel limits how far the sender can be ahead.
//!
//! A dropped sender must not look like the end of the layer: the task may have been cancelled, or the connection lost.
//! With a digest or diff ID, a truncated layer is refused in any case. Without one, only the reader can report the
//! truncation.
//!
//! A timeout for stalled connections must count only the time in which the reader waits. Layers are applied one after
//! another, so a download that is ahead has to wait. The timeout of an HTTP client may count this time, too, and then
//! ends downloads that are not stalled.
//!
//! `examples/pull` in the repository pulls images from a registry in this way, with `tokio` and `oci-client`. It
//! downloads two layers at once, and Ctrl-C cancels it.
//!
//! ```
//! use cap_std::{ambient_authority, fs::Dir};
//! use layercage::{Error, Layer, Policy, Rootfs, Unpacker};
//! use layercage::error::Blame;
//! use std::io::{self, Read};
//! use std::sync::mpsc::{Receiver, sync_channel};
//!
//! /// Reads pieces from a channel. An empty piece is the end.
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
//! // A thread that may block. An async program uses one of its runtime.
//! let (to, from) = sync_channel(4);
//! let unpacking = std::thread::spawn(move || unpack(from));
//! for piece in archive.chunks(512).chain([&[][..]]) {
//!     to.send(piece.to_vec())?; // an async task would use its runtime's channel
//! }
//! assert_eq!(unpacking.join().unwrap().unwrap()?, 1);
//!
//! // A dropped sender is an error, not the end of the archive.
//! let (to, from) = sync_channel(4);
//! to.send(archive[..1024].to_vec())?;
//! drop(to);
//! assert_eq!(unpack(from).unwrap().unwrap_err().blame(), Blame::System);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
