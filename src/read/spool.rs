//! Bytes of layers whose turn has not come, in temporary files.

use super::bell::Bell;
use crate::words::{Error, Lock};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A temporary file. Its space is free again when it is dropped.
pub(crate) trait SpoolFile: Send + Sync {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fails if there are fewer bytes.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Frees the space of bytes that were read. Returns whether the file system can do that.
    fn free(&self, offset: u64, bytes: u64) -> bool;
}

/// Creates temporary files; `None` if it is not known where yet.
pub(crate) type CreateSpool = Box<dyn Fn() -> Result<Option<Box<dyn SpoolFile>>, Error> + Send + Sync>;

/// An amount that several layers share.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<AtomicU64>);

impl Budget {
    pub(crate) fn new(amount: u64) -> Self {
        Self(Arc::new(AtomicU64::new(amount)))
    }

    /// Takes an amount, if as much is left. It is returned when the result is dropped.
    pub(crate) fn take(&self, amount: u64) -> Option<Taken> {
        let taken = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(amount));
        taken.ok().map(|_| Taken { budget: self.clone(), amount })
    }
}

/// A part of a [`Budget`].
#[derive(Debug)]
pub(crate) struct Taken {
    budget: Budget,
    amount: u64,
}

impl Taken {
    pub(crate) fn amount(&self) -> u64 {
        self.amount
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.amount, Ordering::AcqRel);
    }
}

/// Where the layers of a session are spooled.
pub(crate) struct Spools {
    create: Option<CreateSpool>,
    budget: Budget,
    /// A file could not be created or written. No further bytes are spooled.
    has_failed: AtomicBool,
    /// Rings when there is space for more.
    bell: Arc<Bell>,
}

impl Spools {
    /// At most `most` bytes are in the files at once.
    pub(crate) fn new(create: Option<CreateSpool>, most: u64, bell: Arc<Bell>) -> Self {
        Self { create, budget: Budget::new(most), has_failed: AtomicBool::new(false), bell }
    }

    /// Creates the file of a layer; `None` if that is not possible, or not yet.
    fn create(&self) -> Option<Arc<OneSpool>> {
        let created = self.create.as_ref()?();
        if created.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        let file = created.ok()??;
        Some(Arc::new(OneSpool { file, unfreed: Lock::default(), bell: Arc::clone(&self.bell) }))
    }
}

/// The temporary file of one layer.
struct OneSpool {
    file: Box<dyn SpoolFile>,
    /// What the file system could not free before the end.
    unfreed: Lock<Vec<Taken>>,
    bell: Arc<Bell>,
}

/// The bytes of one layer that are spooled.
pub(crate) struct Spool {
    spools: Arc<Spools>,
    file: Option<Arc<OneSpool>>,
    /// Where the next bytes go.
    offset: u64,
}

impl Spool {
    pub(crate) fn new(spools: &Arc<Spools>) -> Self {
        Self { spools: Arc::clone(spools), file: None, offset: 0 }
    }

    /// Reserves space for so many bytes; `None` if they cannot be spooled now.
    pub(crate) fn reserve(&mut self, bytes: u64) -> Option<Taken> {
        if self.spools.has_failed.load(Ordering::Relaxed) {
            return None;
        }
        let space = self.spools.budget.take(bytes)?;
        if self.file.is_none() {
            self.file = Some(self.spools.create()?);
        }
        Some(space)
    }

    /// Writes bytes for which there is space; `None` if that fails. A failure is no error of the layer: it is not read
    /// ahead then.
    pub(crate) fn write(&mut self, bytes: &[u8], space: Taken) -> Option<Spooled> {
        let written = self.try_write(bytes, space);
        if written.is_none() {
            self.spools.has_failed.store(true, Ordering::Relaxed);
        }
        written
    }

    fn try_write(&mut self, bytes: &[u8], space: Taken) -> Option<Spooled> {
        let file = self.file.as_ref()?;
        file.file.write_at(bytes, self.offset).ok()?;
        let spooled = Spooled { file: Arc::clone(file), offset: self.offset, bytes: bytes.len(), space: Some(space) };
        // Whole blocks can be freed.
        self.offset += spooled.space();
        Some(spooled)
    }
}

/// Bytes in a temporary file. Their space is freed when this is dropped.
pub(crate) struct Spooled {
    file: Arc<OneSpool>,
    offset: u64,
    bytes: usize,
    space: Option<Taken>,
}

impl Spooled {
    /// Reads the bytes back.
    pub(crate) fn read(&self, buffer: &mut Vec<u8>) -> Result<(), Error> {
        // The old bytes stay until they are overwritten: only what the buffer grows by is cleared.
        buffer.try_reserve(self.bytes.saturating_sub(buffer.len())).map_err(|_| Error::out_of_memory("a buffer"))?;
        buffer.resize(self.bytes, 0);
        let read = self.file.file.read_at(buffer, self.offset);
        read.map_err(|error| Error::system("pread", b"(the temporary copy of the layer)", error))
    }

    fn space(&self) -> u64 {
        self.space.as_ref().map_or(0, Taken::amount)
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        if self.file.file.free(self.offset, self.space()) {
            self.space = None;
            self.file.bell.ring_for_one();
        } else {
            self.file.unfreed.lock().extend(self.space.take());
        }
    }
}
