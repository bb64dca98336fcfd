//! A part of a merged tree, in the order in which it is replayed.

use super::node::{Kind, Node};
use super::tree::MergedTree;
use crate::cage::Scratch;
use crate::words::{Change, ChangeKind, Error, LinkTarget, SparseMap};
use std::collections::HashMap;
use std::path::Path;

/// A part of a [`MergedTree`], or all of it, in the order in which it is written: to a tar archive by
/// [`Session::export_tar`](crate::Session::export_tar), to a directory by
/// [`Session::unpack_part`](crate::Session::unpack_part), to any sink by [`Session::replay`](crate::Session::replay).
///
/// A directory comes before what lies in it. Of the paths of one file, the first has the content, and the others are
/// hard links to it. The order is **by layer**, then by position in the archive, unless [`Part::by_path`] sets another.
///
/// While a part is replayed, it takes about 70 bytes of memory for each path in addition to the tree, and about 160 in the
/// order by path.
#[derive(Debug)]
pub struct Part<'t> {
    tree: &'t MergedTree,
    names: Vec<u32>,
    /// For each file with more than one path, the first of them that is in the part.
    firsts: HashMap<u32, u32>,
    /// Where content is kept that is needed in another order than that of the layers.
    scratch: Option<Scratch>,
}

impl MergedTree {
    /// The paths for which `keep` returns true, with their parent directories. `keep` is called for all paths in the
    /// order of [`MergedTree::iter`].
    ///
    /// If the target of hard links is not kept, the first of them becomes the file, and the others link to it. Symbolic
    /// links stay as they are.
    ///
    /// ```
    /// # fn export(session: &mut layercage::Session<'_>, selected: &layercage::Selected) -> Result<(), layercage::Error> {
    /// let tree = session.merge(selected)?;
    /// let etc = tree.part(|node| node.path().as_bytes().starts_with(b"etc/"));
    /// session.export_tar(&etc, selected, &mut Vec::new())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn part(&self, mut keep: impl FnMut(Node<'_>) -> bool) -> Part<'_> {
        let model = self.model();
        let mut is_kept = vec![false; model.all().len()];
        for node in self.iter().filter(|node| keep(*node)) {
            let mut at = node.name;
            while let Some(is_kept) = is_kept.get_mut(at as usize)
                && !std::mem::replace(is_kept, true)
            {
                at = model.name_above(at);
            }
        }
        Part::new(self, model.in_order_of_layers(|name| is_kept.get(name as usize).copied().unwrap_or_default()))
    }

    /// The part with one path, everything below it, and its parent directories. `None` if the path does not exist.
    ///
    /// Symbolic links are followed as by [`MergedTree::get`]. The part has the path where they lead, without the links.
    ///
    /// ```
    /// # fn export(session: &mut layercage::Session<'_>, selected: &layercage::Selected) -> Result<(), layercage::Error> {
    /// let tree = session.merge(selected)?;
    /// if let Some(libraries) = tree.part_below("/lib") {
    ///     session.export_tar(&libraries, selected, &mut Vec::new())?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn part_below(&self, path: impl AsRef<Path>) -> Option<Part<'_>> {
        let top = self.get(path)?.path();
        let top = top.as_bytes();
        Some(self.part(|node| {
            let path = node.path();
            let rest = path.as_bytes().strip_prefix(top);
            rest.is_some_and(|rest| top.is_empty() || matches!(rest, [] | [b'/', ..]))
        }))
    }

    /// All of the tree, as a [`Part`].
    pub fn whole(&self) -> Part<'_> {
        Part::new(self, self.model().in_order_of_layers(|_| true))
    }
}

impl<'t> Part<'t> {
    fn new(tree: &'t MergedTree, names: Vec<u32>) -> Self {
        let firsts = firsts(tree, &names);
        Self { tree, names, firsts, scratch: None }
    }

    /// Orders the part by path, as [`MergedTree::iter`] does.
    ///
    /// The layers have the content in another order. So content that the tree does not [keep](crate::merged::ContentCache)
    /// is first copied to a file of `scratch`, without holes.
    #[must_use]
    pub fn by_path(self, scratch: Scratch) -> Self {
        let model = self.tree.model();
        let mut is_kept = vec![false; model.all().len()];
        for name in self.names {
            if let Some(is_kept) = is_kept.get_mut(name as usize) {
                *is_kept = true;
            }
        }
        let kept = self.tree.iter().map(|node| node.name);
        let kept = kept.filter(|&name| is_kept.get(name as usize).copied().unwrap_or_default());
        Self { scratch: Some(scratch), ..Self::new(self.tree, kept.collect()) }
    }

    /// The tree.
    pub fn tree(&self) -> &'t MergedTree {
        self.tree
    }

    /// The paths, in order.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'t>> {
        let tree = self.tree;
        self.names.iter().map(move |&name| tree.node(name))
    }

    /// The bytes of its files, each file once, holes included. An export of the part has this number in
    /// [`Report::bytes_written`](crate::Report).
    pub fn content_bytes(&self) -> u64 {
        self.nodes().filter(|node| self.has_content(*node)).map(|node| node.size()).sum()
    }

    /// Whether no path was chosen.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    #[cfg_attr(not(feature = "image"), expect(dead_code, reason = "only layers of an image can be read again"))]
    pub(crate) fn scratch(&self) -> Option<&Scratch> {
        self.scratch.as_ref()
    }

    /// Whether the content of a file belongs to this path: the first of its paths in the part.
    pub(crate) fn has_content(&self, node: Node<'t>) -> bool {
        node.size() > 0 && self.first(node).is_none()
    }

    /// The path that this one is a hard link to.
    fn first(&self, node: Node<'t>) -> Option<Node<'t>> {
        let first = self.firsts.get(&node.inode()).copied().filter(|&first| first != node.name)?;
        Some(self.tree.node(first))
    }

    /// The change that makes a path. `sparse` has the segments of a file with holes.
    ///
    /// # Errors
    ///
    /// None that a tree can cause.
    #[cfg_attr(not(feature = "image"), expect(dead_code, reason = "as above"))]
    pub(crate) fn change(&self, node: Node<'t>, sparse: Option<SparseMap>) -> Result<Change, Error> {
        Ok(Change::new(node.path(), self.kind(node, sparse)?))
    }

    fn kind(&self, node: Node<'t>, sparse: Option<SparseMap>) -> Result<ChangeKind, Error> {
        let mut metadata = node.metadata();
        // The mode of a symbolic link means nothing, so it is always the same, in the headers of hard links to it, too.
        if let Kind::Symlink { .. } = node.kind() {
            metadata.mode = 0o777;
        }
        if let Some(first) = self.first(node) {
            return Ok(ChangeKind::HardLink { target: first.path(), metadata });
        }
        Ok(match node.kind() {
            Kind::Directory => ChangeKind::Directory(metadata),
            Kind::File { size } => ChangeKind::File { metadata, size, sparse },
            Kind::Symlink { target } => ChangeKind::Symlink { metadata, target: LinkTarget::parse(target)? },
            Kind::Fifo => ChangeKind::Fifo(metadata),
            Kind::Device(device) => ChangeKind::Device { metadata, device },
        })
    }
}

/// For each file with several paths, the first of them.
fn firsts(tree: &MergedTree, names: &[u32]) -> HashMap<u32, u32> {
    let mut firsts = HashMap::new();
    for node in names.iter().map(|&name| tree.node(name)).filter(|node| node.link_count() > 1) {
        firsts.entry(node.inode()).or_insert(node.name);
    }
    firsts
}
