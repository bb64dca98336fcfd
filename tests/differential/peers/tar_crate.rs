//! The `tar` crate.

use super::{Answer, Name, Peer, Wanted};
use crate::item::{Attributes, Item, Kind};
use crate::ours::LARGEST_FILE;
use std::io::{self, Read};
use tar::EntryType;

pub(crate) struct TarCrate;

impl Peer for TarCrate {
    fn names(&self) -> Vec<Name> {
        let lock = include_str!("../../../Cargo.lock");
        let version = lock.split("name = \"tar\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
        vec![Name { name: "tar crate", version: version.unwrap_or("?").to_owned() }]
    }

    fn read(&mut self, archive: &[u8], _: Wanted) -> Vec<Answer> {
        vec![read(archive).map_err(|error| error.to_string())]
    }
}

fn read(archive: &[u8]) -> io::Result<Vec<Item>> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries()?;
    // It gives global headers, and unpacks none of them.
    let entries = entries
        .filter(|entry| entry.as_ref().map_or(true, |entry| entry.header().entry_type() != EntryType::XGlobalHeader));
    entries.map(|entry| item(&mut entry?)).collect()
}

fn item(entry: &mut tar::Entry<'_, &[u8]>) -> io::Result<Item> {
    let header = entry.header();
    let kind = match header.entry_type() {
        EntryType::Link => Kind::HardLink,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Char => Kind::Character,
        EntryType::Block => Kind::Block,
        EntryType::Directory => Kind::Directory,
        EntryType::Fifo => Kind::Fifo,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        _ => Kind::Other,
    };
    let name = entry.path_bytes().into_owned();
    // Where it finds no number it unpacks the file all the same.
    let number = |number: io::Result<u64>| i64::try_from(number.ok()?).ok();
    let attributes = Attributes {
        mode: header.mode().ok().map(|mode| mode & 0o7777),
        owner: number(header.uid()).zip(number(header.gid())),
        // The header's own, which the crate sets; it does not look for one in records.
        seconds: number(header.mtime()),
        nanoseconds: None,
    };
    Ok(read_kind(entry, &name, kind)?.with_attributes(attributes))
}

fn read_kind(entry: &mut tar::Entry<'_, &[u8]>, name: &[u8], kind: Kind) -> io::Result<Item> {
    match kind {
        // What the crate unpacks: a regular file whose name ends in a slash is a directory.
        Kind::File if name.ends_with(b"/") && entry.header().as_ustar().is_none() => {
            Ok(Item::new(name, Kind::Directory))
        }
        Kind::File => {
            let mut content = Vec::new();
            if entry.take(LARGEST_FILE + 1).read_to_end(&mut content)? as u64 > LARGEST_FILE {
                return Err(io::Error::other("too large to compare"));
            }
            Ok(Item::file(name, &content))
        }
        Kind::HardLink | Kind::Symlink => {
            let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
            Ok(Item::new(name, kind).with_target(&target))
        }
        Kind::Character | Kind::Block => {
            let number = |number: Option<u32>| u64::from(number.unwrap_or_default());
            let (major, minor) = (entry.header().device_major()?, entry.header().device_minor()?);
            Ok(Item::new(name, kind).with_device(number(major), number(minor)))
        }
        _ => Ok(Item::new(name, kind)),
    }
}
