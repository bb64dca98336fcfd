//! Differences from tar libraries and from other unpackers.
//!
//! # From a tar library
//!
//! A tar library extracts an archive; a layer is a change to a tree. In a layer, an entry `.wh.NAME` removes NAME, but
//! `Archive::unpack` of a library creates a file `.wh.NAME`. It also follows links as the host sees them, not as a
//! container does, or refuses them. With layercage:
//!
//! ```
//! # let mut archive = tar::Builder::new(Vec::new());
//! # let mut header = tar::Header::new_gnu();
//! # header.set_size(0);
//! # archive.append_data(&mut header, "etc/.wh.motd", &b""[..])?;
//! # let layer = archive.into_inner()?;
//! # let directory = tempfile::tempdir()?;
//! # std::fs::create_dir(directory.path().join("etc"))?;
//! # std::fs::write(directory.path().join("etc/motd"), "hello")?;
//! use cap_std::{ambient_authority, fs::Dir};
//! use layercage::{Layer, Policy, Rootfs, Unpacker};
//!
//! let rootfs = Dir::open_ambient_dir(directory.path(), ambient_authority())?;
//! assert!(rootfs.exists("etc/motd"));
//! // `layer` has one entry, `etc/.wh.motd`.
//! Unpacker::new(Policy::default()).apply(Layer::new(&layer[..]), &mut Rootfs::over(&rootfs)?)?;
//! assert!(!rootfs.exists("etc/motd") && !rootfs.exists("etc/.wh.motd"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - A path that leads out of the root is an error. The entry is not silently dropped: see
//!   [`Error::rule_id`](crate::Error::rule_id).
//! - Absolute symbolic links are resolved inside the root, as in a container.
//! - Owners, modes, times and extended attributes are always set if the caller's privileges allow it; otherwise there
//!   is a note.
//! - To read only entries, without a tree, use [`TarReader`](crate::tar::TarReader).
//!
//! # From an engine's way of unpacking
//!
//! [`Policy::compatible`](crate::Policy::compatible) accepts most that containerd accepts, with a note for each quirk.
//! `docs/policy.md` lists the exceptions. These differences remain under every policy:
//!
//! - A whiteout removes paths of lower layers only, at any position in its layer. Engines also remove earlier entries
//!   of the same layer, against the image-spec. If this makes a difference, there is a note `whiteout-of-own`. An
//!   opaque marker behaves alike, but without a note by default; `--allow opaque-behind-own` adds one.
//! - AUFS pseudo-links (`.wh..wh.plnk/NAME`): hard links to a pseudo-link share its inode. Engines create a copy for
//!   each.
//! - If a digest, size or diff ID of a layer is given, it is checked before any part of the layer is visible, not
//!   after.
//! - A hard link has the attributes of its target, not those in the header of the link.
//! - A directory has the time of its last entry, even if files are added to the directory later.
