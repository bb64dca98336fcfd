//! The members of an archive, by their names.

use super::alike::alike;
use super::blob::BlobReader;
use super::files::not_regular;
use crate::words::{EntryKind, EntryPath, Error, Escaped, Limit, Limits, Segment, SparseMap, Violation};
use std::collections::hash_map::{Entry as Slot, RandomState};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, OnceLock};

/// What stands under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    /// A regular file.
    File(Place),
    /// A directory, of which the archive has nothing but the name.
    Directory,
    /// A symbolic link.
    Link(Box<Link>),
    /// A hard link, with its target as it is written. [`Members::add`] makes of it what the target is.
    HardLink(Box<[u8]>),
    /// A hard link to nothing that can have another name. It is refused when something leads to it, as in a layer.
    Broken(Box<Violation>),
    /// What no image has: a device, a FIFO.
    Other,
}

/// Where the content of a file lies in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The first byte in the archive.
    pub(super) at: u64,
    /// How many bytes the file has, holes included.
    pub(super) size: u64,
    /// What of it is stored, where it has holes: `tar -S`, bsdtar and Rust's `tar` write a file with holes so.
    pub(super) map: Option<Arc<SparseMap>>,
}

impl Place {
    /// How many bytes of the archive the content takes.
    pub(super) fn stored(&self) -> u64 {
        // The map has counted them together already: they are no more than the size.
        self.map.as_ref().map_or(self.size, |map| map.segments().iter().map(|segment| segment.length).sum())
    }

    pub(super) fn reader(&self, archive: &Arc<File>) -> BlobReader {
        let archive = Arc::clone(archive);
        match &self.map {
            Some(map) => BlobReader::sparse(archive, self.at, self.size, Arc::clone(map)),
            None => BlobReader::new(archive, self.at, self.size),
        }
    }
}

impl Member {
    /// An entry whose content begins at this byte.
    pub(super) fn of(kind: EntryKind, at: u64) -> Self {
        match kind {
            EntryKind::File { size, sparse } => Self::File(Place { at, size, map: sparse.map(Arc::new) }),
            EntryKind::Directory => Self::Directory,
            EntryKind::Symlink { target } => {
                Self::Link(Box::new(Link { target: target.as_bytes().into(), leads_to: OnceLock::new() }))
            }
            EntryKind::HardLink { target } => Self::HardLink(target.into()),
            EntryKind::Fifo | EntryKind::Device(_) => Self::Other,
        }
    }

    /// Bytes of memory that are kept of it beside its name.
    fn kept(&self) -> usize {
        match self {
            Self::Link(link) => link.target.len(),
            Self::HardLink(target) => target.len(),
            Self::File(Place { map: Some(map), .. }) => map.segments().len().saturating_mul(size_of::<Segment>()),
            Self::File(_) | Self::Directory | Self::Broken(_) | Self::Other => 0,
        }
    }
}

/// A symbolic link in an archive.
#[derive(Debug, Clone)]
pub(super) struct Link {
    target: Box<[u8]>,
    /// The member that the link leads to, cached after the first lookup. 500 layers may lead through the same 40 links
    /// of 4,096 bytes: each link is followed once.
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
    /// The hashes of the names of all members but directories. A lookup checks whether any parent of a name is such a
    /// member. A name of 4,096 bytes has 2,048 parents: hashing each of them from its start would cost 4 MB of hashing,
    /// so the hash of a parent continues the hash of the parent before it.
    in_the_way: HashSet<u64>,
    hashing: RandomState,
    name_bytes: u64,
    count: u64,
}

