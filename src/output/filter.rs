//! A sink that is given only a part of each layer.

use super::context::LayerContext;
use super::data::Data;
use super::dropped::{Dropped, Target};
use super::left_out::{LeftOut, Link};
use super::sink::{Sink, Visibility};
use super::sink_error::SinkError;
use crate::cage::Scratch;
use crate::plan::{Judged, Reporter};
use crate::read::Checked;
use crate::words::{
    Change, ChangeKind, Effect, EntryPath, Escaped, HolesRead, Metadata, Misuse, Ownership, Quirk, Skippable, Source,
    Violation,
};
use std::fmt;

/// Gives a sink the changes of some paths, and drops the others.
///
/// The paths are the names in the archive. They are not resolved: an entry `bin/sh` behind a link `bin -> usr/bin` has
/// the path `bin/sh`. A whiteout has the path that it removes.
///
/// The report and the limits count the content of dropped files, too: it is read and judged. A copy counts once more.
///
/// # Hard links
///
/// The target of a kept hard link may be a path that the filter does not keep. If the filter dropped nothing at that path,
/// the result is the same as without the filter: a link to a skipped device is skipped, and a link to a directory or to a
/// missing target is refused. A filter knows only what it dropped itself, so use one filter for all layers of an image.
///
/// If the target is a file that is dropped, the link cannot be made. By default this is an error,
/// [`Misuse::LinkToFiltered`]. With [`Filter::with_copies`], the first such link becomes the file itself, and further
/// links become hard links to the first. For that, the files that are dropped are copied to a file of bounded size,
/// because a link may come at any time.
///
/// ```
/// # use layercage::{Error, Layer, Limits, Policy, Rootfs, Unpacker};
/// # use layercage::sink::Filter;
/// # use layercage::tar::EntryPath;
/// # use cap_std::{ambient_authority, fs::Dir};
/// # let directory = tempfile::tempdir()?;
/// # let rootfs = Dir::open_ambient_dir(directory.path(), ambient_authority())?;
/// # let mut archive = tar::Builder::new(Vec::new());
/// # for name in ["etc/hostname", "usr/bin/true"] {
/// #     let mut header = tar::Header::new_gnu();
/// #     header.set_mode(0o644);
/// #     header.set_size(2);
/// #     archive.append_data(&mut header, name, &b"a\n"[..])?;
/// # }
/// # let archive = archive.into_inner()?;
/// let mut tree = Rootfs::over(&rootfs)?;
/// let mut filter = Filter::below(&mut tree, EntryPath::parse(b"etc", &Limits::default())?);
/// Unpacker::new(Policy::default()).apply(Layer::new(&archive[..]), &mut filter)?;
/// assert!(rootfs.exists("etc/hostname") && !rootfs.exists("usr"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Filter<'f, S> {
    sink: S,
    keep: Box<dyn FnMut(&EntryPath) -> bool + Send + 'f>,
    dropped: Dropped,
    /// `None` if a hard link to a file that is dropped is an error.
    copies: Option<LeftOut>,
    /// How owners are handled in the current layer.
    ownership: Ownership,
}

impl<S: fmt::Debug> fmt::Debug for Filter<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("sink", &self.sink).field("copies", &self.copies).finish_non_exhaustive()
    }
}

impl<'f, S: Sink> Filter<'f, S> {
    /// Keeps the paths for which `keep` returns true. It has to return the same for the same path each time.
    ///
    /// It should keep the parents of each path that it keeps. Otherwise the attributes of these directories are lost,
    /// and a whiteout of one removes nothing.
    pub fn new(sink: S, keep: impl FnMut(&EntryPath) -> bool + Send + 'f) -> Self {
        let (dropped, ownership) = (Dropped::new(), Ownership::default());
        Self { sink, keep: Box::new(keep), dropped, copies: None, ownership }
    }

    /// Keeps a path, all that lies below it, and its parents.
    pub fn below(sink: S, prefix: EntryPath) -> Self {
        Self::new(sink, move |path| is_within(path, &prefix) || is_within(&prefix, path))
    }

