//! Files that are made and no more: their content, owner, mode and time can wait until somebody has the time.

use super::failed::Failed;
use super::metadata::PendingOwner;
use super::sys;
use crate::tree::Content;
use crate::words::{DeferredWork, Fault, Lock, Misuse, Timestamp};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How many files wait at most, each held open; as many again may be worked on by each of [`HELPERS`]. So many small ones
/// come of a buffer that is read, which is how often whoever reads looks after them.
const WAITING: usize = 128;
/// Of the files that the process may have open, the part that waits at most.
const SHARE: u64 = 8;
/// How many bytes of content wait at most; as many again may be worked on by each.
const WAITING_BYTES: usize = 1 << 20;
/// The largest content that waits. What is larger is copied once too often.
const SMALL: u64 = 128 << 10;
/// How many may finish files at a time.
const HELPERS: usize = 2;

/// Files of a tree that nobody sees yet, whose content, owner, mode and time are still to come.
#[derive(Debug)]
pub(crate) struct Finishing {
    /// How many files wait at most.
    most: usize,
    waiting: Lock<Waiting>,
    /// Whoever holds one finishes what is in it.
    batches: [Lock<Files>; HELPERS],
}

#[derive(Debug, Default)]
struct Waiting {
    files: Files,
    /// How many were put off and are not finished: where a thread panicked over some, they never are.
    unfinished: usize,
    failure: Failure,
}

#[derive(Debug, Default)]
enum Failure {
    #[default]
    None,
    /// What went wrong first.
    Untold(Fault),
    Told,
}

/// Files, their paths and contents, in memory that is used again.
#[derive(Debug, Default)]
struct Files {
    files: Vec<Unfinished>,
    /// Of each file its path, and then its content.
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Unfinished {
    file: OwnedFd,
    last: Last,
    path_bytes: usize,
    content_bytes: usize,
}

impl Files {
    fn push(&mut self, file: OwnedFd, content: &[u8], last: Last, path: Path<'_>) {
        let before = self.bytes.len();
        path.write(&mut self.bytes);
        let path_bytes = self.bytes.len() - before;
        self.bytes.extend_from_slice(content);
        self.files.push(Unfinished { file, last, path_bytes, content_bytes: content.len() });
    }

    /// Finishes all; says what went wrong first.
    fn finish(&mut self) -> Result<(), Fault> {
        // Whatever becomes of it here, no other file is filled with it.
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut rest = bytes.as_slice();
        let mut take = |bytes| {
            let (taken, behind) = rest.split_at_checked(bytes).unwrap_or((rest, &[]));
            rest = behind;
            taken
        };
        let mut result = Ok(());
        for Unfinished { file, last, path_bytes, content_bytes } in self.files.drain(..) {
            let (path, mut content) = (take(path_bytes), take(content_bytes));
            let written = Content::of(&mut content).fill(file.as_fd(), path);
            result = result.and(written.and_then(|()| last.give(file.as_fd()).map_err(|unset| unset.of(path))));
        }
        bytes.clear();
        self.bytes = bytes;
        result
    }
}

/// A path: that of the directory, and the name in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    pub(super) directory: &'a [u8],
    pub(super) name: &'a [u8],
}

impl Path<'_> {
    fn write(self, into: &mut Vec<u8>) {
        if !self.directory.is_empty() {
            into.extend_from_slice(self.directory);
            into.push(b'/');
        }
        into.extend_from_slice(self.name);
    }
}

/// What a file gets that has its content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    /// `None` where it has it.
    pub(super) owner: Option<PendingOwner>,
    pub(super) mode: u32,
    pub(super) mtime: Timestamp,
}

impl Last {
    /// Sets all of it: the mode behind the owner, since a setuid bit may not be on a file that is not final, and the time.
    pub(super) fn give(self, file: BorrowedFd<'_>) -> Result<(), Unset> {
        let unset = |owner| move |failed| Unset { failed, owner };
        self.owner.map_or(Ok(()), |pending| pending.give(file)).map_err(unset(self.owner))?;
        sys::set_mode(file, self.mode).map_err(unset(None))?;
        sys::set_mtime(file, self.mtime, false).map_err(unset(None))
    }
}

