//! Copies directories and files of lower layers to the upper directory.

use super::directory::{OverlayDir, OverlayPlace};
use super::look::Above;
use super::lower::{Shown, shown, unsupported};
use super::state::OverlayTree;
use crate::cage::directory::Directory;
use crate::cage::failed::{At, swapped};
use crate::cage::sys::{self, Status};
use crate::plan::Holds;
use crate::tree::{
    Branch, Content, ExactTime, ExactXattrs, Exactness, Made, Node, NodeKind, Over, Step, Tree, path_of,
};
use crate::words::{
    Component, Device, DeviceKind, Error, Limit, Metadata, Segment, Source, SparseMap, Xattr, is_overlay_attribute,
};
use rustix::fs::FileType;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// A copy has the attributes of the original, or it is none.
const EXACT: Exactness = Exactness { xattrs: ExactXattrs::All, time: ExactTime::Exact };

impl OverlayTree {
    /// Returns the directory in the upper directory. It is made if it is not there, with its parents.
    pub(super) fn copy_up(&mut self, dir: &Arc<OverlayDir>) -> Result<Arc<Directory>, Error> {
        if let Some(upper) = dir.upper() {
            return Ok(upper);
        }
        let mut at = Branch { dir: Arc::clone(&self.root), holds: Holds::Lower };
        for part in dir.path().split(|&byte| byte == b'/') {
            let place = self.place(&at, Component::parse(part)?);
            let Step::Directory(next) = self.look(&place)? else {
                return Err(swapped(dir.path()));
            };
            if next.upper().is_none() {
                self.copy_directory_up(&place, &next)?;
            }
            at = Branch { dir: next, holds: Holds::Lower };
        }
        let upper = at.dir.upper().ok_or(Error::bug("a directory was copied, and is not there"))?;
        dir.set_upper(Arc::clone(&upper));
        Ok(upper)
    }

    fn copy_directory_up(&mut self, at: &OverlayPlace<'_>, dir: &Arc<OverlayDir>) -> Result<(), Error> {
        let top = *dir.layers().first().ok_or(Error::bug("a directory is in no layer"))?;
        let metadata = self.metadata_of(top, dir.path())?;
        let parent = at.dir().upper().ok_or(Error::bug("the parent of a directory was not copied first"))?;
        let mut node = Node { kind: NodeKind::Directory, metadata: &metadata, exactness: EXACT };
        let made = self.at_upper(at, Arc::clone(&parent), |cage, place| cage.make(place, &mut node, Over::Nothing))?;
        copied(made, dir.path())?;
        match self.at_upper(at, parent, |cage, place| cage.look(place))? {
            Step::Directory(directory) => dir.set_upper(directory),
            _ => return Err(swapped(dir.path())),
        }
        Ok(())
    }

    /// The attributes of a directory of a lower layer.
    pub(super) fn metadata_of(&self, layer: usize, path: &[u8]) -> Result<Metadata, Error> {
        let handle = self.open_below(layer, path)?;
        let status = sys::status(handle.as_fd()).at(shown(path))?;
        metadata(&status, xattrs(handle.as_fd(), shown(path))?)
    }

    /// Returns the directory, in the upper directory, of something that is no directory. If it is in a lower layer, it is
    /// copied, with all its names.
    pub(super) fn copy_file_up(&mut self, at: &OverlayPlace<'_>) -> Result<Arc<Directory>, Error> {
        if let Above::Thing(_) = self.above(at)? {
            return self.copy_up(at.dir());
        }
        let Some(Shown::File { layer, status }) = self.show(at)? else {
            return Err(Error::bug("the target of a hard link is not there"));
        };
        let upper = self.copy_up(at.dir())?;
        self.copy_one(at, layer, &status)?;
        if status.links > 1 {
            self.copy_other_names(at, layer, status.identity)?;
        }
        Ok(upper)
    }

    fn copy_one(&mut self, at: &OverlayPlace<'_>, layer: usize, status: &Status) -> Result<(), Error> {
        let name = at.name().as_bytes();
        let directory = self.open_below(layer, at.dir().path())?;
        let mut target = Vec::new();
        let mut file: Option<Original> = None;
        let mut xattrs_of_file = Vec::new();
        match status.kind {
            FileType::RegularFile => {
                let lower = self.lower.as_ref().ok_or(Error::bug("lower layers that are not at hand are read"))?;
                let opened = lower.open_file(self.marks, directory.as_fd(), name, status)?;
                self.copies.bytes = self.copies.bytes.saturating_add(status.size);
                self.limits.check(Limit::ImageBytes, self.copies.others.saturating_add(self.copies.bytes))?;
                xattrs_of_file = xattrs(opened.as_fd(), name)?;
                file = Some(Original::new(opened, status.size, name)?);
            }
            FileType::Symlink => target = sys::read_link(directory.as_fd(), name).at(name)?,
            FileType::Socket => return Err(unsupported(name, "a socket that gets another name")),
            _ => (),
        }
        let metadata = metadata(status, xattrs_of_file)?;
        let map = file.as_ref().and_then(|file| file.map.clone());
        let kind = match (status.kind, &mut file) {
            (FileType::RegularFile, Some(file)) => {
                NodeKind::File(Content { source: file, size: status.size, sparse: map.as_ref() })
            }
            (FileType::Symlink, _) => NodeKind::Symlink(&target),
            (FileType::Fifo, _) => NodeKind::Fifo,
            (FileType::CharacterDevice, _) => NodeKind::Device(device(DeviceKind::Character, status)),
            (FileType::BlockDevice, _) => NodeKind::Device(device(DeviceKind::Block, status)),
            _ => return Err(unsupported(name, "a file of an unknown type")),
        };
        let upper = at.dir().upper().ok_or(Error::bug("the directory of a file was not copied first"))?;
        let mut node = Node { kind, metadata: &metadata, exactness: EXACT };
        let made = self.at_upper(at, upper, |cage, place| cage.make(place, &mut node, Over::Nothing))?;
        copied(made, &path_of(at.dir().path(), at.name()))
    }
}

