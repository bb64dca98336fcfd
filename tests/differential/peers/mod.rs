//! Other readers of tar archives.

mod gnu;
mod process;
pub(crate) mod tar_crate;

use super::item::Item;

/// What a peer makes of an archive: its entries in order, or why it takes none of it.
pub(crate) type Answer = Result<Vec<Item>, String>;

/// A reader, or several that answer together.
pub(crate) trait Peer {
    /// What each answer is one of: name and version.
    fn names(&self) -> Vec<Name>;

    /// Reads a plain tar; one answer for each name.
    fn read(&mut self, archive: &[u8], wanted: Wanted) -> Vec<Answer>;
}

/// What is wanted of a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All that it reads.
    Everything,
    /// Whether it takes the archive: nobody will look at what it reads.
    Nothing,
}

/// Who a peer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Name {
    pub(crate) name: &'static str,
    pub(crate) version: String,
}

/// All peers that are to be compared with.
pub(crate) const ALL: [&str; 5] = ["tar crate", "GNU tar", "libarchive", "tarfile", "archive/tar"];

/// Those of [`ALL`] that are installed, started.
pub(crate) fn installed() -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(tar_crate::TarCrate)];
    peers.extend(gnu::GnuTar::find().map(|peer| Box::new(peer) as Box<dyn Peer>));
    let processes = [process::Process::python(), process::Process::go()];
    peers.extend(processes.into_iter().flatten().map(|peer| Box::new(peer) as Box<dyn Peer>));
    peers
}
