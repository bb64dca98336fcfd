//! The layers of a store.

use super::lock::FileLock;
use super::record::{MOST, RECORD, Record};
use super::root::{Store, damaged, read};
use crate::cage::failed::At;
use crate::cage::stage::{Contents, DIFF, Stage};
use crate::cage::sys;
use crate::words::{Digest, Durability, Error, Escaped, Misuse, Skippable};
use std::os::fd::{AsFd, OwnedFd};

pub(super) const LAYERS: &[u8] = b"layers";

/// The suffix of the file that is locked while a layer is made.
pub(super) const LOCK: &str = ".lock";

/// Hexadecimal digits of a policy's digest in the name of a layer.
const POLICY_DIGITS: usize = 16;

/// What identifies a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerKey<'a> {
    /// The chain ID: it identifies the layer with all layers below it.
    pub(crate) chain_id: &'a Digest,
    pub(crate) diff_id: &'a Digest,
    pub(crate) policy: &'a Digest,
}

/// A layer of a store.
#[derive(Debug)]
pub(crate) struct StoredLayer {
    pub(crate) diff: OwnedFd,
    /// Its path from the root of the store.
    pub(crate) path: String,
    pub(crate) skipped: Vec<(Box<[u8]>, Skippable)>,
}

/// Whether a layer is in a store.
#[derive(Debug)]
pub(crate) enum Found {
    Layer(StoredLayer),
    /// It is not. This is the name that it gets.
    Missing(String),
}

/// The lock of a layer that is made.
#[derive(Debug)]
pub(crate) struct LayerLock {
    _lock: FileLock,
}

impl Store {
    /// Finds a layer that was made from the same blobs under the same policy.
    ///
    /// The first policy gets the chain ID as the name of its layer. The layers of others have a part of the policy's digest
    /// behind it.
    pub(crate) fn find(&self, key: LayerKey<'_>) -> Result<Found, Error> {
        let directory = self.layers_of(key)?;
        let plain = key.chain_id.hex();
        let digits = key.policy.hex();
        let other = format!("{plain}.{}", digits.get(..POLICY_DIGITS).unwrap_or(&digits));
        for name in [plain, other] {
            let Some(layer) = self.open_existing(directory.as_fd(), name.as_bytes())? else {
                return Ok(Found::Missing(name));
            };
            let record = Record::parse(&read(layer.as_fd(), RECORD, MOST)?)?;
            if record.policy != *key.policy {
                continue;
            }
            let path = path_of(key.chain_id, &name);
            if record.diff_id != *key.diff_id {
                return Err(damaged(path.as_bytes()));
            }
            if record.boot.is_some_and(|boot| boot != self.boot) {
                return Err(Misuse::UnsyncedLayer { name: Escaped::new(path.as_bytes()) }.into());
            }
            let diff = sys::open_directory_handle(layer.as_fd(), DIFF).at(DIFF)?;
            return Ok(Found::Layer(StoredLayer { diff, path, skipped: record.skipped }));
        }
        Err(damaged(path_of(key.chain_id, &key.chain_id.hex()).as_bytes()))
    }

    /// Locks a layer that is about to be made; `None` while another run makes it.
    pub(crate) fn try_lock(&self, key: LayerKey<'_>) -> Result<Option<LayerLock>, Error> {
        let name = format!("{}{LOCK}", key.chain_id.hex());
        let lock = FileLock::try_take(self.layers_of(key)?, name.into_bytes())?;
        Ok(lock.map(|lock| LayerLock { _lock: lock }))
    }

    /// Begins a layer of this name. The caller has its lock.
    pub(crate) fn stage(&self, key: LayerKey<'_>, name: &str) -> Result<Stage, Error> {
        Stage::beside(self.layers_of(key)?.as_fd(), name.as_bytes(), Contents::Layer)
    }

    /// Gives a layer its name. Returns its path from the root of the store.
    pub(crate) fn publish(
        &self,
        stage: Stage,
        (key, name): (LayerKey<'_>, &str),
        skipped: Vec<(Box<[u8]>, Skippable)>,
        durability: Durability,
    ) -> Result<String, Error> {
        let boot = (durability == Durability::Kernel).then(|| self.boot.clone());
        let record = Record { diff_id: *key.diff_id, policy: *key.policy, boot, skipped };
        stage.write_beside(RECORD, record.write().as_bytes())?;
        stage.commit(durability)?;
        Ok(path_of(key.chain_id, name))
    }

    /// The directory of layers whose chain IDs have the same algorithm.
    fn layers_of(&self, key: LayerKey<'_>) -> Result<OwnedFd, Error> {
        let layers = self.open_or_make(self.root(), LAYERS)?;
        self.open_or_make(layers.as_fd(), key.chain_id.algorithm().name().as_bytes())
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
