//! The members of an archive, by their names.

use super::blob::not_regular;
use super::member::{Link, Member, Place};
use super::same_member::is_same_member;
use crate::words::{EntryPath, Error, Escaped, Limit, Limits, Violation};
use std::collections::hash_map::{Entry as Slot, RandomState};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, OnceLock};

/// A member and its name.
#[derive(Debug)]
struct NamedMember {
    name: Arc<[u8]>,
    member: Member,
}

/// The members of an archive. Memory grows with their number and the length of their names. Limits bound both.
#[derive(Debug, Default)]
pub(super) struct Members {
    list: Vec<NamedMember>,
    by_name: HashMap<Arc<[u8]>, usize>,
    /// The hashes of the names of all members but directories. A lookup checks whether any parent of a name is such a
    /// member. A name of 4,096 bytes has 2,048 parents: hashing each of them from its start would cost 4 MB of hashing,
    /// so the hash of a parent continues the hash of the parent before it.
    not_directories: HashSet<u64>,
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
                slot.insert(self.list.len());
                if member != Member::Directory {
                    let whole = prefixes(&key, &self.hashing).last().map(|(_, hash)| hash);
                    self.not_directories.extend(whole);
                }
                self.list.push(NamedMember { name: key, member });
            }
            Slot::Occupied(slot) => {
                if let Some(known) = self.list.get(*slot.get())
                    && !is_same_member(&known.member, &member, archive, name.as_bytes())?
                {
                    return Err(Violation::MemberTwice { name: Escaped::new(name.as_bytes()) }.into());
                }
            }
        }
        Ok(())
    }

    /// Returns the member that a hard link stands for. As in a layer, its target must come before it: writers that see
    /// a file for the second time write a link to its first name.
    fn linked(&self, name: &EntryPath, target: &[u8], limits: &Limits) -> Member {
        let shown = || Escaped::new(target);
        let found = EntryPath::of_target(target, limits).and_then(|path| Ok(self.find(&path)?.map(|(_, named)| named)));
        match found.map(|named| named.map(|named| &named.member)) {
            Ok(None) => {
                let member = Escaped::new(name.as_bytes());
                Member::Broken(Box::new(Violation::MemberLinkMissing { member, target: shown() }))
            }
            Ok(Some(Member::Directory)) => Member::Broken(Box::new(Violation::HardLinkToDirectory { target: shown() })),
            // A hard link to a symbolic link. Its relative target is followed from the directory of the new name.
            Ok(Some(Member::Link(link))) => {
                Member::Link(Box::new(Link { target: link.target.clone(), leads_to: OnceLock::new() }))
            }
            Ok(Some(member)) => member.clone(),
            Err(violation) => Member::Broken(Box::new(violation)),
        }
    }

    /// Finds a regular file and follows symbolic links. Returns `None` if there is no member of this name. A link whose
    /// target is missing is refused.
    pub(super) fn file(&self, path: &EntryPath, limits: &Limits) -> Result<Option<&Place>, Violation> {
        match self.find(path)? {
            None => Ok(None),
            Some(_) => self.existing_file(path, limits).map(Some),
        }
    }

    /// The same for a name that must exist. In older archives, a layer that two images share is a link in one of them.
    pub(super) fn existing_file(&self, path: &EntryPath, limits: &Limits) -> Result<&Place, Violation> {
        let (_, mut named) = self.existing(path)?;
        // Applies even without a limit: a path through more links than members is a loop.
        let most = limits.most(Limit::LinkHops).min(self.list.len() as u64);
        for _ in 0..=most {
            match &named.member {
                Member::File(place) => return Ok(place),
                Member::Link(link) => named = self.target_of(named, link, limits)?,
                Member::Broken(violation) => return Err(Violation::clone(violation)),
                _ => return Err(not_regular(&named.name)),
            }
        }
        Err(Violation::LinkLoop { hops: most })
    }

    /// The member that a link leads to.
    fn target_of(&self, named: &NamedMember, link: &Link, limits: &Limits) -> Result<&NamedMember, Violation> {
        if let Some(known) = link.leads_to.get().and_then(|&index| self.list.get(index)) {
            return Ok(known);
        }
        let (index, found) = self.existing(&followed(&named.name, &link.target, limits)?)?;
        // If another thread was faster, it found the same member.
        let _ = link.leads_to.set(index);
        Ok(found)
    }

    fn existing(&self, path: &EntryPath) -> Result<(usize, &NamedMember), Violation> {
        self.find(path)?.ok_or_else(|| Violation::MemberMissing { name: Escaped::new(path.as_bytes()) })
    }

    /// Finds a member and its index. A name that leads through something other than a directory is refused: readers
    /// that unpack the archive and readers that look names up would find different things.
    ///
    /// Takes time in proportion to the length of the name.
    fn find(&self, path: &EntryPath) -> Result<Option<(usize, &NamedMember)>, Violation> {
        let name = path.as_bytes();
        for (length, hash) in prefixes(name, &self.hashing).filter(|(length, _)| *length < name.len()) {
            if !self.not_directories.contains(&hash) {
                continue;
            }
            // Two names may have one hash, so the name itself decides.
            let parent = name.get(..length).unwrap_or_default();
            if self.get(parent).is_some_and(|(_, named)| named.member != Member::Directory) {
                return Err(not_regular(parent));
            }
        }
        Ok(self.get(name))
    }

    fn get(&self, name: &[u8]) -> Option<(usize, &NamedMember)> {
        let index = *self.by_name.get(name)?;
        self.list.get(index).map(|named| (index, named))
    }
}

/// The length and the hash of every parent of a name, and last those of the name itself.
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

/// The path that a link leads to. `..` removes one component of the text, because the parents of a member are
/// directories and never links.
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