    /// Makes hard links to files that are dropped into copies.
    ///
    /// Names are not resolved here either. An entry may replace such a copy through a symbolic link to its directory. Later
    /// links to the dropped file then become links to the entry that replaced the copy.
    ///
    /// A file of `scratch` keeps the content of the dropped files of all layers. `most` bounds the bytes that are kept; each
    /// name counts as its path and 256 bytes. Files above this bound are not kept, and a link to one of them is
    /// [`Misuse::LinkToFiltered`] again.
    #[must_use]
    pub fn with_copies(self, scratch: Scratch, most: u64) -> Self {
        Self { copies: Some(LeftOut::new(scratch, most)), ..self }
    }

    /// Returns the sink.
    pub fn into_inner(self) -> S {
        self.sink
    }

    fn keeps(&mut self, path: &EntryPath) -> bool {
        (self.keep)(path)
    }

    /// Gives the sink a hard link to what the filter does not keep.
    fn link(
        &mut self,
        change: Judged<Change>,
        target: &EntryPath,
        holes: Option<&HolesRead>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        match self.dropped.target(target) {
            Target::Dropped => self.link_to_dropped(change, target, holes, reporter),
            Target::Skipped(skippable) => self.skip_link(change, skippable, target, reporter),
            Target::Directory => Err(Violation::HardLinkToDirectory { target: Escaped::new(target.as_bytes()) })?,
            Target::Missing => {
                self.follow_kept(change.get());
                self.sink.change(change, Data::of(&mut &b""[..]), reporter)
            }
        }
    }

    /// Gives the sink what takes the place of a hard link to a skipped entry.
    fn skip_link(
        &mut self,
        change: Judged<Change>,
        skippable: Skippable,
        target: &EntryPath,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        reporter.quirk(Quirk::HardLinkToSkipped { target: Escaped::new(target.as_bytes()) })?;
        let change = change.map(|change| Change { kind: ChangeKind::Skipped(skippable), ..change });
        self.follow_kept(change.get());
        self.sink.change(change, Data::of(&mut &b""[..]), reporter)
    }

    /// Gives the sink a hard link to what it could have had.
    fn link_to_dropped(
        &mut self,
        change: Judged<Change>,
        target: &EntryPath,
        holes: Option<&HolesRead>,
        reporter: &mut Reporter<'_>,
    ) -> Result<(), SinkError> {
        self.follow_kept(change.get());
        let missing = || Misuse::LinkToFiltered { target: Escaped::new(target.as_bytes()) };
        let path = change.get().path.clone();
        let found = self.copies.as_mut().and_then(|copies| copies.link(&path, target));
        match found.ok_or_else(missing)? {
            Link::To(first) => {
                let change = change.map(|change| linked_to(change, first));
                self.sink.change(change, Data::of(&mut &b""[..]), reporter)
            }
            Link::First(kind, mut content) => {
                if let ChangeKind::File { size, .. } = &kind {
                    reporter.count_content(*size)?;
                }
                if differs(&change.get().kind, &kind, self.ownership) {
                    reporter.quirk(Quirk::HardLinkMetadata)?;
                }
                let change = change.map(|change| Change { kind, ..change });
                let mut empty = &b""[..];
                let source = content.as_mut().map_or(&mut empty as &mut dyn Source, |content| content);
                let data = Data::of_change(change.get(), source).counting(holes);
                self.sink.change(change, data, reporter)
            }
        }
    }

    fn drop_change(&mut self, change: &Change, mut data: Data<'_>) -> Result<(), SinkError> {
        match &change.kind {
            // What is there stays.
            ChangeKind::HardLink { target, .. } if target == &change.path => (),
            ChangeKind::HardLink { target, .. } => self.drop_link(change, target),
            _ => {
                self.dropped.drop(change, Target::Missing);
                if let Some(copies) = &mut self.copies {
                    copies.follow(change);
                    copies.keep(change, data.stored())?;
                }
            }
        }
        Ok(())
    }

