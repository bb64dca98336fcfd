//! The members that distinguish the archive of an image from a layer.
//!
//! The archive of an image is a tar, and a layer is a tar. Only the names at the top of the archive, and what
//! `manifest.json` holds, tell them apart. One pass with a fixed amount of memory is enough: an archive may have ten
//! million entries before `index.json`.

use super::names::MANIFEST_JSON;
use super::outline::Outline;
use crate::words::{EntryKind, EntryPath, Error, Source};

/// What the entries of an archive so far show.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The signs at the top of the archive.
    top: Signs,
    /// The signs in the one directory that holds all members. `tar -cf FILE DIR` packs an image like this.
    inside: Signs,
    shared: Shared,
}

/// How much of an archive was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// What comes before its damage.
    Part,
}

/// The first component that the names of all members so far begin with.
#[derive(Debug, Default)]
enum Shared {
    #[default]
    Unknown,
    One(Box<[u8]>),
    /// Names begin with different components.
    Different,
}

impl Evidence {
    /// Adds the name and type of an entry.
    pub(crate) fn add_entry(&mut self, path: &EntryPath, kind: &EntryKind) {
        let name = path.as_bytes();
        self.top.add(name, kind);
        let (first, rest) = split(name);
        match &self.shared {
            // The root is listed as `.` by many writers.
            _ if first.is_empty() => {}
            Shared::Unknown => self.shared = Shared::One(first.into()),
            Shared::One(shared) if **shared != *first => self.shared = Shared::Different,
            Shared::One(_) | Shared::Different => {}
        }
        if let (Shared::One(_), Some(rest)) = (&self.shared, rest) {
            self.inside.add(rest, kind);
        }
    }

    /// Whether a [`Inspector`] must inspect the content of this entry.
    pub(crate) fn wants_content(&self, path: &EntryPath, kind: &EntryKind) -> bool {
        let is_manifest = match split(path.as_bytes()) {
            (first, None) => first == MANIFEST_JSON.as_bytes(),
            (_, Some(rest)) => rest == MANIFEST_JSON.as_bytes() && matches!(self.shared, Shared::One(_)),
        };
        is_manifest && matches!(kind, EntryKind::File { .. })
    }

    /// Adds the result for one `manifest.json`. If there are two, an engine may read either.
    pub(crate) fn add_content(&mut self, path: &EntryPath, outline: &Outline) {
        let signs = if path.as_bytes() == MANIFEST_JSON.as_bytes() { &mut self.top } else { &mut self.inside };
        signs.listed |= outline.is_listed();
    }

    /// Whether this is the archive of an image, of which so much could be read.
    pub(crate) fn is_image(&self, read: Extent) -> bool {
        self.top.are_of_image(read) || self.directory().is_some()
    }

    /// The directory that holds an image and everything else in the archive, if there is such a directory, and the file
    /// in it that makes it an image.
    ///
    /// A layer may hold an image in a directory, too, but then it usually has other directories. Engines do not look
    /// for images there, so less is evidence here than at the top: `app/index.json` is a file of a web application, and
    /// needs blobs beside it.
    pub(crate) fn directory(&self) -> Option<(&[u8], &'static [u8])> {
        let Shared::One(name) = &self.shared else { return None };
        match self.inside {
            Signs { marker: true, .. } => Some((name, b"oci-layout")),
            Signs { listed: true, .. } => Some((name, MANIFEST_JSON.as_bytes())),
            Signs { index: true, part: true, .. } => Some((name, b"index.json")),
            _ => None,
        }
    }

    /// Whether the input of `apply` is probably an image. Here names of parts are enough: `docker save` writes
    /// gigabytes of them before the first member that proves it.
    pub(crate) fn suggests_image(&self) -> bool {
        self.top.part || self.top.are_of_image(Extent::Whole)
    }
}

/// The first component of a name, and the rest.
fn split(name: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = name.splitn(2, |&byte| byte == b'/');
    (parts.next().unwrap_or_default(), parts.next())
}

