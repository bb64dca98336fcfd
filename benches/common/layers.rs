//! Layers that are never in memory as a whole, and a sink that keeps nothing.

use crate::build::{Archive, Header, tar};
use layercage::Sink;
use layercage::blob::Checked;
use layercage::sink::{Data, Judged, LayerContext, Reporter, SinkError};
use layercage::tar::Change;
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
    let (archive, zeros) = match item {
        Item::File(name) => (archive(b'0', &name, "", b""), 0),
        Item::Directory(name) => (archive(b'5', &name, "", b""), 0),
        Item::HardLink(name, target) => (archive(b'1', &name, &target, b""), 0),
        Item::Symlink(name, target) => (archive(b'2', &name, &target, b""), 0),
        Item::Zeros(name, bytes) => {
            (long(&name, "").header(header(b'0', &name, "").size(bytes)), bytes.next_multiple_of(512))
        }
        Item::Content(name, content) => (archive(b'0', &name, "", &content), 0),
        Item::Xattrs(name) => {
            let records: String = (100..200).map(|i| format!("32 SCHILY.xattr.user.test.{i}=x\n")).collect();
            (tar().raw_pax(records.as_bytes()).bytes(&archive(b'0', &name, "", b"").cut()), 0)
        }
    };
    Box::new(io::Cursor::new(archive.cut()).chain(io::repeat(0).take(zeros)))
}

fn archive(flag: u8, name: &str, target: &str, content: &[u8]) -> Archive {
    long(name, target).with(header(flag, name, target), content)
}

/// A long name or target goes before the entry as GNU writers have it.
fn long(name: &str, target: &str) -> Archive {
    let ended = |text: &str| format!("{text}\0");
    let archive = if name.len() > 100 { tar().long_name(ended(name)) } else { tar() };
    if target.len() > 100 { archive.long_link(ended(target)) } else { archive }
}

fn header(flag: u8, name: &str, target: &str) -> Header {
    let short = |text: &str| text[..text.len().min(100)].to_owned();
    Header::gnu(flag, short(name)).target(short(target)).mode(0o644).mtime(1)
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
