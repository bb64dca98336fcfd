//! The policy file of a running program: read at its start, and again at each SIGHUP.

use super::Policies;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The path of the policy file, and whether the program may start without it.
#[derive(Debug, Clone)]
pub(crate) struct PolicyFile {
    path: PathBuf,
    may_be_missing: bool,
}

impl PolicyFile {
    /// A file that the caller of the program named.
    pub(crate) fn stated(path: PathBuf) -> Self {
        Self { path, may_be_missing: false }
    }

    /// The file at the default path. The program starts without it, too.
    pub(crate) fn optional(path: PathBuf) -> Self {
        Self { path, may_be_missing: true }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file when the program starts. `None`: the file is missing, and the default policy applies.
    ///
    /// # Errors
    ///
    /// A file that is not valid, or that the caller named and is missing; a system error.
    pub(crate) fn at_start(&self) -> Result<Option<Policies>, String> {
        match fs::read_to_string(&self.path) {
            Err(error) if self.may_be_missing && error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => self.parsed(read).map(Some),
        }
    }

    /// Reads the file again. A file that is missing now is an error, even if the program started without one: to remove a
    /// file by mistake, or for a moment, must not replace a strict policy by the default one.
    ///
    /// # Errors
    ///
    /// A file that is missing or not valid; a system error.
    pub(crate) fn again(&self) -> Result<Policies, String> {
        let read = fs::read_to_string(&self.path);
        let is_denied = read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        self.parsed(read).map_err(|why| match is_denied {
            // Landlock allows the directory that was opened at the start, whatever its path leads to now.
            true => {
                format!("{why}: restart the program, which may read only the directory that was there at its start")
            }
            false => why,
        })
    }

    fn parsed(&self, read: io::Result<String>) -> Result<Policies, String> {
        let named = |why: &dyn std::fmt::Display| format!("policy file {}: {why}", self.path.display());
        Policies::parse(&read.map_err(|error| named(&error))?).map_err(|why| named(&why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_file_may_be_missing_only_at_the_start_and_only_at_its_default_path() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("differ.toml");
        let (optional, stated) = (PolicyFile::optional(path.clone()), PolicyFile::stated(path.clone()));
        assert_eq!(optional.at_start(), Ok(None));
        for why in [optional.again().unwrap_err(), stated.again().unwrap_err(), stated.at_start().unwrap_err()] {
            assert!(why.starts_with("policy file /") && why.contains("No such file"), "{why}");
        }
        fs::write(&path, "fifos = \"refuse\"").unwrap();
        let policies = Policies::parse("fifos = \"refuse\"").unwrap();
        assert_eq!((optional.at_start(), optional.again()), (Ok(Some(policies.clone())), Ok(policies)));
        fs::write(&path, "fifo = 1").unwrap();
        assert!(optional.at_start().is_err() && optional.again().is_err());
    }
}