    fn drop_link(&mut self, change: &Change, target: &EntryPath) {
        let is_target_kept = self.keeps(target);
        self.dropped.drop(change, if is_target_kept { Target::Dropped } else { self.dropped.target(target) });
        let Some(copies) = &mut self.copies else { return };
        copies.follow(change);
        if is_target_kept {
            copies.keep_link_to_kept(&change.path, target);
        } else {
            copies.keep_link(&change.path, target);
        }
    }

    /// Follows a change that the sink gets.
    fn follow_kept(&mut self, change: &Change) {
        self.dropped.keep(change);
        if let Some(copies) = &mut self.copies {
            copies.follow(change);
        }
    }
}

/// Whether the header of a hard link states another mode or owner than the inode has.
fn differs(link: &ChangeKind, inode: &ChangeKind, ownership: Ownership) -> bool {
    let (Some(header), Some(metadata)) = (link.metadata(), inode.metadata()) else { return false };
    let owner = |metadata: &Metadata| (metadata.uid, metadata.gid);
    let owner_differs = match ownership {
        Ownership::Possible | Ownership::Required => owner(header) != owner(metadata),
        Ownership::Caller | Ownership::Recorded => false,
    };
    // The mode of a symbolic link means nothing.
    owner_differs || (!matches!(inode, ChangeKind::Symlink { .. }) && header.mode != metadata.mode)
}

/// Whether a path is a directory or lies below it.
fn is_within(path: &EntryPath, directory: &EntryPath) -> bool {
    match path.as_bytes().strip_prefix(directory.as_bytes()) {
        Some(rest) => directory.is_root() || rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    }
}

fn linked_to(change: Change, target: EntryPath) -> Change {
    let kind = match change.kind {
        ChangeKind::HardLink { metadata, .. } => ChangeKind::HardLink { target, metadata },
        other => other,
    };
    Change { kind, ..change }
}

impl<S: Sink> Sink for Filter<'_, S> {
    fn begin_layer(&mut self, layer: &LayerContext<'_>) -> Result<(), SinkError> {
        self.ownership = layer.terms().ownership;
        self.dropped.begin_layer();
        if let Some(copies) = &mut self.copies {
            copies.begin_layer();
        }
        self.sink.begin_layer(layer)
    }

    fn change(&mut self, change: Judged<Change>, data: Data<'_>, reporter: &mut Reporter<'_>) -> Result<(), SinkError> {
        let Change { path, kind, .. } = change.get();
        // The data of AUFS hard links has a name that no image has. It is kept for the links that lead to it.
        if matches!(kind, ChangeKind::PseudoLink { .. }) {
            return self.sink.change(change, data, reporter);
        }
        if !self.keeps(path) {
            return self.drop_change(change.get(), data);
        }
        let target = match kind {
            ChangeKind::HardLink { target, .. } if target.pseudo_link().is_none() => Some(target.clone()),
            _ => None,
        };
        if let (Some(copies), Some(target)) = (&self.copies, &target)
            && copies.is_linked(target, path)
        {
            // GNU tar names a file twice like this: the sink sees a link to itself.
            let itself = path.clone();
            return self.sink.change(change.map(|change| linked_to(change, itself)), data, reporter);
        }
        match target {
            Some(target) if !self.keeps(&target) => self.link(change, &target, data.holes(), reporter),
            Some(target) if &target == path => self.sink.change(change, data, reporter),
            _ => {
                self.follow_kept(change.get());
                self.sink.change(change, data, reporter)
            }
        }
    }

    fn end_layer(&mut self, checked: &Checked) -> Result<(), SinkError> {
        self.sink.end_layer(checked)
    }

    fn abandon_layer(&mut self) -> Effect {
        self.dropped.abandon_layer();
        if let Some(copies) = &mut self.copies {
            copies.abandon_layer();
        }
        self.sink.abandon_layer()
    }

    fn visibility(&self) -> Visibility {
        self.sink.visibility()
    }
}
