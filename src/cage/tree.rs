//! The cage as a [`Tree`]: the disk, one path component at a time.

use super::create::New;
use super::directory::Directory;
use super::failed::{At, Failed};
use super::names::Names;
use super::place::Place;
use super::state::Cage;
use super::sys::{self, Status};
use crate::plan::LayerContents;
use crate::tree::{
    Cleared, Granted, Inexact, Inode, Linking, Made, Node, NodeKind, Over, Repeats, SetIdBits, Step, Tree,
};
use crate::words::{Error, Metadata, PlaceId, PlaceKey};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::sync::Arc;

impl Cage {
    /// What a hard link to a file would name.
    pub(super) fn inode_of(&mut self, status: &Status, header: &Metadata, linking: Linking) -> Inode {
        if status.kind == FileType::Directory {
            return Inode::Directory;
        }
        let granted = self.owners.grant(self.root.as_fd(), header, SetIdBits::Program);
        let owner_differs = self.owners.are_kept() && (status.uid, status.gid) != (granted.uid, granted.gid);
        // The mode of a symbolic link means nothing.
        let mode_differs = status.kind != FileType::Symlink && status.mode != granted.mode;
        let repeats = if owner_differs || mode_differs { Repeats::Otherwise } else { Repeats::Alike };
        Inode::File(repeats, linking, None)
    }
}

impl Tree for Cage {
    type Dir = Arc<Directory>;

    fn root(&self) -> Arc<Directory> {
        self.root_directory()
    }

    fn id(&self, dir: &Arc<Directory>) -> PlaceId {
        dir.id()
    }

    fn path<'d>(&self, dir: &'d Arc<Directory>) -> &'d [u8] {
        dir.path()
    }

    fn key(&self) -> &PlaceKey {
        &self.key
    }

    fn step(&mut self, at: &Place<'_>) -> Result<Step<Arc<Directory>>, Error> {
        self.look(at)
    }

    fn exists(&self, at: &Place<'_>) -> Result<bool, Error> {
        match sys::status_at(at.at(), at.bytes()) {
            Ok(_) => Ok(true),
            Err(Failed { errno: Errno::NOENT, .. }) => Ok(false),
            Err(failed) => Err(failed.at(&at.path())),
        }
    }

    fn is_empty(&self, dir: &Arc<Directory>) -> Result<bool, Error> {
        let mut names = Names::of(dir.as_fd(), dir.path())?;
        while let Some((name, _)) = names.next()? {
            if !self.is_marker(dir, &name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn granted(&mut self, metadata: &Metadata, bits: SetIdBits) -> Granted {
        self.owners.grant(self.root.as_fd(), metadata, bits)
    }

    fn inode(&mut self, at: &Place<'_>, header: &Metadata) -> Result<Inode, Error> {
        let status = match sys::status_at(at.at(), at.bytes()) {
            Err(Failed { errno: Errno::NOENT, .. }) => return Ok(Inode::Missing),
            other => other.at(at.bytes())?,
        };
        Ok(self.inode_of(&status, header, Linking::Direct))
    }

    fn make(&mut self, at: &Place<'_>, node: &mut Node<'_, '_>, over: Over) -> Result<Made, Error> {
        let attributes = (node.metadata, node.exactness);
        match &mut node.kind {
            NodeKind::Directory => self.make_directory(at, attributes, over),
            NodeKind::File(content) => self.make_file(at, attributes, content, over),
            NodeKind::Symlink(target) => self.make_special(at, attributes, New::Symlink(target), over),
            NodeKind::Fifo => self.make_special(at, attributes, New::Fifo, over),
            NodeKind::Device(device) => self.make_special(at, attributes, New::Device(*device), over),
        }
    }

    fn imply(&mut self, at: &Place<'_>) -> Result<(Arc<Directory>, Inexact), Error> {
        self.make_implied(at)
    }

    fn make_like_implied(&mut self, dir: &Arc<Directory>) -> Result<Inexact, Error> {
        Self::make_like_implied(self, dir)
    }

    fn renew_root(&mut self, metadata: &Metadata) -> Result<Inexact, Error> {
        let root = self.root_directory();
        self.renew(&root, metadata)
    }

    fn link(&mut self, at: &Place<'_>, to: &Place<'_>, over: Over) -> Result<Made, Error> {
        self.make_link(at, to, over)
    }

    fn remove(&mut self, at: &Place<'_>) -> Result<(), Error> {
        self.remove_at(at)
    }

    fn clear(&mut self, dir: &Arc<Directory>, contents: &LayerContents) -> Result<Cleared, Error> {
        self.clear_lower(dir, contents)
    }

    fn make_apart(&mut self) -> Result<Arc<Directory>, Error> {
        self.open_or_make_apart()
    }

    fn apart(&self) -> Option<Arc<Directory>> {
        self.apart_directory()
    }
}
