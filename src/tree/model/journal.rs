//! What the current layer changes in what the layers below it left.

use std::collections::HashSet;

/// The names and inodes of lower layers that the current layer touches. What the layer brings itself is known by its number.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// How many names the lower layers have made.
    pub(super) names: u32,
    /// How many inodes the lower layers have made.
    pub(super) inodes: u32,
    /// Names that were hidden. What lies below a hidden directory is not listed.
    hidden: Vec<u32>,
    /// Directories that got other metadata.
    renewed: Vec<u32>,
    /// Directories of which everything was hidden that lower layers have in them.
    cleared: Vec<u32>,
    /// Files that got another name, or that the layer names again: they are copied.
    copied: HashSet<u32>,
}

impl Journal {
    /// Begins a layer.
    pub(super) fn begin(&mut self, names: u32, inodes: u32) {
        *self = Self { names, inodes, ..Self::default() };
    }

    pub(super) fn hide(&mut self, name: u32) {
        if name < self.names {
            self.hidden.push(name);
        }
    }

    pub(super) fn renew(&mut self, directory: u32) {
        if directory < self.inodes {
            self.renewed.push(directory);
        }
    }

    pub(super) fn clear(&mut self, directory: u32) {
        if directory < self.inodes {
            self.cleared.push(directory);
        }
    }

    pub(super) fn copy(&mut self, inode: u32) {
        if self.is_below(inode) {
            self.copied.insert(inode);
        }
    }

    /// Whether a file is in lower layers alone.
    pub(super) fn is_below(&self, inode: u32) -> bool {
        inode < self.inodes && !self.copied.contains(&inode)
    }

    #[cfg(feature = "image")]
    pub(super) fn hidden(&self) -> &[u32] {
        &self.hidden
    }

    #[cfg(feature = "image")]
    pub(super) fn renewed(&self) -> &[u32] {
        &self.renewed
    }

    #[cfg(feature = "image")]
    pub(super) fn cleared(&self) -> &[u32] {
        &self.cleared
    }

    #[cfg(feature = "image")]
    pub(super) fn copied(&self) -> impl Iterator<Item = u32> {
        self.copied.iter().copied()
    }

    /// Bytes of memory, about.
    pub(super) fn bytes(&self) -> u64 {
        let lists = self.hidden.capacity() + self.renewed.capacity() + self.cleared.capacity();
        ((lists + 2 * self.copied.capacity()) * size_of::<u32>()) as u64
    }
}