/// The signs of an image in one directory of an archive.
#[derive(Debug, Default)]
struct Signs {
    /// `oci-layout`.
    marker: bool,
    /// `index.json`.
    index: bool,
    /// A `manifest.json` of any type but a directory.
    manifest: bool,
    /// A `manifest.json` that is the list of `docker save`, or that is not a regular file. Engines unpack the archive
    /// and then follow a link.
    listed: bool,
    /// The file of tags that Docker before 1.10 wrote instead of `manifest.json`.
    repositories: bool,
    /// A `layer.tar` in a directory of any name.
    layer: bool,
    /// A member with the usual name of a blob, a layer or a configuration.
    part: bool,
}

impl Signs {
    /// Adds the name and type of an entry.
    ///
    /// A directory is no evidence: engines open these names as files, and a layer may well have a directory
    /// `oci-layout` with a whole layout in it. Links are evidence: where they lead is seen only when the archive is
    /// unpacked, which is what Docker and skopeo do before they look.
    fn add(&mut self, name: &[u8], kind: &EntryKind) {
        if matches!(kind, EntryKind::Directory) {
            return;
        }
        match name {
            b"oci-layout" => self.marker = true,
            b"index.json" => self.index = true,
            b"repositories" => self.repositories = true,
            name if name == MANIFEST_JSON.as_bytes() => {
                self.manifest = true;
                self.listed |= !matches!(kind, EntryKind::File { .. });
            }
            name => {
                self.part |= is_part(name);
                self.layer |= is_layer(name);
            }
        }
    }

    /// Whether these are the signs of an image at the top of an archive.
    ///
    /// The usual names of parts are no evidence alone. They are evidence beside a `manifest.json`, even a damaged one,
    /// and beside `repositories`, where a `layer.tar` in any directory is enough. They are also evidence in a truncated
    /// archive, because the missing rest may hold a `manifest.json`.
    fn are_of_image(&self, read: Extent) -> bool {
        let is_tagged = self.layer && self.repositories;
        let is_named = self.marker || self.index || self.listed || is_tagged;
        is_named || (self.part && (self.manifest || self.repositories || read == Extent::Part))
    }
}

/// Whether this is the usual name of a blob, a layer or a configuration.
///
/// `blobs/sha256/HEX` (layouts), `HEX/layer.tar` and `HEX.json` (Docker, Nix), `HEX.tar` (skopeo, podman),
/// `HEX.tar.gz` and `sha256:HEX` (kaniko, ko), `HEX` (`dir:` of skopeo).
fn is_part(name: &[u8]) -> bool {
    if let Some(blob) = name.strip_prefix(b"blobs/") {
        return blob.strip_prefix(b"sha256/").is_some_and(|hex| is_hex(hex, 64))
            || blob.strip_prefix(b"sha512/").is_some_and(|hex| is_hex(hex, 128));
    }
    let name = name.strip_prefix(b"sha256:").unwrap_or(name);
    let Some((hex, rest)) = name.split_at_checked(64) else { return false };
    matches!(rest, b"" | b".json" | b".tar" | b".tar.gz" | b"/layer.tar") && is_hex(hex, 64)
}

/// Whether this is `NAME/layer.tar`. Docker used its own IDs as `NAME`; other readers accept any name.
fn is_layer(name: &[u8]) -> bool {
    name.strip_suffix(b"/layer.tar").is_some_and(|directory| !directory.contains(&b'/'))
}

fn is_hex(text: &[u8], digits: usize) -> bool {
    text.len() == digits && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Inspects a `manifest.json` while another part of the program reads its content.
pub(crate) struct Inspector<'o, S> {
    source: S,
    outline: &'o mut Outline,
}

impl<'o, S: Source> Inspector<'o, S> {
    pub(crate) fn new(source: S, outline: &'o mut Outline) -> Self {
        Self { source, outline }
    }

    /// Inspects the rest of the content and drops it.
    pub(crate) fn drain(&mut self) -> Result<(), Error> {
        loop {
            let got = self.chunk()?.len();
            if got == 0 {
                return Ok(());
            }
            self.consume(got);
        }
    }
}