impl Members {
    /// Adds a member. If its name is already there, the contents of both are compared in `archive`.
    pub(super) fn add(
        &mut self,
        name: &EntryPath,
        member: Member,
        limits: &Limits,
        archive: &Arc<File>,
    ) -> Result<(), Error> {
        self.count += 1;
        limits.check(Limit::ArchiveMembers, self.count)?;
        self.name_bytes += (name.as_bytes().len() + member.kept()) as u64;
        limits.check(Limit::ArchiveNameBytes, self.name_bytes)?;
        let member = match member {
            Member::HardLink(target) => {
                let linked = self.linked(name, &target, limits);
                self.name_bytes += linked.kept() as u64;
                limits.check(Limit::ArchiveNameBytes, self.name_bytes)?;
                linked
            }
            member => member,
        };
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

    /// What a hard link makes of its name. Its target is a member before it, as in a layer: writers that see a file
    /// for the second time write a link to its first name. The link then is that member under another name.
    fn linked(&self, name: &EntryPath, target: &[u8], limits: &Limits) -> Member {
        let shown = || Escaped::new(target);
        let found = EntryPath::parse(target, limits).and_then(|path| Ok(self.find(&path)?.map(|(_, held)| held)));
        match found.map(|held| held.map(|held| &held.member)) {
            Ok(None) => {
                let member = Escaped::new(name.as_bytes());
                Member::Broken(Box::new(Violation::MemberLinkMissing { member, target: shown() }))
            }
            Ok(Some(Member::Directory)) => Member::Broken(Box::new(Violation::HardLinkToDirectory { target: shown() })),
            // Another name for the link, from where its target may lead elsewhere.
            Ok(Some(Member::Link(link))) => {
                Member::Link(Box::new(Link { target: link.target.clone(), leads_to: OnceLock::new() }))
            }
            Ok(Some(member)) => member.clone(),
            Err(violation) => Member::Broken(Box::new(violation)),
        }
    }

    /// Finds a regular file, through symbolic links; `None` when there is no such name. A name that leads to nothing
    /// through a link is refused.
    pub(super) fn file(&self, path: &EntryPath, limits: &Limits) -> Result<Option<&Place>, Violation> {
        match self.find(path)? {
            None => Ok(None),
            Some(_) => self.existing_file(path, limits).map(Some),
        }
    }

    /// The same where the name must be there. Older writers name a layer that two images share by a link.
    pub(super) fn existing_file(&self, path: &EntryPath, limits: &Limits) -> Result<&Place, Violation> {
        let (_, mut held) = self.existing(path)?;
        // Applies even without a limit: a path through more links than members is a loop.
        let most = limits.most(Limit::LinkHops).min(self.held.len() as u64);
        for _ in 0..=most {
            match &held.member {
                Member::File(place) => return Ok(place),
                Member::Link(link) => held = self.behind(held, link, limits)?,
                Member::Broken(violation) => return Err(Violation::clone(violation)),
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
        // If another thread was faster, it found the same member.
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
    // Removes the link's own name: the rest is its directory.
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
            members.add(&path(name), Member::of(kind.clone(), at as u64), &Limits::default(), &archive).unwrap();
        }
        members
    }

    fn file() -> EntryKind {
        EntryKind::File { size: 1, sparse: None }
    }

    fn link(target: &str) -> EntryKind {
        EntryKind::Symlink { target: LinkTarget::parse(target.as_bytes()).unwrap() }
    }

    fn hard_link(target: &str) -> EntryKind {
        EntryKind::HardLink { target: target.into() }
    }

    /// Where the content of a file begins.
    fn found(members: &Members, name: &str) -> Result<Option<u64>, Violation> {
        members.file(&path(name), &Limits::default()).map(|place| place.map(|place| place.at))
    }

    #[test]
    fn a_hard_link_is_an_earlier_member_under_another_name() {
        let members = members(&[
            ("early", hard_link("a/file")),
            ("a/file", file()),
            ("x/same", hard_link("/a//./file")),
            ("again", hard_link("x/same")),
            ("a/link", link("file")),
            ("x/link", hard_link("a/link")),
            ("x/file", file()),
            ("to-directory", hard_link("d")),
            ("d", EntryKind::Directory),
            ("to-directory-now", hard_link("d/")),
            ("climbs", hard_link("../a/file")),
            ("below", hard_link("a/file/x")),
            ("a/file", hard_link("a/file")),
            ("pipe", EntryKind::Fifo),
            ("to-pipe", hard_link("pipe")),
        ]);
        let missing = |member: &str, target: &str| {
            let [member, target] = [member, target].map(|name| Escaped::new(name.as_bytes()));
            Err(Violation::MemberLinkMissing { member, target })
        };
        assert_eq!([found(&members, "x/same"), found(&members, "again")], [Ok(Some(1)), Ok(Some(1))]);
        assert_eq!(found(&members, "a/file"), Ok(Some(1)), "a link to itself, where the file is there");
        assert_eq!(
            found(&members, "x/link"),
            Ok(Some(6)),
            "a link to a symbolic link, which leads on from its own place"
        );
        assert_eq!(found(&members, "early"), missing("early", "a/file"));
        assert_eq!(found(&members, "to-directory"), missing("to-directory", "d"));
        let directory = Violation::HardLinkToDirectory { target: Escaped::new(b"d/") };
        assert_eq!(found(&members, "to-directory-now"), Err(directory));
        assert_eq!(found(&members, "climbs").unwrap_err().id(), "name-climbs");
        assert_eq!(found(&members, "below"), Err(not_regular(b"a/file")));
        assert_eq!(found(&members, "to-pipe"), Err(not_regular(b"to-pipe")));
    }

    #[test]
    fn what_is_kept_of_members_counts_against_the_limit_on_names() {
        let archive = Arc::new(tempfile::tempfile().unwrap());
        let segments: Vec<_> = (0..10).map(|at| Segment { offset: at, length: 1 }).collect();
        let sparse = EntryKind::File { size: 10, sparse: Some(SparseMap::new(segments, 10, 10).unwrap()) };
        // A link to a sparse file shares its map. It counts all the same, as if it had its own.
        for (held, bytes) in [
            (vec![("a", sparse.clone())], 1 + 160),
            (vec![("a", sparse), ("b", hard_link("a"))], 1 + 160 + 1 + 1 + 160),
            (vec![("a", link("bcd")), ("b", hard_link("a"))], 1 + 3 + 1 + 1 + 3),
        ] {
            let add = |most| {
                let limits = Limits::default().with(Limit::ArchiveNameBytes, most);
                let mut members = Members::default();
                held.iter().try_for_each(|(name, kind)| {
                    members.add(&path(name), Member::of(kind.clone(), 0), &limits, &archive)
                })
            };
            assert!(add(bytes).is_ok() && add(bytes - 1).is_err(), "{held:?}");
        }
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
            assert_eq!(found(&members, name), Err(not_regular(parent.as_bytes())), "{name}");
        }
        for name in ["a/none", "a/none/x", "b/a/file", "file/x", "a/fil/e", "c"] {
            assert_eq!(found(&members, name), Ok(None), "{name}");
        }
        assert_eq!(found(&members, "a/b/c"), Ok(Some(3)));
        assert_eq!(found(&members, "ab/c"), Ok(Some(4)), "a parent that no entry lists");
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
            let through = |name, most| {
                members.existing_file(&path(name), &Limits::default().with(Limit::LinkHops, most)).map(|place| place.at)
            };
            assert_eq!(through("a/0", 3), Ok(3));
            assert_eq!(through("a/0", 2), Err(Violation::LinkLoop { hops: 2 }));
            assert_eq!(through("b/1", 2), Ok(3));
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
            members.existing_file(&path(&deep("l0")), &Limits::default()).unwrap();
        }
        // This took 26 seconds (optimised) when each parent was hashed from its start.
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}
