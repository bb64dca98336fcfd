//! The members of an archive, by their names.

use super::alike::alike;
use super::blob::not_regular;
use super::member::{Link, Member, Place};
use crate::words::{EntryPath, Error, Escaped, Limit, Limits, Violation};
use std::collections::hash_map::{Entry as Slot, RandomState};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, OnceLock};

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
        let found = EntryPath::of_target(target, limits).and_then(|path| Ok(self.find(&path)?.map(|(_, held)| held)));
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
mod tests;
