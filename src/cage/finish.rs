//! Files that have all but their mode and time, which can wait until somebody has the time.

use super::sys;
use crate::words::{Chore, Fault, Metadata, Timestamp, Turn};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// How many files wait at most: each is held open.
const WAITING: usize = 128;
/// How many are taken at a time.
const BATCH: usize = 16;

/// Files of a tree that nobody sees yet, whose mode and time are still to be set.
#[derive(Debug, Default)]
pub(crate) struct Finishing {
    waiting: Turn<Files>,
    /// Whoever holds it finishes.
    outcome: Turn<Outcome>,
}

#[derive(Debug, Default)]
struct Outcome {
    /// What went wrong first.
    fault: Option<Fault>,
    /// What is being finished.
    batch: Files,
}

/// Files and their paths, in memory that is used again.
#[derive(Debug, Default)]
struct Files {
    files: Vec<Unfinished>,
    /// Those of all, one behind the other.
    paths: Vec<u8>,
}

#[derive(Debug)]
struct Unfinished {
    file: OwnedFd,
    mode: u32,
    mtime: Timestamp,
    path_bytes: usize,
}

impl Files {
    fn push(&mut self, file: OwnedFd, metadata: &Metadata, path: Path<'_>) {
        let before = self.paths.len();
        path.write(&mut self.paths);
        let path_bytes = self.paths.len() - before;
        self.files.push(Unfinished { file, mode: metadata.mode, mtime: metadata.mtime, path_bytes });
    }

    /// Takes the last ones of others.
    fn take_batch(&mut self, others: &mut Self) {
        self.files.extend(others.files.drain(others.files.len().saturating_sub(BATCH)..));
        let bytes = self.files.iter().map(|file| file.path_bytes).sum();
        self.paths.extend(others.paths.drain(others.paths.len().saturating_sub(bytes)..));
    }

    /// Finishes all; says what went wrong with any, and whether there was any.
    fn finish(&mut self, fault: &mut Option<Fault>) -> bool {
        let any = !self.files.is_empty();
        let mut paths = self.paths.as_slice();
        for Unfinished { file, mode, mtime, path_bytes } in self.files.drain(..) {
            let (path, behind) = paths.split_at_checked(path_bytes).unwrap_or((paths, &[]));
            paths = behind;
            if let Err(unset) = finish(file.as_fd(), mode, mtime) {
                fault.get_or_insert(unset.of(path));
            }
        }
        self.paths.clear();
        any
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

/// Sets what comes last: the mode, since a setuid bit may not be on a file that is not final, and the time.
pub(super) fn finish(file: BorrowedFd<'_>, mode: u32, mtime: Timestamp) -> Result<(), Unset> {
    sys::set_mode(file, mode).map_err(|errno| Unset { call: "fchmod", errno })?;
    sys::set_mtime(file, mtime, false).map_err(|errno| Unset { call: "futimens", errno })
}

/// What could not be set, of a file whose name is needed only now.
#[derive(Debug)]
pub(super) struct Unset {
    call: &'static str,
    errno: Errno,
}

impl Unset {
    pub(super) fn of(self, name: &[u8]) -> Fault {
        Fault::system(self.call, name, self.errno)
    }
}

impl Finishing {
    /// Takes a file that has its content, owner and extended attributes. Where too many wait, it is finished here.
    pub(super) fn put_off(&self, file: OwnedFd, metadata: &Metadata, path: Path<'_>) -> Result<(), Fault> {
        let mut waiting = self.waiting.wait();
        if waiting.files.len() < WAITING {
            waiting.push(file, metadata, path);
            return Ok(());
        }
        drop(waiting);
        finish(file.as_fd(), metadata.mode, metadata.mtime).map_err(|unset| {
            let mut whole = Vec::new();
            path.write(&mut whole);
            unset.of(&whole)
        })
    }

    /// Finishes all that wait, and says what went wrong with any.
    pub(super) fn finish_all(&self) -> Result<(), Fault> {
        let mut outcome = self.outcome.wait();
        while self.finish_some(&mut outcome) {}
        outcome.fault.take().map_or(Ok(()), Err)
    }

    fn finish_some(&self, outcome: &mut Outcome) -> bool {
        outcome.batch.take_batch(&mut self.waiting.wait());
        outcome.batch.finish(&mut outcome.fault)
    }
}

impl Chore for Finishing {
    fn help(&self) -> bool {
        self.outcome.take().is_some_and(|mut outcome| self.finish_some(&mut outcome))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Metadata;
    use rustix::fs::{CWD, Mode, OFlags, openat};
    use std::os::unix::fs::MetadataExt;

    fn open(path: &std::path::Path, flags: OFlags) -> OwnedFd {
        openat(CWD, path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600)).unwrap()
    }

    fn metadata(mode: u32) -> Metadata {
        let mtime = Timestamp { seconds: 7, nanoseconds: 9 };
        Metadata { mode, uid: 0, gid: 0, mtime, xattrs: Vec::new() }
    }

    #[test]
    fn every_file_that_was_put_off_is_finished_whoever_does_it() {
        let place = tempfile::tempdir().unwrap();
        let finishing = Finishing::default();
        let path = |number: usize| place.path().join(number.to_string());
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1_000).filter(|_| finishing.help()).count());
            for number in 0..3 * WAITING {
                let file = open(&path(number), OFlags::CREATE | OFlags::WRONLY);
                finishing.put_off(file, &metadata(0o640), Path { directory: b"", name: b"f" }).unwrap();
            }
        });
        finishing.finish_all().unwrap();
        assert!(!finishing.help());
        for number in 0..3 * WAITING {
            let status = std::fs::metadata(path(number)).unwrap();
            assert_eq!((status.mode() & 0o7777, status.mtime(), status.mtime_nsec()), (0o640, 7, 9), "{number}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_finished_is_named_at_the_end() {
        let place = tempfile::tempdir().unwrap();
        let finishing = Finishing::default();
        std::fs::write(place.path().join("f"), "").unwrap();
        // A handle that only names takes no mode.
        let file = open(&place.path().join("f"), OFlags::PATH);
        finishing.put_off(file, &metadata(0o640), Path { directory: b"etc", name: b"f" }).unwrap();
        assert!(finishing.help());
        let fault = finishing.finish_all().unwrap_err();
        assert!(fault.to_string().starts_with(r#"fchmod("etc/f")"#), "{fault}");
        finishing.finish_all().unwrap();
    }
}
