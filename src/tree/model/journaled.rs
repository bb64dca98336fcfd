//! What a tree writes down in its journal, if it keeps one.

use super::Model;
#[cfg(feature = "image")]
use super::journal::Journal;

impl Model {
    /// A tree that gives each layer as one of an overlay, too: [`Model::upper`].
    #[cfg(feature = "image")]
    pub(crate) fn with_journal(self) -> Self {
        Self { journal: Some(Journal::default()), ..self }
    }

    /// Takes a name out of a directory.
    pub(super) fn hide(&mut self, name: u32, directory: u32) {
        if let Some(journal) = &mut self.journal {
            journal.hide(name);
        }
        self.names.remove(name, self.leaving(directory));
    }

    /// A directory gets other metadata.
    pub(super) fn journal_renewed(&mut self, directory: u32) {
        if let Some(journal) = &mut self.journal {
            journal.renew(directory);
        }
    }

    /// What lower layers have in a directory is hidden.
    pub(super) fn journal_cleared(&mut self, directory: u32) {
        if let Some(journal) = &mut self.journal {
            journal.clear(directory);
        }
    }

    /// The layer brings a file, which may be one of lower layers.
    pub(super) fn journal_brought(&mut self, inode: u32) {
        if let Some(journal) = &mut self.journal {
            journal.copy(inode);
        }
    }
}