fn device(kind: DeviceKind, status: &Status) -> Device {
    Device { kind, major: status.device.0, minor: status.device.1 }
}

fn metadata(status: &Status, xattrs: Vec<Xattr>) -> Result<Metadata, Error> {
    Ok(Metadata { mode: status.mode, uid: status.uid, gid: status.gid, mtime: status.mtime, xattrs })
}

/// The extended attributes of a file, without those of overlayfs and those that the host sets itself.
fn xattrs(file: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<Xattr>, Error> {
    let mut xattrs = Vec::new();
    for name in sys::list_xattrs(file).at(path)? {
        let is_of_host = [&b"security.selinux"[..], b"security.ima", b"security.evm"].contains(&&*name);
        if !is_of_host
            && !is_overlay_attribute(&name)
            && let Some(value) = sys::get_xattr(file, &name).at(&name)?
        {
            xattrs.push(Xattr { name, value });
        }
    }
    Ok(xattrs)
}

/// Checks that a copy was made, like its original.
fn copied(made: Made, path: &[u8]) -> Result<(), Error> {
    match made {
        Made::Done(_) => Ok(()),
        Made::InTheWay(_) => Err(swapped(path)),
        Made::Undone(inexact) => match inexact.xattrs.into_iter().next() {
            Some(xattr) => {
                let error = Error::system("fsetxattr", &xattr.name, xattr.error);
                Err(error.about("which a lower layer has on a file or directory that this layer changes"))
            }
            None => Err(Error::bug("a time of the same file system cannot be stored")),
        },
    }
}

/// A regular file of a lower layer that is copied.
struct Original {
    file: OwnedFd,
    map: Option<SparseMap>,
    /// The segments of data that are not read yet.
    to_do: std::vec::IntoIter<Segment>,
    now: Segment,
    buffer: Vec<u8>,
    used: usize,
}

/// Bytes that are read at a time.
const BUFFER: usize = 64 << 10;

impl Original {
    /// Finds out where the file has data. One that has no holes needs no map.
    fn new(file: OwnedFd, size: u64, name: &[u8]) -> Result<Self, Error> {
        let mut segments = Vec::new();
        let mut offset = 0;
        while let Some((start, end)) = sys::next_data(file.as_fd(), offset).at(name)? {
            segments.push(Segment { offset: start, length: end.min(size).saturating_sub(start) });
            offset = end;
        }
        let is_whole = segments.first().is_none_or(|only| only.length == size) && !segments.is_empty() || size == 0;
        let map = if is_whole {
            segments = vec![Segment { offset: 0, length: size }];
            None
        } else {
            if segments.last().is_none_or(|last| last.offset + last.length != size) {
                segments.push(Segment { offset: size, length: 0 });
            }
            let data = segments.iter().map(|segment| segment.length).sum();
            Some(SparseMap::new(segments.clone(), size, data)?)
        };
        let now = Segment { offset: 0, length: 0 };
        Ok(Self { file, map, to_do: segments.into_iter(), now, buffer: Vec::new(), used: 0 })
    }
}

impl Source for Original {
    fn chunk(&mut self) -> Result<&[u8], Error> {
        while self.used == self.buffer.len() {
            if self.now.length == 0 {
                match self.to_do.next() {
                    Some(next) => self.now = next,
                    None => break,
                }
                continue;
            }
            let most = usize::try_from(self.now.length).unwrap_or(BUFFER).min(BUFFER);
            self.buffer.resize(most, 0);
            let read = sys::read_at(self.file.as_fd(), &mut self.buffer, self.now.offset).at(b"(a lower layer)")?;
            if read == 0 {
                // It was longer a moment ago: another process is changing the layer.
                return Err(swapped(b"(a lower layer)"));
            }
            self.buffer.truncate(read);
            self.used = 0;
            self.now.offset += read as u64;
            self.now.length -= read as u64;
        }
        Ok(self.buffer.get(self.used..).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.used = (self.used + bytes).min(self.buffer.len());
    }
}
