//! Layers with names and attributes of any length, which take an extended header where a plain one is too small.

use super::build::{Archive, Header, pax_records};

/// A layer in the making.
///
/// Entries have mode 0644 (directories 0755), owner 0:0 and time 1,000,000,000 unless they are changed.
#[derive(Clone, Default)]
pub(crate) struct LayerBuilder {
    archive: Archive,
    /// PAX records for the next entry.
    records: Vec<(String, Vec<u8>)>,
}

/// The attributes of an entry.
#[derive(Clone)]
pub(crate) struct Attributes<'a> {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: u64,
    pub(crate) xattrs: Vec<(&'a str, &'a [u8])>,
}

impl Default for Attributes<'_> {
    fn default() -> Self {
        Self { mode: 0o644, uid: 0, gid: 0, mtime: 1_000_000_000, xattrs: Vec::new() }
    }
}

/// The usual attributes with another mode.
pub(crate) fn mode(mode: u32) -> Attributes<'static> {
    Attributes { mode, ..Attributes::default() }
}

impl LayerBuilder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A PAX record for the entry that comes next: `mtime`, say, which only there has nanoseconds.
    pub(crate) fn record(mut self, key: &str, value: &[u8]) -> Self {
        self.records.push((key.into(), value.into()));
        self
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        self.file_with(name, content, &Attributes::default())
    }

    pub(crate) fn file_with(self, name: &str, content: &[u8], attributes: &Attributes<'_>) -> Self {
        self.entry(b'0', name.as_bytes(), b"", content, attributes)
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.dir_with(name, &mode(0o755))
    }

    pub(crate) fn dir_with(self, name: &str, attributes: &Attributes<'_>) -> Self {
        self.entry(b'5', name.as_bytes(), b"", b"", attributes)
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(b'2', name.as_bytes(), target.as_bytes(), b"", &mode(0o777))
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(b'1', name.as_bytes(), target.as_bytes(), b"", &Attributes::default())
    }

    pub(crate) fn fifo(self, name: &str) -> Self {
        self.entry(b'6', name.as_bytes(), b"", b"", &Attributes::default())
    }

    /// A character device.
    pub(crate) fn device(self, name: &str, major: u32, minor: u32) -> Self {
        self.node(b'3', name, major, minor)
    }

    /// A device of either kind.
    pub(crate) fn node(mut self, flag: u8, name: &str, major: u32, minor: u32) -> Self {
        let header = header(flag, name.as_bytes(), b"", &Attributes::default());
        self.archive = self.archive.header(header.device(major, minor));
        self
    }

    /// Removes `name` (of which the last component gets its prefix) from lower layers.
    pub(crate) fn whiteout(self, name: &str) -> Self {
        let (directory, last) = name.rsplit_once('/').map_or(("", name), |(directory, last)| (directory, last));
        let slash = if directory.is_empty() { "" } else { "/" };
        self.file(&format!("{directory}{slash}.wh.{last}"), b"")
    }

    pub(crate) fn opaque(self, directory: &str) -> Self {
        let slash = if directory.is_empty() { "" } else { "/" };
        self.file(&format!("{directory}{slash}.wh..wh..opq"), b"")
    }

    /// Any entry: its type flag, name, link target and content as they are. Names that the header cannot
    /// hold, and extended attributes, go into a PAX header before it.
    pub(crate) fn entry(mut self, flag: u8, name: &[u8], target: &[u8], content: &[u8], a: &Attributes<'_>) -> Self {
        let mut records = std::mem::take(&mut self.records);
        if name.len() > 100 {
            records.push(("path".to_owned(), name.to_vec()));
        }
        if target.len() > 100 {
            records.push(("linkpath".to_owned(), target.to_vec()));
        }
        for (key, value) in &a.xattrs {
            records.push((format!("SCHILY.xattr.{key}"), value.to_vec()));
        }
        if !records.is_empty() {
            let records: Vec<_> = records.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
            let content = pax_records(&records);
            self = self.raw_entry(b'x', b"PaxHeaders/x", b"", &content, &Attributes::default());
        }
        self.raw_entry(flag, &name[..name.len().min(100)], &target[..target.len().min(100)], content, a)
    }

    /// One header and its content, without anything before it.
    pub(crate) fn raw_entry(
        mut self,
        flag: u8,
        name: &[u8],
        target: &[u8],
        content: &[u8],
        attributes: &Attributes<'_>,
    ) -> Self {
        self.archive = self.archive.with(header(flag, name, target, attributes), content);
        self
    }

    /// The archive, with its end.
    pub(crate) fn build(self) -> Vec<u8> {
        self.archive.end()
    }
}

fn header(flag: u8, name: &[u8], target: &[u8], attributes: &Attributes<'_>) -> Header {
    let header = Header::posix(flag, name).target(target).mode(attributes.mode).mtime(attributes.mtime);
    header.owner(attributes.uid, attributes.gid)
}
