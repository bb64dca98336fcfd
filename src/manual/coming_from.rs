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
//!
//! # From a map of paths that merges layers
//!
//! A scanner often merges layers into a map from names to entries. A name is not yet a path, and an entry is not yet a
//! file. [`MergedTree`](crate::MergedTree) has the paths and files that unpacking gives, and what is hidden:
//!
//! ```
//! use layercage::merged::{Hiding, Merger};
//! use layercage::{Layer, Policy, Unpacker};
//!
//! # let layer = |entries: &[(&str, tar::EntryType, &str)]| -> std::io::Result<Vec<u8>> {
//! #     let mut archive = tar::Builder::new(Vec::new());
//! #     for (name, kind, target) in entries {
//! #         let mut header = tar::Header::new_gnu();
//! #         header.set_entry_type(*kind);
//! #         header.set_size(if kind.is_file() { target.len() as u64 } else { 0 });
//! #         match kind {
//! #             tar::EntryType::Regular => archive.append_data(&mut header, name, target.as_bytes())?,
//! #             _ => archive.append_link(&mut header, name, target)?,
//! #         }
//! #     }
//! #     archive.into_inner()
//! # };
//! # use tar::EntryType::{Link, Regular, Symlink};
//! let lower = layer(&[("lib", Symlink, "usr/lib"), ("usr/lib/a.so", Regular, "old"), ("srv/key", Regular, "secret")])?;
//! let upper = layer(&[("lib/a.so", Regular, "new"), ("bin/key", Link, "srv/key"), ("srv/.wh.key", Regular, "")])?;
//! let (mut session, mut merger) = (Unpacker::new(Policy::default()).session(), Merger::new());
//! session.apply(Layer::new(&lower[..]), &mut merger)?;
//! session.apply(Layer::new(&upper[..]), &mut merger)?;
//! let tree = merger.into_tree()?;
//!
//! // A name may lead through a link: the upper layer has replaced `usr/lib/a.so`, and there is no other `a.so`.
//! assert_eq!(tree.iter().filter(|node| node.file_name() == b"a.so").count(), 1);
//! let replaced = tree.get("usr/lib/a.so").and_then(|node| node.replaced());
//! assert_eq!(replaced.map(|old| (old.layer(), old.how())), Some((1, Hiding::Replaced)));
//! // A hard link is the file itself, also when the name that it was made from is gone.
//! let key = tree.get("bin/key").expect("it is there");
//! assert_eq!((key.size(), key.layer(), key.content_layer(), key.link_count()), (6, 2, 1, 1));
//! // What was deleted is in the image. This file has a name left, so its content is not even hidden.
//! let hidden = tree.hidden().find(|hidden| hidden.how() == Hiding::WhitedOut).expect("it is hidden");
//! assert_eq!((hidden.path().as_bytes(), hidden.link_count()), (&b"srv/key"[..], 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