impl<S: Source> Source for Inspector<'_, S> {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        self.source.chunk()
    }

    fn consume(&mut self, bytes: usize) {
        // `chunk` returns the same bytes until they are consumed.
        if let Ok(chunk) = self.source.chunk() {
            self.outline.feed(chunk.get(..bytes).unwrap_or(chunk));
        }
        self.source.consume(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Limits;

    /// Docker reads such an archive with any names of directories.
    #[test]
    fn tags_beside_layers_of_any_name_are_an_image() {
        let sees = |names: &[&str]| {
            let mut evidence = Evidence::default();
            for name in names {
                let path = EntryPath::parse(name.as_bytes(), &Limits::default()).unwrap();
                evidence.add_entry(&path, &EntryKind::File { size: 0, sparse: None });
            }
            evidence.is_image(Extent::Whole)
        };
        assert!(sees(&["repositories", "x/VERSION", "x/json", "x/layer.tar"]));
        assert!(sees(&["x/layer.tar", "repositories"]));
        assert!(!sees(&["x/VERSION", "x/json", "x/layer.tar"]));
        assert!(!sees(&["repositories", "x/json", "x/y/layer.tar", "layer.tar"]));
    }

    #[test]
    fn an_image_in_the_one_directory_of_an_archive_is_seen_and_one_beside_other_files_is_not() {
        let blob = format!("blobs/sha256/{}", "0123456789abcdef".repeat(4));
        let directory = |names: &[&str]| {
            let mut evidence = Evidence::default();
            for name in names {
                let path = EntryPath::parse(name.as_bytes(), &Limits::default()).unwrap();
                let kind = match name.ends_with('/') {
                    true => EntryKind::Directory,
                    false => EntryKind::File { size: 0, sparse: None },
                };
                evidence.add_entry(&path, &kind);
            }
            evidence.directory().map(|(name, _)| String::from_utf8(name.to_vec()).unwrap())
        };
        let sm = Some("sm".to_owned());
        let inside = format!("sm/{blob}");
        assert_eq!(directory(&["sm/", "sm/index.json", "sm/oci-layout"]), sm);
        assert_eq!(directory(&["./", "./sm/", &inside, "sm/index.json"]), sm, "without its marker");
        assert_eq!(directory(&["sm/oci-layout", "sm"]), sm);
        for layer in [
            // A web application, in the only directory of its layer.
            &["app/", "app/index.json", "app/server.js"][..],
            &["sm/", "sm/oci-layout", "sm/index.json", &inside, "usr/"],
            &["etc/", "sm/oci-layout", "sm/index.json", &inside],
            &["sm/oci-layout/", "sm/index.json/"],
            &["srv/sm/oci-layout", "srv/sm/index.json"],
            &[&inside],
            &["sm"],
            &[],
        ] {
            assert_eq!(directory(layer), None, "{layer:?}");
        }
    }

    #[test]
    fn the_parts_of_images_are_known_by_their_names() {
        let hex = "0123456789abcdef".repeat(4);
        for (name, expected) in [
            (format!("blobs/sha256/{hex}"), true),
            (format!("blobs/sha512/{hex}{hex}"), true),
            (format!("{hex}/layer.tar"), true),
            (format!("{hex}.json"), true),
            (format!("{hex}.tar"), true),
            (format!("{hex}.tar.gz"), true),
            (format!("sha256:{hex}"), true),
            (hex.clone(), true),
            (format!("blobs/sha512/{hex}"), false),
            (format!("blobs/sha256/{hex}/x"), false),
            (format!("blobs/md5/{hex}"), false),
            (format!("x/{hex}.json"), false),
            (format!("{hex}0.json"), false),
            (format!("{hex}.js"), false),
            (format!("{}.json", hex.to_uppercase()), false),
            ("blobs/".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_part(name.as_bytes()), expected, "{name}");
        }
    }
}