/// What could not be set, of a file whose name is needed only now.
#[derive(Debug)]
pub(super) struct Unset {
    failed: Failed,
    /// The owner, if it is the owner that could not be set.
    owner: Option<PendingOwner>,
}

impl Unset {
    pub(super) fn of(self, name: &[u8]) -> Fault {
        match self.owner {
            Some(owner) => owner.fault(self.failed, name).about(&owner.to_string()),
            None => self.failed.at(name),
        }
    }
}

impl Finishing {
    /// With nothing in it.
    pub(super) fn new() -> Self {
        let share = sys::most_open_files().map_or(WAITING, |most| usize::try_from(most / SHARE).unwrap_or(WAITING));
        Self { most: share.min(WAITING), waiting: Lock::default(), batches: Default::default() }
    }

    /// Takes a new file that has its extended attributes, and its content where it is not given here. What finds no room
    /// is done at once.
    pub(super) fn put_off(
        &self,
        mut file: OwnedFd,
        content: Option<&mut Content<'_>>,
        last: Last,
        path: Path<'_>,
    ) -> Result<(), Fault> {
        if let Some(content) = content {
            if let Some(bytes) = content.at_hand(SMALL)? {
                match self.queue(file, bytes, last, path) {
                    Ok(()) => return Ok(()),
                    Err(back) => file = back,
                }
            }
            content.fill(file.as_fd(), path.name)?;
        }
        match self.queue(file, &[], last, path) {
            Ok(()) => Ok(()),
            Err(file) => last.give(file.as_fd()).map_err(|unset| unset.of(path.name)),
        }
    }

    /// Has a file wait, with its content; gives it back where there is no room.
    fn queue(&self, file: OwnedFd, content: &[u8], last: Last, path: Path<'_>) -> Result<(), OwnedFd> {
        let Waiting { files, unfinished, .. } = &mut *self.waiting.lock();
        if files.files.len() >= self.most || files.bytes.len() + content.len() > WAITING_BYTES {
            return Err(file);
        }
        *unfinished += 1;
        files.push(file, content, last, path);
        Ok(())
    }

    /// Finishes all that wait, those that others are at included; says what went wrong, as [`Finishing::fault`] does.
    pub(super) fn finish_all(&self) -> Result<(), Fault> {
        for batch in &self.batches {
            self.finish_batch(&mut batch.lock());
        }
        self.fault()?;
        match self.waiting.lock().unfinished {
            0 => Ok(()),
            _ => Err(Fault::bug("files that were put off are not finished")),
        }
    }

    /// What went wrong first with any file; who has been told, and goes on, is told that he cannot.
    pub(super) fn fault(&self) -> Result<(), Fault> {
        let failure = &mut self.waiting.lock().failure;
        if let Failure::None = failure {
            return Ok(());
        }
        match std::mem::replace(failure, Failure::Told) {
            Failure::Untold(fault) => Err(fault),
            _ => Err(Misuse::Poisoned.into()),
        }
    }

    /// Finishes all that wait at this moment; says whether there were any.
    fn finish_batch(&self, batch: &mut Files) -> bool {
        std::mem::swap(batch, &mut self.waiting.lock().files);
        let files = batch.files.len();
        let finished = batch.finish();
        let mut waiting = self.waiting.lock();
        waiting.unfinished -= files.min(waiting.unfinished);
        if let (Err(fault), Failure::None) = (finished, &waiting.failure) {
            waiting.failure = Failure::Untold(fault);
        }
        files > 0
    }
}

