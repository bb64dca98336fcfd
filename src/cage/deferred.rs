//! Deferred files: created and open, but without their content, owner, mode and time. Threads that wait for input
//! finish them.

use super::attributes::FinalAttributes;
use super::place::Path;
use super::sys;
use crate::tree::Content;
use crate::words::{DeferredWork, Error, Lock, Misuse};
use std::os::fd::{AsFd, OwnedFd};

/// The largest number of files that wait, each of them open. Each of the [`HELPERS`] may work on as many more. One
/// buffer of input holds about as many small files, and a reading thread finishes files once per buffer.
const WAITING: usize = 128;
/// At most this fraction (1/8) of the files that the process may have open waits.
const SHARE: u64 = 8;
/// The largest number of bytes that wait. Each of the [`HELPERS`] may work on as many more.
const WAITING_BYTES: usize = 1 << 20;
/// The largest content that waits. For larger content, the additional copy costs more than the wait saves.
const SMALL: u64 = 128 << 10;
/// The number of threads that may finish files at the same time.
const HELPERS: usize = 2;

/// The deferred files of a staged tree, which no other process can see yet.
#[derive(Debug)]
pub(crate) struct DeferredFiles {
    /// The largest number of files that wait.
    most: usize,
    waiting: Lock<Waiting>,
    /// The files that threads are finishing. The thread that holds the lock finishes them.
    batches: [Lock<Files>; HELPERS],
}

#[derive(Debug, Default)]
struct Waiting {
    files: Files,
    /// The number of files that are not finished. If a thread panics, its batch stays unfinished, and this count shows
    /// it.
    unfinished: usize,
    failure: Failure,
}

#[derive(Debug, Default)]
enum Failure {
    #[default]
    None,
    /// The first failure.
    Unreported(Error),
    Reported,
}

/// Files with their paths and contents. The memory is reused.
#[derive(Debug, Default)]
struct Files {
    files: Vec<Unfinished>,
    /// For each file its path, then its content.
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Unfinished {
    file: OwnedFd,
    attributes: FinalAttributes,
    path_bytes: usize,
    content_bytes: usize,
}

impl Files {
    fn push(&mut self, file: OwnedFd, content: &[u8], attributes: FinalAttributes, path: Path<'_>) {
        let before = self.bytes.len();
        path.write(&mut self.bytes);
        let path_bytes = self.bytes.len() - before;
        self.bytes.extend_from_slice(content);
        self.files.push(Unfinished { file, attributes, path_bytes, content_bytes: content.len() });
    }

    /// Finishes all files. Returns the first failure.
    fn finish(&mut self) -> Result<(), Error> {
        // Taken out: if a thread panics here, the next batch does not start with the content of these files.
        let mut bytes = std::mem::take(&mut self.bytes);
        let mut rest = bytes.as_slice();
        let mut take = |bytes| {
            let (taken, behind) = rest.split_at_checked(bytes).unwrap_or((rest, &[]));
            rest = behind;
            taken
        };
        let mut result = Ok(());
        for Unfinished { file, attributes, path_bytes, content_bytes } in self.files.drain(..) {
            let (path, mut content) = (take(path_bytes), take(content_bytes));
            let written = Content::of(&mut content).fill(file.as_fd(), path);
            result = result.and(written.and_then(|()| attributes.apply(file.as_fd()).map_err(|unset| unset.at(path))));
        }
        bytes.clear();
        self.bytes = bytes;
        result
    }
}

impl DeferredFiles {
    /// No files.
    pub(super) fn new() -> Self {
        let share = sys::most_open_files().map_or(WAITING, |most| usize::try_from(most / SHARE).unwrap_or(WAITING));
        Self { most: share.min(WAITING), waiting: Lock::default(), batches: Default::default() }
    }

    /// Takes a new file. Its extended attributes are set, and so is its content if `content` is `None`. If there is no
    /// room, the file is finished at once.
    pub(super) fn defer(
        &self,
        mut file: OwnedFd,
        content: Option<&mut Content<'_>>,
        attributes: FinalAttributes,
        path: Path<'_>,
    ) -> Result<(), Error> {
        if let Some(content) = content {
            if let Some(bytes) = content.at_hand(SMALL)? {
                match self.queue(file, bytes, attributes, path) {
                    Ok(()) => return Ok(()),
                    Err(back) => file = back,
                }
            }
            content.fill(file.as_fd(), path.name)?;
        }
        match self.queue(file, &[], attributes, path) {
            Ok(()) => Ok(()),
            Err(file) => attributes.apply(file.as_fd()).map_err(|unset| unset.at(path.name)),
        }
    }

