//! Layers that are never in memory as a whole, and a sink that keeps nothing.

use layercage::{Change, Checked, Data, Judged, LayerContext, Reporter, Sink, SinkError};
use std::io::{self, Read};

/// Reads content and drops it.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    fn begin_layer(&mut self, _: &LayerContext<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    fn change(&mut self, _: Judged<Change>, mut data: Data<'_>, _: &mut Reporter<'_>) -> Result<(), SinkError> {
        while data.next_piece()?.is_some() {}
        Ok(())
    }

    fn end_layer(&mut self, _: &Checked) -> Result<(), SinkError> {
        Ok(())
    }
}

/// An entry of a layer that is never in memory as a whole.
pub(crate) enum Item {
    File(String),
    Directory(String),
    HardLink(String, String),
    Symlink(String, String),
    Zeros(String, u64),
    Content(String, Vec<u8>),
    Xattrs(String),
}

/// The archive of these entries.
pub(crate) fn layer(items: impl IntoIterator<Item = Item> + 'static) -> Box<dyn Read> {
    let entries = items.into_iter().map(entry as fn(Item) -> Box<dyn Read>);
    let end: Box<dyn Read> = Box::new(io::repeat(0).take(1024));
    Box::new(Chain { parts: Box::new(entries.chain([end])), now: None })
}

/// One entry, without an end.
pub(crate) fn entry(item: Item) -> Box<dyn Read> {
    match item {
        Item::File(name) => archive(tar::EntryType::Regular, &name, "", 0),
        Item::Directory(name) => archive(tar::EntryType::Directory, &name, "", 0),
        Item::HardLink(name, target) => archive(tar::EntryType::Link, &name, &target, 0),
        Item::Symlink(name, target) => archive(tar::EntryType::Symlink, &name, &target, 0),
        Item::Zeros(name, bytes) => {
            let content = io::repeat(0).take(bytes.next_multiple_of(512));
            Box::new(archive(tar::EntryType::Regular, &name, "", bytes).chain(content))
        }
        Item::Content(name, mut content) => {
            let header = archive(tar::EntryType::Regular, &name, "", content.len() as u64);
            content.resize(content.len().next_multiple_of(512), 0);
            Box::new(header.chain(io::Cursor::new(content)))
        }
        Item::Xattrs(name) => {
            let records: String = (100..200).map(|i| format!("32 SCHILY.xattr.user.test.{i}=x\n")).collect();
            let header = archive(tar::EntryType::XHeader, "x", "", records.len() as u64);
            let mut content = records.into_bytes();
            content.resize(content.len().next_multiple_of(512), 0);
            Box::new(header.chain(io::Cursor::new(content)).chain(archive(tar::EntryType::Regular, &name, "", 0)))
        }
    }
}

/// Headers alone; a long name or target goes before it as GNU writers have it.
fn archive(kind: tar::EntryType, name: &str, target: &str, size: u64) -> Box<dyn Read> {
    let mut bytes = Vec::new();
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(1);
    header.set_uid(0);
    header.set_gid(0);
    for (flag, text) in [(tar::EntryType::GNULongName, name), (tar::EntryType::GNULongLink, target)] {
        if text.len() > 100 {
            let mut long = header.clone();
            long.set_entry_type(flag);
            long.set_size(text.len() as u64 + 1);
            long.set_cksum();
            bytes.extend_from_slice(long.as_bytes());
            bytes.extend_from_slice(text.as_bytes());
            bytes.resize((bytes.len() + 1).next_multiple_of(512), 0);
        }
    }
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_path(name.get(..name.len().min(99)).unwrap_or("x")).unwrap();
    if !target.is_empty() {
        header.set_link_name(target.get(..target.len().min(99)).unwrap_or("x")).unwrap();
    }
    header.set_cksum();
    bytes.extend_from_slice(header.as_bytes());
    Box::new(io::Cursor::new(bytes))
}

/// Readers one after another, made when their turn comes.
pub(crate) struct Chain {
    pub(crate) parts: Box<dyn Iterator<Item = Box<dyn Read>>>,
    pub(crate) now: Option<Box<dyn Read>>,
}

impl Read for Chain {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(now) = &mut self.now {
                match now.read(out)? {
                    0 => self.now = None,
                    bytes => return Ok(bytes),
                }
            }
            match self.parts.next() {
                Some(next) => self.now = Some(next),
                None => return Ok(0),
            }
        }
    }
}
