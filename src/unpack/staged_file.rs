//! A file that becomes visible in one step.

use crate::cage::FileStage;
use crate::words::{Durability, Error};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// A file that is written in a staging directory, and gets its name on [`StagedFile::commit`]. If it is dropped before, it
/// leaves nothing behind.
///
/// The name must be free, or that of a regular file. That file is replaced by the new one in one step, and stays as it is
/// if anything fails before.
///
/// ```no_run
/// # fn export(selected: &layercage::Selected) -> Result<(), Box<dyn std::error::Error>> {
/// use cap_std::{ambient_authority, fs::Dir};
/// use layercage::Policy;
/// use layercage::sink::StagedFile;
///
/// let parent = Dir::open_ambient_dir(".", ambient_authority())?;
/// let mut file = StagedFile::beside(&parent, "rootfs.tar")?;
/// selected.export_tar(&mut file, &Policy::default())?;
/// file.commit()?; // visible only now
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct StagedFile {
    stage: FileStage,
    durability: Durability,
}

impl StagedFile {
    /// Creates a file that will be called `name` in `parent`. Leftovers of killed runs are removed first. `parent` is a
    /// `cap_std::fs::Dir`, or any other handle of an open directory.
    ///
    /// The mode of the file is 0666 less the umask of the process.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotRegularFile`](crate::error::Misuse::NotRegularFile) if the name is taken by anything else than a regular
    /// file: a directory or a symbolic link, for instance. [`Misuse::NotAComponent`](crate::error::Misuse::NotAComponent),
    /// [`Misuse::ReservedName`](crate::error::Misuse::ReservedName), and system errors.
    pub fn beside(parent: impl AsFd, name: impl AsRef<OsStr>) -> Result<Self, Error> {
        let stage = FileStage::beside(parent.as_fd(), name.as_ref().as_bytes())?;
        Ok(Self { stage, durability: Durability::default() })
    }

    /// Sets the durability of the file when it takes its name. **[`Durability::Kernel`]** by default.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The file, for writing that is not sequential.
    pub fn file(&self) -> &File {
        self.stage.file()
    }

    /// Gives the file its name.
    ///
    /// # Errors
    ///
    /// [`Misuse::NotRegularFile`](crate::error::Misuse::NotRegularFile) if the name is taken by something else by now. System
    /// errors.
    pub fn commit(self) -> Result<(), Error> {
        self.stage.commit(self.durability)
    }
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stage.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stage.file().flush()
    }
}
