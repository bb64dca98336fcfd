//! The members of an archive, by their names.

use super::blob::BlobReader;
use super::files::not_regular;
use crate::words::{EntryKind, EntryPath, Escaped, Fault, Limit, Limits, Violation};
use std::collections::hash_map::{Entry as Slot, RandomState};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader};
use std::sync::{Arc, OnceLock};

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    /// A regular file: its first byte in the archive, and how many there are.
    File { at: u64, size: u64 },
    /// A directory, of which the archive has nothing but the name.
    Directory,
    /// A symbolic link.
    Link(Box<Link>),
    /// What no image has: a hard link, a device, a FIFO, a file with holes.
    Other,
}

impl Member {
    /// An entry whose content begins at this byte.
    pub(super) fn of(kind: &EntryKind, at: u64) -> Self {
        match kind {
            EntryKind::File { size, sparse: None } => Self::File { at, size: *size },
            EntryKind::Directory => Self::Directory,
            EntryKind::Symlink { target } => {
                Self::Link(Box::new(Link { target: target.as_bytes().into(), leads_to: OnceLock::new() }))
            }
            _ => Self::Other,
        }
    }
}

/// A symbolic link in an archive.
#[derive(Debug, Clone)]
pub(super) struct Link {
    target: Box<[u8]>,
    /// The member that the link leads to, once it was looked up. 500 layers may lead through the same 40 links of
    /// 4,096 bytes: each link is followed once.
    leads_to: OnceLock<usize>,
}

impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.target == other.target
    }
}

impl Eq for Link {}

/// A member and its name.
#[derive(Debug)]
struct Held {
    name: Arc<[u8]>,
    member: Member,
}

/// The members of an archive. Memory grows with their number and names, which have their limits.
#[derive(Debug, Default)]
pub(super) struct Members {
    held: Vec<Held>,
    by_name: HashMap<Arc<[u8]>, usize>,
    /// The hashes of the names of all members but directories. A lookup asks for each parent of a name whether such
    /// a member has that name. A name of 4,096 bytes has 2,048 parents: hashing each of them from its start would
    /// cost 4 MB of hashing, so the hash of a parent continues the hash of the parent before it.
    in_the_way: HashSet<u64>,
    hashing: RandomState,
    name_bytes: u64,
    count: u64,
}

impl Members {
    /// Adds one. `archive` is looked into where a name stands twice.
    pub(super) fn add(
        &mut self,
        name: &EntryPath,
        member: Member,
        limits: &Limits,
        archive: &Arc<File>,
    ) -> Result<(), Fault> {
        self.count += 1;
        limits.check(Limit::ArchiveMembers, self.count)?;
        let target = if let Member::Link(link) = &member { link.target.len() } else { 0 };
        self.name_bytes += (name.as_bytes().len() + target) as u64;
        limits.check(Limit::ArchiveNameBytes, self.name_bytes)?;
        let key: Arc<[u8]> = name.as_bytes().into();
        match self.by_name.entry(Arc::clone(&key)) {
            Slot::Vacant(slot) => {
                slot.insert(self.held.len());
                if member != Member::Directory {
                    let whole = prefixes(&key, &self.hashing).last().map(|(_, hash)| hash);
                    self.in_the_way.extend(whole);
                }
                self.held.push(Held { name: key, member });
            }
            Slot::Occupied(slot) => {
                if let Some(held) = self.held.get(*slot.get())
                    && !alike(&held.member, &member, archive, name.as_bytes())?
                {
                    return Err(Violation::MemberTwice { name: Escaped::new(name.as_bytes()) }.into());
                }
            }
        }
        Ok(())
    }

    /// Finds a regular file; `None` when there is no such name.
    pub(super) fn file(&self, path: &EntryPath) -> Result<Option<(u64, u64)>, Violation> {
        match self.find(path)? {
            None => Ok(None),
            Some((_, &Held { member: Member::File { at, size }, .. })) => Ok(Some((at, size))),
            Some(_) => Err(not_regular(path.as_bytes())),
        }
    }

