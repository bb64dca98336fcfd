//! Files that have all but their mode and time, which can wait until somebody has the time.

use super::sys;
use crate::words::{Chore, Fault, Metadata, Timestamp};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// How many files wait at most: each is held open.
const WAITING: usize = 128;
/// How many are taken at a time.
const BATCH: usize = 16;

/// Files of a tree that nobody sees yet, whose mode and time are still to be set.
#[derive(Debug, Default)]
pub(crate) struct Finishing {
    waiting: Mutex<Vec<Unfinished>>,
    /// What went wrong first. Whoever holds it finishes.
    outcome: Mutex<Option<Fault>>,
}

#[derive(Debug)]
struct Unfinished {
    file: OwnedFd,
    mode: u32,
    mtime: Timestamp,
    path: Box<[u8]>,
}

impl Unfinished {
    fn finish(self) -> Result<(), Fault> {
        finish(self.file.as_fd(), self.mode, self.mtime, &self.path)
    }
}

/// Sets what comes last: the mode, since a setuid bit may not be on a file that is not final, and the time.
pub(super) fn finish(file: BorrowedFd<'_>, mode: u32, mtime: Timestamp, name: &[u8]) -> Result<(), Fault> {
    sys::set_mode(file, mode).map_err(sys::fault("fchmod", name))?;
    sys::set_mtime(file, mtime, false).map_err(sys::fault("futimens", name))
}

impl Finishing {
    /// Takes a file that has its content, owner and extended attributes. Where too many wait, it is finished here.
    pub(super) fn put_off(&self, file: OwnedFd, metadata: &Metadata, path: Box<[u8]>) -> Result<(), Fault> {
        let file = Unfinished { file, mode: metadata.mode, mtime: metadata.mtime, path };
        let mut waiting = lock(&self.waiting);
        if waiting.len() < WAITING {
            waiting.push(file);
            return Ok(());
        }
        drop(waiting);
        file.finish()
    }

    /// Finishes all that wait, and says what went wrong with any.
    pub(super) fn finish_all(&self) -> Result<(), Fault> {
        let mut outcome = lock(&self.outcome);
        while self.finish_some(&mut outcome) {}
        outcome.take().map_or(Ok(()), Err)
    }

    fn finish_some(&self, outcome: &mut Option<Fault>) -> bool {
        let mut waiting = lock(&self.waiting);
        let from = waiting.len().saturating_sub(BATCH);
        let batch = waiting.split_off(from);
        drop(waiting);
        let any = !batch.is_empty();
        for file in batch {
            if let Err(fault) = file.finish() {
                outcome.get_or_insert(fault);
            }
        }
        any
    }
}

impl Chore for Finishing {
    fn help(&self) -> bool {
        match self.outcome.try_lock() {
            Ok(mut outcome) => self.finish_some(&mut outcome),
            Err(TryLockError::Poisoned(poisoned)) => self.finish_some(&mut poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => false,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
                finishing.put_off(file, &metadata(0o640), b"f"[..].into()).unwrap();
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
        finishing.put_off(file, &metadata(0o640), b"etc/f"[..].into()).unwrap();
        assert!(finishing.help());
        let fault = finishing.finish_all().unwrap_err();
        assert!(fault.to_string().starts_with(r#"fchmod("etc/f")"#), "{fault}");
        finishing.finish_all().unwrap();
    }
}
