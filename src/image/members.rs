//! The members of an archive, by their names.

use super::blob::BlobReader;
use super::files::not_regular;
use crate::words::{EntryKind, EntryPath, Escaped, Fault, Limit, Limits, Violation};
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    /// A regular file: its first byte in the archive, and how many there are.
    File { at: u64, size: u64 },
    /// A directory, of which the archive has nothing but the name.
    Directory,
    /// A symbolic link and its target.
    Link(Box<[u8]>),
    /// What no image has: a hard link, a device, a FIFO, a file with holes.
    Other,
}

impl Member {
    /// An entry whose content begins at this byte.
    pub(super) fn of(kind: &EntryKind, at: u64) -> Self {
        match kind {
            EntryKind::File { size, sparse: None } => Self::File { at, size: *size },
            EntryKind::Directory => Self::Directory,
            EntryKind::Symlink { target } => Self::Link(target.as_bytes().into()),
            _ => Self::Other,
        }
    }
}

/// The members of an archive. Memory grows with their number and names, which have their limits.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_name: HashMap<Box<[u8]>, Member>,
    name_bytes: u64,
    count: u64,
}

impl Members {
    /// Adds one. `archive` is looked into where a name stands twice, unless nobody can.
    pub(super) fn add(
        &mut self,
        name: &EntryPath,
        member: Member,
        limits: &Limits,
        archive: Option<&Arc<File>>,
    ) -> Result<(), Fault> {
        self.count += 1;
        limits.check(Limit::ArchiveMembers, self.count)?;
        let target = if let Member::Link(target) = &member { target.len() } else { 0 };
        self.name_bytes += (name.as_bytes().len() + target) as u64;
        limits.check(Limit::ArchiveNameBytes, self.name_bytes)?;
        match self.by_name.entry(name.as_bytes().into()) {
            Slot::Vacant(slot) => drop(slot.insert(member)),
            Slot::Occupied(slot) => {
                if let Some(archive) = archive
                    && !alike(slot.get(), &member, archive)?
                {
                    return Err(Violation::MemberTwice { name: Escaped::new(name.as_bytes()) }.into());
                }
            }
        }
        Ok(())
    }

    /// Whether something that may be a file has this name.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        matches!(self.by_name.get(name), Some(Member::File { .. } | Member::Link(_)))
    }

    /// Finds a regular file; `None` when there is no such name.
    pub(super) fn file(&self, path: &EntryPath) -> Result<Option<(u64, u64)>, Violation> {
        match self.find(path)? {
            None => Ok(None),
            Some(&Member::File { at, size }) => Ok(Some((at, size))),
            Some(_) => Err(not_regular(path.as_bytes())),
        }
    }

    /// The same, through symbolic links: older writers name a layer that two images share by one.
    pub(super) fn file_through_links(&self, path: &EntryPath, limits: &Limits) -> Result<(u64, u64), Violation> {
        let mut path = path.clone();
        let most = limits.most(Limit::LinkHops);
        for _ in 0..=most {
            match self.find(&path)? {
                None => return Err(Violation::MemberMissing { name: Escaped::new(path.as_bytes()) }),
                Some(&Member::File { at, size }) => return Ok((at, size)),
                Some(Member::Link(target)) => path = followed(&path, target, limits)?,
                Some(_) => return Err(not_regular(path.as_bytes())),
            }
        }
        Err(Violation::LinkLoop { hops: most })
    }

    /// What stands under a name. One that leads through something else than a directory means one thing to who
    /// unpacks the archive and another to who looks names up in it.
    fn find(&self, path: &EntryPath) -> Result<Option<&Member>, Violation> {
        let name = path.as_bytes();
        for (slash, _) in name.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let parent = name.get(..slash).unwrap_or_default();
            if self.by_name.get(parent).is_some_and(|member| *member != Member::Directory) {
                return Err(not_regular(parent));
            }
        }
        Ok(self.by_name.get(name))
    }
}

/// Where a link leads. No link is followed on the way, so that `..` just takes a component away.
fn followed(link: &EntryPath, target: &[u8], limits: &Limits) -> Result<EntryPath, Violation> {
    let leads_out = || Violation::MemberPath { path: Escaped::new(target) };
    if target.starts_with(b"/") {
        return Err(leads_out());
    }
    let parent = link.parent().unwrap_or_default();
    let mut parts: Vec<&[u8]> = parent.components().map(|component| component.as_bytes()).collect();
    for part in target.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop().ok_or_else(leads_out)?),
            part => parts.push(part),
        }
    }
    EntryPath::parse(&parts.join(&b'/'), limits)
}

/// Whether two members are the same, so that it is all one which of them is taken.
fn alike(one: &Member, other: &Member, archive: &Arc<File>) -> Result<bool, Fault> {
    let (&Member::File { at, size }, &Member::File { at: other_at, size: other_size }) = (one, other) else {
        return Ok(one == other && *one != Member::Other);
    };
    if size != other_size {
        return Ok(false);
    }
    let reader = |at| BufReader::with_capacity(64 << 10, BlobReader::new(Arc::clone(archive), at, size));
    let (mut one, mut other) = (reader(at), reader(other_at));
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let both = left.len().min(right.len());
        if left.get(..both) != right.get(..both) {
            return Ok(false);
        }
        if both == 0 {
            return Ok(left.len() == right.len());
        }
        one.consume(both);
        other.consume(both);
    }
}