    /// The same, through symbolic links: older writers name a layer that two images share by one.
    pub(super) fn file_through_links(&self, path: &EntryPath, limits: &Limits) -> Result<(u64, u64), Violation> {
        let (_, mut held) = self.existing(path)?;
        // Even without a limit: a way through more links than there are members is a loop.
        let most = limits.most(Limit::LinkHops).min(self.held.len() as u64);
        for _ in 0..=most {
            match &held.member {
                Member::File { at, size } => return Ok((*at, *size)),
                Member::Link(link) => held = self.behind(held, link, limits)?,
                _ => return Err(not_regular(&held.name)),
            }
        }
        Err(Violation::LinkLoop { hops: most })
    }

    /// The member that a link leads to.
    fn behind(&self, held: &Held, link: &Link, limits: &Limits) -> Result<&Held, Violation> {
        if let Some(known) = link.leads_to.get().and_then(|&index| self.held.get(index)) {
            return Ok(known);
        }
        let (index, found) = self.existing(&followed(&held.name, &link.target, limits)?)?;
        // Another thread can only have found the same.
        let _ = link.leads_to.set(index);
        Ok(found)
    }

    fn existing(&self, path: &EntryPath) -> Result<(usize, &Held), Violation> {
        self.find(path)?.ok_or_else(|| Violation::MemberMissing { name: Escaped::new(path.as_bytes()) })
    }

    /// Finds a member and its index. A name that leads through something other than a directory is refused: readers
    /// that unpack the archive and readers that look names up would find different things.
    ///
    /// Takes time in proportion to the length of the name.
    fn find(&self, path: &EntryPath) -> Result<Option<(usize, &Held)>, Violation> {
        let name = path.as_bytes();
        for (length, hash) in prefixes(name, &self.hashing).filter(|(length, _)| *length < name.len()) {
            if !self.in_the_way.contains(&hash) {
                continue;
            }
            // Two names may have one hash, so the name itself decides.
            let parent = name.get(..length).unwrap_or_default();
            if self.get(parent).is_some_and(|(_, held)| held.member != Member::Directory) {
                return Err(not_regular(parent));
            }
        }
        Ok(self.get(name))
    }

    fn get(&self, name: &[u8]) -> Option<(usize, &Held)> {
        let index = *self.by_name.get(name)?;
        self.held.get(index).map(|held| (index, held))
    }
}

/// The length and the hash of each prefix of a name that ends where a component does; the last is the whole name.
fn prefixes<'n>(name: &'n [u8], hashing: &RandomState) -> impl Iterator<Item = (usize, u64)> + use<'n> {
    let (mut hasher, mut length) = (hashing.build_hasher(), 0);
    name.split(|&byte| byte == b'/').map(move |component| {
        if length > 0 {
            hasher.write_u8(b'/');
            length += 1;
        }
        hasher.write(component);
        length += component.len();
        (length, hasher.finish())
    })
}

