//! The overlay as a [`Tree`].

use super::directory::{Below, OverlayDir, OverlayPlace};
use super::look::Above;
use super::lower::Shown;
use super::state::OverlayTree;
use crate::plan::LayerContents;
use crate::tree::{Cleared, Granted, Inexact, Inode, Linking, Made, Node, Over, SetIdBits, Step, Tree};
use crate::words::{Error, Metadata, PlaceId, PlaceKey};
use std::sync::Arc;

impl Tree for OverlayTree {
    type Dir = Arc<OverlayDir>;

    fn root(&self) -> Arc<OverlayDir> {
        Arc::clone(&self.root)
    }

    fn id(&self, dir: &Arc<OverlayDir>) -> PlaceId {
        dir.id()
    }

    fn path<'d>(&self, dir: &'d Arc<OverlayDir>) -> &'d [u8] {
        dir.path()
    }

    fn key(&self) -> &PlaceKey {
        &self.upper.key
    }

    fn step(&mut self, at: &OverlayPlace<'_>) -> Result<Step<Arc<OverlayDir>>, Error> {
        self.look(at)
    }

    fn exists(&self, at: &OverlayPlace<'_>) -> Result<bool, Error> {
        Ok(match self.above(at)? {
            Above::Thing(_) => true,
            Above::Whiteout => false,
            Above::Nothing => !matches!(self.show(at)?, None | Some(Shown::Missing)),
        })
    }

    fn is_empty(&self, dir: &Arc<OverlayDir>) -> Result<bool, Error> {
        self.shows_nothing(dir)
    }

    fn granted(&mut self, metadata: &Metadata, bits: SetIdBits) -> Granted {
        self.upper.granted(metadata, bits)
    }

    fn inode(&mut self, at: &OverlayPlace<'_>, header: &Metadata) -> Result<Inode, Error> {
        let status = match self.above(at)? {
            Above::Whiteout => return Ok(Inode::Missing),
            Above::Thing(status) => return Ok(self.upper.inode_of(&status, header, Linking::Direct)),
            Above::Nothing => match self.show_now(at)? {
                Shown::Missing => return Ok(Inode::Missing),
                Shown::Directory(_) => return Ok(Inode::Directory),
                Shown::File { status, .. } => status,
            },
        };
        Ok(self.upper.inode_of(&status, header, Linking::Copies))
    }

    fn pass(&mut self, dir: &Arc<OverlayDir>) -> Result<(), Error> {
        self.copy_up(dir).map(drop)
    }

    fn keep(&mut self, at: &OverlayPlace<'_>) -> Result<(), Error> {
        self.copy_file_up(at).map(drop)
    }

    fn make(&mut self, at: &OverlayPlace<'_>, node: &mut Node<'_, '_>, over: Over) -> Result<Made, Error> {
        self.make_node(at, node, over)
    }

    fn imply(&mut self, at: &OverlayPlace<'_>) -> Result<(Arc<OverlayDir>, Inexact), Error> {
        self.make_parent(at)
    }

    fn make_like_implied(&mut self, dir: &Arc<OverlayDir>) -> Result<Inexact, Error> {
        let upper = self.copy_up(dir)?;
        self.upper.make_like_implied(&upper)
    }

    fn renew_root(&mut self, metadata: &Metadata) -> Result<Inexact, Error> {
        self.root_is_listed = true;
        self.upper.renew_root(metadata)
    }

    fn link(&mut self, at: &OverlayPlace<'_>, to: &OverlayPlace<'_>, over: Over) -> Result<Made, Error> {
        self.make_name(at, to, over)
    }

    fn remove(&mut self, at: &OverlayPlace<'_>) -> Result<(), Error> {
        self.remove_at(at)
    }

    fn clear(&mut self, dir: &Arc<OverlayDir>, contents: &LayerContents) -> Result<Cleared, Error> {
        self.clear_lower(dir, contents)
    }

    fn make_apart(&mut self) -> Result<Arc<OverlayDir>, Error> {
        Ok(apart(self.upper.make_apart()?))
    }

    fn apart(&self) -> Option<Arc<OverlayDir>> {
        self.upper.apart().map(apart)
    }
}

/// The directory for files that are not in the tree. No lower layer has it.
fn apart(directory: Arc<crate::cage::directory::Directory>) -> Arc<OverlayDir> {
    let (id, path) = (directory.id(), directory.path().into());
    Arc::new(OverlayDir::new(id, path, Below::nothing(), Some(directory)))
}
