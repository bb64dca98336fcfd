//! What differs from tar libraries and from other unpackers.
//!
//! # From a tar library
//!
//! A tar library extracts an archive; a layer is a change to a tree. `Archive::unpack` of a library makes files named
//! `.wh.NAME` where a layer means that NAME goes, and follows or refuses links on the way by the host's eyes. Here:
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
//! - A path that climbs out is an error, not an entry that is left out: see [`Error::rule_id`](crate::Error::rule_id).
//! - Absolute symbolic links lead where a container would see them, inside the root.
//! - Owners, modes, times and extended attributes are always set, where the caller may; a note says where not.
//! - To read entries only, without a tree, there is [`TarReader`](crate::tar::TarReader).
//!
//! # From an engine's way of unpacking
//!
//! [`Policy::compatible`](crate::Policy::compatible) takes what containerd takes, with a note for each oddity. What
//! stays different, whatever the policy:
//!
//! - A whiteout speaks of lower layers only, wherever it stands in its layer. Engines remove what came before it in the
//!   same layer, too; the image-spec says otherwise, and the note `whiteout-of-own` says where it matters. An opaque
//!   marker does the same in silence; `--allow opaque-behind-own` has it noted.
//! - AUFS pseudo-links (`.wh..wh.plnk/NAME`): hard links to one share its inode. Engines make a copy for each.
//! - The digest, size and diff ID that are given of a layer are checked before anything of it is visible, not after.
//! - A hard link has the attributes of its target, not those of the last header that names it.
//! - A directory's time is that of the entry that named it last, whatever is added to it later.