    /// Adds a file with its content. Returns the file if there is no room.
    fn queue(&self, file: OwnedFd, content: &[u8], attributes: FinalAttributes, path: Path<'_>) -> Result<(), OwnedFd> {
        let Waiting { files, unfinished, .. } = &mut *self.waiting.lock();
        if files.files.len() >= self.most || files.bytes.len() + content.len() > WAITING_BYTES {
            return Err(file);
        }
        *unfinished += 1;
        files.push(file, content, attributes, path);
        Ok(())
    }

    /// Finishes all files, and waits for those that other threads are finishing. Fails as [`DeferredFiles::error`]
    /// does.
    pub(super) fn finish_all(&self) -> Result<(), Error> {
        for batch in &self.batches {
            self.finish_batch(&mut batch.lock());
        }
        self.error()?;
        match self.waiting.lock().unfinished {
            0 => Ok(()),
            _ => Err(Error::bug("deferred files are not finished")),
        }
    }

    /// Returns the first failure. Later calls fail with [`Misuse::Poisoned`]: the tree is incomplete.
    pub(super) fn error(&self) -> Result<(), Error> {
        let failure = &mut self.waiting.lock().failure;
        if let Failure::None = failure {
            return Ok(());
        }
        match std::mem::replace(failure, Failure::Reported) {
            Failure::Unreported(error) => Err(error),
            _ => Err(Misuse::Poisoned.into()),
        }
    }

    /// Finishes the files that wait at this moment. Returns whether there were any.
    fn finish_batch(&self, batch: &mut Files) -> bool {
        std::mem::swap(batch, &mut self.waiting.lock().files);
        let files = batch.files.len();
        let finished = batch.finish();
        let mut waiting = self.waiting.lock();
        waiting.unfinished -= files.min(waiting.unfinished);
        if let (Err(error), Failure::None) = (finished, &waiting.failure) {
            waiting.failure = Failure::Unreported(error);
        }
        files > 0
    }
}

impl DeferredWork for DeferredFiles {
    fn run_one(&self) -> bool {
        let free = self.batches.iter().find_map(Lock::try_lock);
        free.is_some_and(|mut batch| self.finish_batch(&mut batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Source, Timestamp};
    use rustix::fs::{CWD, Mode, OFlags, openat};
    use std::os::unix::fs::MetadataExt;

    fn open(path: &std::path::Path, flags: OFlags) -> OwnedFd {
        openat(CWD, path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o600)).unwrap()
    }

    fn defer(finishing: &DeferredFiles, file: OwnedFd, mut content: impl Source, size: u64) -> Result<(), Error> {
        let path = Path { directory: b"etc", name: b"f" };
        let mut content = Content { source: &mut content, size, sparse: None };
        let attributes = FinalAttributes { owner: None, mode: 0o640, mtime: Timestamp::known(7, 9) };
        finishing.defer(file, Some(&mut content), attributes, path)
    }

    /// Content that comes a byte at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Source for Trickle<'_> {
        fn chunk(&mut self) -> Result<&[u8], Error> {
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
    fn every_deferred_file_is_finished_by_whichever_thread() {
        let place = tempfile::tempdir().unwrap();
        let finishing = DeferredFiles::new();
        let path = |number: usize| place.path().join(number.to_string());
        std::thread::scope(|scope| {
            for _ in 0..=HELPERS {
                scope.spawn(|| (0..1_000).filter(|_| finishing.run_one()).count());
            }
            for number in 0..5 * WAITING {
                let file = open(&path(number), OFlags::CREATE | OFlags::WRONLY);
                let content = content_of(number);
                match number % 7 {
                    0 => defer(&finishing, file, Trickle(&content), content.len() as u64).unwrap(),
                    _ => defer(&finishing, file, &content[..], content.len() as u64).unwrap(),
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
        let finishing = DeferredFiles::new();
        for number in 0..2 * WAITING {
            let file = open(&place.path().join(number.to_string()), OFlags::CREATE | OFlags::WRONLY);
            defer(&finishing, file, &[7; 40 << 10][..], 40 << 10).unwrap();
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
            let finishing = DeferredFiles::new();
            let file = open(&place.path().join("f"), OFlags::PATH);
            defer(&finishing, file, content, content.len() as u64).unwrap();
            assert!(finishing.run_one());
            let error = finishing.error().unwrap_err();
            assert!(error.to_string().starts_with(&format!(r#"{call}("etc/f")"#)), "{error}");
            let again = finishing.finish_all().unwrap_err();
            assert_eq!(again.misuse(), Some(&Misuse::Poisoned), "going on is no way out");
        }
    }
}