impl DeferredWork for Finishing {
    fn run_one(&self) -> bool {
        let free = self.batches.iter().find_map(Lock::try_lock);
        free.is_some_and(|mut batch| self.finish_batch(&mut batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Source;
    use rustix::fs::{CWD, Mode, OFlags, openat};
    use std::os::unix::fs::MetadataExt;

    fn open(path: &std::path::Path, flags: OFlags) -> OwnedFd {
        openat(CWD, path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600)).unwrap()
    }

    fn put_off(finishing: &Finishing, file: OwnedFd, mut content: impl Source, size: u64) -> Result<(), Fault> {
        let path = Path { directory: b"etc", name: b"f" };
        let mut content = Content { source: &mut content, size, sparse: None };
        let last = Last { owner: None, mode: 0o640, mtime: Timestamp { seconds: 7, nanoseconds: 9 } };
        finishing.put_off(file, Some(&mut content), last, path)
    }

    /// Content that comes a byte at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Source for Trickle<'_> {
        fn chunk(&mut self) -> Result<&[u8], Fault> {
            Ok(self.0.get(..1).unwrap_or_default())
        }

        fn consume(&mut self, bytes: usize) {
            self.0 = self.0.get(bytes..).unwrap_or_default();
        }
    }

    /// Small ones, large ones, empty ones, and more of them than wait.
    fn content_of(number: usize) -> Vec<u8> {
        let size = [0, 1, 4_000, SMALL as usize, SMALL as usize + 1][number % 5];
        number.to_le_bytes().into_iter().cycle().take(size).collect()
    }

    #[test]
    fn every_file_that_was_put_off_is_finished_whoever_does_it() {
        let place = tempfile::tempdir().unwrap();
        let finishing = Finishing::new();
        let path = |number: usize| place.path().join(number.to_string());
        std::thread::scope(|scope| {
            for _ in 0..=HELPERS {
                scope.spawn(|| (0..1_000).filter(|_| finishing.run_one()).count());
            }
            for number in 0..5 * WAITING {
                let file = open(&path(number), OFlags::CREATE | OFlags::WRONLY);
                let content = content_of(number);
                match number % 7 {
                    0 => put_off(&finishing, file, Trickle(&content), content.len() as u64).unwrap(),
                    _ => put_off(&finishing, file, &content[..], content.len() as u64).unwrap(),
                }
            }
        });
        finishing.finish_all().unwrap();
        assert!(!finishing.run_one());
        for number in 0..5 * WAITING {
            let status = std::fs::metadata(path(number)).unwrap();
            assert_eq!((status.mode() & 0o7777, status.mtime(), status.mtime_nsec()), (0o640, 7, 9), "{number}");
            assert!(std::fs::read(path(number)).unwrap() == content_of(number), "{number}");
        }
    }

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let place = tempfile::tempdir().unwrap();
        let finishing = Finishing::new();
        for number in 0..2 * WAITING {
            let file = open(&place.path().join(number.to_string()), OFlags::CREATE | OFlags::WRONLY);
            put_off(&finishing, file, &[7; 40 << 10][..], 40 << 10).unwrap();
            let waiting = finishing.waiting.lock();
            assert!(waiting.files.files.len() <= WAITING, "{number}");
            assert!(waiting.files.bytes.len() <= WAITING_BYTES + WAITING * "etc/f".len(), "{number}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_finished_is_named_at_the_end() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("f"), "").unwrap();
        // A handle that only names takes no content and no mode.
        for (content, call) in [(&b""[..], "fchmod"), (b"content", "write")] {
            let finishing = Finishing::new();
            let file = open(&place.path().join("f"), OFlags::PATH);
            put_off(&finishing, file, content, content.len() as u64).unwrap();
            assert!(finishing.run_one());
            let fault = finishing.fault().unwrap_err();
            assert!(fault.to_string().starts_with(&format!(r#"{call}("etc/f")"#)), "{fault}");
            let again = finishing.finish_all().unwrap_err();
            assert_eq!(again.misuse(), Some(&Misuse::Poisoned), "going on is no way out");
        }
    }
}
