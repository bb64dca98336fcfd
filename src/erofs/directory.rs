//! The content of directories.
//!
//! A directory is a row of blocks. A block has its entries in front, in the order of their names, and behind them the names. No
//! name crosses a block. `.` and `..` are entries like all others, and in order with them: `-` comes before both.

use super::format::{DIRENT, FileType, directory_entry};
use super::tree::{NodeKind, Tree};
use crate::words::{Error, Escaped, Misuse};
use std::iter::Peekable;

/// An entry of a directory.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry<N> {
    /// The directory itself.
    Dot,
    /// Its parent directory.
    DotDot,
    Child(N),
}

/// An entry and its name.
type Named<'t, N> = (Entry<N>, &'t [u8]);

/// The entries of a directory, in order.
struct Entries<'t, T: Tree, I: Iterator<Item = T::Node>> {
    tree: &'t T,
    children: Peekable<I>,
    /// How many of the two dots have come.
    dots: usize,
    /// The last name of a child.
    last: &'t [u8],
}

/// The two dots, in order.
const DOTS: [&[u8]; 2] = [b".", b".."];

impl<'t, T: Tree, I: Iterator<Item = T::Node>> Entries<'t, T, I> {
    fn next(&mut self) -> Result<Option<Named<'t, T::Node>>, Error> {
        let child = self.children.peek().map(|&child| self.tree.name(child));
        let dot = DOTS.get(self.dots).copied();
        let name = match (dot, child) {
            (Some(dot), None) => return Ok(Some(self.take_dot(dot))),
            (Some(dot), Some(child)) if dot < child => return Ok(Some(self.take_dot(dot))),
            (_, None) => return Ok(None),
            (_, Some(child)) => child,
        };
        let is_right = name > self.last && name.len() <= 255 && !DOTS.contains(&name) && !name.contains(&b'/');
        if !is_right || name.contains(&0) {
            return Err(Misuse::NamesOutOfOrder { name: Escaped::new(name) }.into());
        }
        self.last = name;
        Ok(self.children.next().map(|child| (Entry::Child(child), name)))
    }

    fn take_dot(&mut self, name: &'t [u8]) -> Named<'t, T::Node> {
        self.dots += 1;
        (if self.dots == 1 { Entry::Dot } else { Entry::DotDot }, name)
    }
}

/// The entries of a directory in order, the two dots among them.
fn entries<'t, T: Tree>(tree: &'t T, directory: T::Node) -> Entries<'t, T, impl Iterator<Item = T::Node>> {
    Entries { tree, children: tree.children(directory).peekable(), dots: 0, last: b"" }
}

/// The size of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes, those of unused space in all blocks but the last included.
    pub(super) size: u64,
    /// How many directories are in it.
    pub(super) subdirectories: u32,
}

/// Measures a directory.
pub(super) fn measure<T: Tree>(tree: &T, directory: T::Node, block: usize) -> Result<Extent, Error> {
    let (mut before, mut used, mut subdirectories) = (0_u64, 0, 0_u32);
    let mut entries = entries(tree, directory);
    while let Some((entry, name)) = entries.next()? {
        let size = DIRENT + name.len();
        if used + size > block {
            before += block as u64;
            used = 0;
        }
        used += size;
        if let Entry::Child(child) = entry
            && let NodeKind::Directory = tree.kind(child)
        {
            subdirectories = subdirectories.saturating_add(1);
        }
    }
    Ok(Extent { size: before + used as u64, subdirectories })
}

/// Gives the blocks of a directory to `act`. The last one ends behind its last name. `number` has the number and the type of
/// each entry.
pub(super) fn for_each_block<T: Tree>(
    tree: &T,
    directory: T::Node,
    block: usize,
    number: impl Fn(Entry<T::Node>) -> Result<(u32, FileType), Error>,
    mut act: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut pending = Pending::default();
    let mut entries = entries(tree, directory);
    while let Some((entry, name)) = entries.next()? {
        if pending.size() + DIRENT + name.len() > block {
            let mut bytes = pending.encode();
            bytes.resize(block, 0);
            act(&bytes)?;
        }
        let (nid, kind) = number(entry)?;
        pending.entries.push((nid, kind, pending.names.len()));
        pending.names.extend_from_slice(name);
    }
    act(&pending.encode())
}

/// The entries of a block.
#[derive(Debug, Default)]
struct Pending {
    /// The number, the type, and where the name begins.
    entries: Vec<(u32, FileType, usize)>,
    names: Vec<u8>,
}

impl Pending {
    fn size(&self) -> usize {
        self.entries.len() * DIRENT + self.names.len()
    }

    /// The bytes of the block, which is empty then.
    fn encode(&mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.size());
        let names = self.entries.len() * DIRENT;
        self.entries.drain(..).for_each(|(nid, kind, at)| bytes.extend(directory_entry(nid, names + at, kind)));
        bytes.append(&mut self.names);
        bytes
    }
}
