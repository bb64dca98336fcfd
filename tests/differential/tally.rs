//! What is counted.

use super::compare::{Difference, differences, differences_of, sequence};
use super::exceptions::{EXCEPTIONS, explain};
use super::item::Item;
use super::ours::{self, Seen};
use super::peers::{ALL, Name, Peer, Wanted};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What came of some archives.
#[derive(Default)]
pub(crate) struct Tally {
    archives: u64,
    taken: u64,
    refused: BTreeMap<&'static str, u64>,
    /// Odd forms of archives that we take.
    forms: BTreeMap<&'static str, u64>,
    peers: BTreeMap<&'static str, PeerTally>,
    exceptions: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
struct PeerTally {
    version: String,
    taken: u64,
    /// Taken by both of us.
    shared: u64,
    /// Read in another way, for reasons that are listed.
    excepted: u64,
}

/// Odd forms that real writers have and that we take: a full run must compare each.
const FORMS: [&str; 10] = [
    "no-padding",
    "no-end-blocks",
    "estargz-index",
    "global-comment",
    "aufs-pseudo-link",
    "aufs-bookkeeping",
    "old-sparse-file",
    "pax-unknown-key",
    "a hard link to itself",
    "a whiteout of more than 255 bytes",
];

/// Reads an archive with all peers, counts, and says what differs without being listed.
pub(crate) fn compare(archive: &[u8], peers: &mut [Box<dyn Peer>], tally: &mut Tally) -> Vec<String> {
    let ours = ours::read(archive);
    tally.archives += 1;
    match &ours {
        Ok(seen) => {
            tally.taken += 1;
            ours::forms(archive, seen).into_iter().for_each(|form| *tally.forms.entry(form).or_default() += 1);
        }
        Err(rule) => *tally.refused.entry(rule).or_default() += 1,
    }
    let wanted = if ours.is_ok() { Wanted::Everything } else { Wanted::Nothing };
    let mut wrong = Vec::new();
    for peer in peers {
        for (Name { name, version }, answer) in peer.names().into_iter().zip(peer.read(archive, wanted)) {
            let counts = tally.peers.entry(name).or_insert_with(|| PeerTally { version, ..PeerTally::default() });
            // What has a NUL in it names nothing that a system could make.
            let Some(theirs) = answer.ok().filter(|items| items.iter().all(Item::is_possible)) else { continue };
            counts.taken += 1;
            let Ok(ours) = &ours else { continue };
            counts.shared += 1;
            let found = differences(ours, &theirs);
            let excepted = explained(name, &found).or_else(|| explained_sequence(name, ours, &theirs));
            let Some(excepted) = excepted else {
                wrong.extend(found.iter().map(|difference| format!("{name}: {difference}")));
                continue;
            };
            counts.excepted += u64::from(!excepted.is_empty());
            excepted.into_iter().for_each(|name| *tally.exceptions.entry(name).or_default() += 1);
        }
    }
    wrong
}

/// The exceptions that explain differences, each once; nothing if one is not explained.
fn explained(peer: &str, differences: &[Difference]) -> Option<BTreeSet<&'static str>> {
    differences.iter().map(|difference| explain(peer, difference).map(|exception| exception.name)).collect()
}

/// The exceptions that explain why one of the two has more entries: one for the first entry that only one of them has, and
/// those for the entries in front of it, which may differ for reasons of their own.
fn explained_sequence(peer: &str, ours: &[Seen], theirs: &[Item]) -> Option<BTreeSet<&'static str>> {
    let mut excepted = BTreeSet::new();
    let both = ours.len().min(theirs.len());
    for index in (0..=both).filter(|_| ours.len() != theirs.len()) {
        let here = differences_of(ours, theirs, index);
        let may_be_it = index == both || !here.is_empty();
        if let Some(found) = explained(peer, &[sequence(ours, theirs, index)]).filter(|_| may_be_it) {
            excepted.extend(found);
            return Some(excepted);
        }
        excepted.extend(explained(peer, &here)?);
    }
    None
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.archives += other.archives;
        self.taken += other.taken;
        let sum = |sums: &mut BTreeMap<&'static str, u64>, counts: BTreeMap<_, _>| {
            counts.into_iter().for_each(|(name, count)| *sums.entry(name).or_default() += count);
        };
        sum(&mut self.refused, other.refused);
        sum(&mut self.forms, other.forms);
        sum(&mut self.exceptions, other.exceptions);
        for (name, PeerTally { version, taken, shared, excepted }) in other.peers {
            let counts = self.peers.entry(name).or_default();
            counts.version = version;
            counts.taken += taken;
            counts.shared += shared;
            counts.excepted += excepted;
        }
    }

    pub(crate) fn archives(&self) -> u64 {
        self.archives
    }

    /// The exceptions that were seen.
    pub(crate) fn exceptions(&self) -> impl Iterator<Item = &'static str> {
        self.exceptions.keys().copied()
    }

    /// The share that we take, in percent.
    pub(crate) fn taken_percent(&self) -> u64 {
        100 * self.taken / self.archives.max(1)
    }

    /// Those of [`FORMS`] that no archive had that we take.
    pub(crate) fn missing_forms(&self) -> Vec<&'static str> {
        FORMS.into_iter().filter(|form| !self.forms.contains_key(form)).collect()
    }

    /// Exceptions of peers that are here, and that were never seen.
    pub(crate) fn stale(&self) -> Vec<&'static str> {
        let unseen = EXCEPTIONS.iter().filter(|exception| {
            self.peers.contains_key(exception.peer) && !self.exceptions.contains_key(exception.name)
        });
        unseen.map(|exception| exception.name).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} archives, {} taken ({} %)", self.archives, self.taken, self.taken_percent())?;
        for name in ALL {
            match self.peers.get(name) {
                None => writeln!(f, "  {name}: MISSING, not compared")?,
                Some(PeerTally { version, taken, shared, excepted }) => writeln!(
                    f,
                    "  {name} {version}: {taken} taken, {shared} of those that we take; {excepted} of them read otherwise"
                )?,
            }
        }
        for (name, count) in &self.exceptions {
            writeln!(f, "  exception {name}: {count}")?;
        }
        writeln!(f, "  taken with: {}", by_count(&self.forms))?;
        write!(f, "  refused by: {}", by_count(&self.refused))
    }
}

/// Names and how often each was counted, the most frequent first.
fn by_count(counts: &BTreeMap<&'static str, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let counts: Vec<_> = counts.into_iter().map(|(name, count)| format!("{name} {count}")).collect();
    counts.join(", ")
}
