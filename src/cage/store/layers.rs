//! The layers of a store.

use super::in_use::InUse;
use super::lock::FileLock;
use super::record::{MOST, RECORD, Record};
use super::root::{Store, damaged, read};
use crate::cage::failed::At;
use crate::cage::stage::{Contents, DIFF, Stage};
use crate::cage::sys;
use crate::words::{Digest, Durability, Error, Escaped, Misuse, Skippable};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// The suffix of the file that is locked while a layer is made.
pub(super) const LOCK: &str = ".lock";

/// Hexadecimal digits of a policy's digest in the name of a layer.
const POLICY_DIGITS: usize = 16;

/// What identifies a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerKey {
    /// The chain ID: it identifies the layer with all layers below it.
    pub(crate) chain_id: Digest,
    pub(crate) diff_id: Digest,
    pub(crate) policy: Digest,
}

/// A layer of a store.
#[derive(Debug)]
pub(crate) struct StoredLayer {
    pub(crate) diff: OwnedFd,
    /// Its path from the root of the store.
    pub(crate) path: String,
    pub(crate) skipped: Vec<(Box<[u8]>, Skippable)>,
}

/// What a store has of a layer.
#[derive(Debug)]
pub(crate) enum Found<'s> {
    There(StoredLayer),
    /// It is not there, and this run makes it.
    Missing(Box<Claim<'s>>),
    /// It is not there, and another run makes it.
    Busy,
}

/// A layer that is about to be made. Until this is dropped, other runs wait for it.
#[derive(Debug)]
pub(crate) struct Claim<'s> {
    store: &'s Store,
    key: LayerKey,
    /// The name that it gets.
    name: String,
    directory: Arc<OwnedFd>,
    _lock: FileLock,
}

/// A layer in a directory, or the name that it would have there.
enum Named {
    There(StoredLayer),
    Missing(String),
}

impl<'s> InUse<'s> {
    /// Finds a layer that was made from the same blobs under the same policy. If it is not there, this run makes it, unless
    /// another one does so already.
    pub(crate) fn find_or_claim(&self, key: LayerKey) -> Result<Found<'s>, Error> {
        let directory = self.shelf(key.chain_id.algorithm())?;
        if let Named::There(layer) = self.store.find(&directory, key)? {
            return Ok(Found::There(layer));
        }
        let lock = format!("{}{LOCK}", key.chain_id.hex());
        let Some(lock) = FileLock::try_take(Arc::clone(&directory), lock.into_bytes())? else { return Ok(Found::Busy) };
        // The run that had the lock may have made it.
        Ok(match self.store.find(&directory, key)? {
            Named::There(layer) => Found::There(layer),
            Named::Missing(name) => {
                self.tidy(key.chain_id.algorithm());
                Found::Missing(Box::new(Claim { store: self.store, key, name, directory, _lock: lock }))
            }
        })
    }
}

impl Store {
    /// The first policy gets the chain ID as the name of its layer. The layers of others have a part of the policy's digest
    /// behind it.
    fn find(&self, directory: &OwnedFd, key: LayerKey) -> Result<Named, Error> {
        let plain = key.chain_id.hex();
        let digits = key.policy.hex();
        let other = format!("{plain}.{}", digits.get(..POLICY_DIGITS).unwrap_or(&digits));
        for name in [plain, other] {
            let Some(layer) = self.open_existing(directory.as_fd(), name.as_bytes())? else {
                return Ok(Named::Missing(name));
            };
            let record = Record::parse(&read(layer.as_fd(), RECORD, MOST)?)?;
            if record.policy != key.policy {
                continue;
            }
            let path = path_of(&key.chain_id, &name);
            if record.diff_id != key.diff_id {
                return Err(damaged(path.as_bytes()));
            }
            if record.boot.is_some_and(|boot| boot != self.boot) {
                return Err(Misuse::UnsyncedLayer { name: Escaped::new(path.as_bytes()) }.into());
            }
            let diff = sys::open_directory_handle(layer.as_fd(), DIFF).at(DIFF)?;
            return Ok(Named::There(StoredLayer { diff, path, skipped: record.skipped }));
        }
        Err(damaged(path_of(&key.chain_id, &key.chain_id.hex()).as_bytes()))
    }
}

impl Claim<'_> {
    /// Begins the layer.
    pub(crate) fn stage(&self) -> Result<Stage, Error> {
        Stage::beside(self.directory.as_fd(), self.name.as_bytes(), Contents::Layer)
    }

    /// Gives the layer its name. Returns its path from the root of the store.
    pub(crate) fn publish(
        self,
        stage: Stage,
        skipped: Vec<(Box<[u8]>, Skippable)>,
        durability: Durability,
    ) -> Result<String, Error> {
        let boot = (durability == Durability::Kernel).then(|| self.store.boot.clone());
        let record = Record { diff_id: self.key.diff_id, policy: self.key.policy, boot, skipped };
        stage.write_beside(RECORD, record.write().as_bytes())?;
        stage.commit(durability)?;
        Ok(path_of(&self.key.chain_id, &self.name))
    }

    pub(crate) fn key(&self) -> LayerKey {
        self.key
    }

    /// The directory that the layer gets its name in, for temporary files.
    pub(crate) fn directory(&self) -> &Arc<OwnedFd> {
        &self.directory
    }
}

/// The path of a layer from the root of its store.
fn path_of(chain_id: &Digest, name: &str) -> String {
    format!("layers/{}/{name}/diff", chain_id.algorithm())
}

/// The directory and the name of a layer, from its path; `None` if it is not one of a layer.
pub(super) fn parse_path(path: &str) -> Option<(&str, &str)> {
    let (algorithm, name) = path.strip_prefix("layers/")?.strip_suffix("/diff")?.split_once('/')?;
    is_layer(algorithm, name).then_some((algorithm, name))
}

/// Whether a name is that of a layer.
pub(super) fn is_layer(algorithm: &str, name: &str) -> bool {
    let (chain_id, policy) = name.split_once('.').map_or((name, None), |(chain_id, policy)| (chain_id, Some(policy)));
    let is_policy = |policy: &str| {
        policy.len() == POLICY_DIGITS && policy.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    format!("{algorithm}:{chain_id}").parse::<Digest>().is_ok() && policy.is_none_or(is_policy)
}