/// Where a link leads. No link is followed on the way, so that `..` just takes a component away.
fn followed(link: &[u8], target: &[u8], limits: &Limits) -> Result<EntryPath, Violation> {
    let leads_out = || Violation::MemberPath { path: Escaped::new(target) };
    if target.starts_with(b"/") {
        return Err(leads_out());
    }
    let mut parts: Vec<&[u8]> = link.split(|&byte| byte == b'/').collect();
    // The link's own name: what is left is its directory.
    parts.pop();
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
fn alike(one: &Member, other: &Member, archive: &Arc<File>, name: &[u8]) -> Result<bool, Fault> {
    let (&Member::File { at, size }, &Member::File { at: other_at, size: other_size }) = (one, other) else {
        return Ok(one == other && *one != Member::Other);
    };
    if size != other_size {
        return Ok(false);
    }
    let reader = |at| BufReader::with_capacity(64 << 10, BlobReader::new(Arc::clone(archive), at, size));
    let (mut one, mut other) = (reader(at), reader(other_at));
    loop {
        let failed = |error| Fault::system("pread64", name, error);
        let (left, right) = (one.fill_buf().map_err(failed)?, other.fill_buf().map_err(failed)?);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::LinkTarget;
    use std::time::{Duration, Instant};

    fn path(name: &str) -> EntryPath {
        EntryPath::parse(name.as_bytes(), &Limits::default()).unwrap()
    }

    fn members(held: &[(&str, EntryKind)]) -> Members {
        let archive = Arc::new(tempfile::tempfile().unwrap());
        let mut members = Members::default();
        for (at, (name, kind)) in held.iter().enumerate() {
            members.add(&path(name), Member::of(kind, at as u64), &Limits::default(), &archive).unwrap();
        }
        members
    }

    fn file() -> EntryKind {
        EntryKind::File { size: 1, sparse: None }
    }

    fn link(target: &str) -> EntryKind {
        EntryKind::Symlink { target: LinkTarget::parse(target.as_bytes()).unwrap() }
    }

    #[test]
    fn a_name_is_refused_below_any_parent_that_is_no_directory() {
        let members = members(&[
            ("a", EntryKind::Directory),
            ("a/file", file()),
            ("a/link", link("b")),
            ("a/b/c", file()),
            ("ab/c", file()),
        ]);
        for name in ["a/file/x", "a/file/x/y/z", "a/link/x", "a/b/c/d"] {
            let parent = &name[..name.rfind(['x', 'd']).unwrap() - 1];
            assert_eq!(members.file(&path(name)), Err(not_regular(parent.as_bytes())), "{name}");
        }
        for name in ["a/none", "a/none/x", "b/a/file", "file/x", "a/fil/e", "c"] {
            assert_eq!(members.file(&path(name)), Ok(None), "{name}");
        }
        assert_eq!(members.file(&path("a/b/c")), Ok(Some((3, 1))));
        assert_eq!(members.file(&path("ab/c")), Ok(Some((4, 1))), "a parent that no entry lists");
    }

    #[test]
    fn links_are_followed_alike_the_first_time_and_later() {
        let members = members(&[
            ("a/0", link("../b/1")),
            ("b/1", link("2")),
            ("b/2", link("../c")),
            ("c", file()),
            ("loop", link("a/../loop")),
            ("to-none", link("none")),
        ]);
        for _ in 0..2 {
            let through =
                |name, most| members.file_through_links(&path(name), &Limits::default().with(Limit::LinkHops, most));
            assert_eq!(through("a/0", 3), Ok((3, 1)));
            assert_eq!(through("a/0", 2), Err(Violation::LinkLoop { hops: 2 }));
            assert_eq!(through("b/1", 2), Ok((3, 1)));
            assert!(matches!(through("loop", Limit::OFF), Err(Violation::LinkLoop { .. })));
            assert_eq!(through("to-none", 40), Err(Violation::MemberMissing { name: Escaped::new(b"none") }));
        }
    }

    #[test]
    fn a_name_of_2048_components_is_found_in_time_that_grows_with_its_bytes() {
        let deep = |name: &str| format!("{}{name}", "a/".repeat(2_000));
        let chain = (0..39).map(|number| (deep(&format!("l{number}")), link(&format!("l{}", number + 1))));
        let held: Vec<_> = chain.chain([(deep("l39"), file())]).collect();
        let held: Vec<_> = held.iter().map(|(name, kind)| (name.as_str(), kind.clone())).collect();
        let members = members(&held);
        let start = Instant::now();
        for _ in 0..500 {
            members.file_through_links(&path(&deep("l0")), &Limits::default()).unwrap();
        }
        // 26 seconds of optimised code when each parent was hashed from its start.
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}
