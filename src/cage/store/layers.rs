//! The layers of a store.

use super::in_use::InUse;
use super::lock::FileLock;
use super::record::{MOST, RECORD, Record};
use super::root::{Store, damaged, read, replace};
use crate::cage::failed::At;
use crate::cage::stage::{self, Contents, DIFF, Stage};
use crate::cage::sys;
use crate::words::{Digest, Durability, Error, Skippable};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// The suffix of the file that is locked while a layer is made.
pub(super) const LOCK: &str = ".lock";

/// Hexadecimal digits of a policy's digest in a name.
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

/// What a directory has of a layer.
enum Named {
    There(StoredLayer),
    /// It is there, but not on the disk, where it must be.
    Unsynced(OwnedFd, Record),
    /// It was not on the disk when the machine was started again. It may be incomplete.
    Stale(String),
    /// It is not there. This name is free.
    Missing(String),
}

impl<'s> InUse<'s> {
    /// Finds a layer that was made from the same blobs under the same policy. If it is not there, this run makes it, unless
    /// another one does so already. A layer that must be on the disk is written there.
    pub(crate) fn find_or_claim(&self, key: LayerKey, durability: Durability) -> Result<Found<'s>, Error> {
        self.find_or_lock(key, durability).map_err(|error| self.store.located(error))
    }

    fn find_or_lock(&self, key: LayerKey, durability: Durability) -> Result<Found<'s>, Error> {
        let directory = self.shelf(key.chain_id.algorithm())?;
        if let Named::There(layer) = self.store.find(&directory, key, durability)? {
            return Ok(Found::There(layer));
        }
        let lock = format!("{}{LOCK}", key.chain_id.hex());
        let Some(lock) = FileLock::try_take(Arc::clone(&directory), lock.into_bytes())? else { return Ok(Found::Busy) };
        // The run that had the lock may have made it.
        let mut named = self.store.find(&directory, key, durability)?;
        if let Named::Unsynced(layer, record) = named {
            let record = Record { boot: None, ..record };
            replace(layer.as_fd(), (RECORD, record.write().as_bytes()), durability)?;
            named = self.store.find(&directory, key, durability)?;
        }
        let name = match named {
            Named::There(layer) => return Ok(Found::There(layer)),
            Named::Unsynced(..) => return Err(Error::bug("a layer that was synced is not marked so")),
            Named::Missing(name) => name,
            Named::Stale(name) => {
                // Mounts do not outlive a boot, and no run has used the layer since then. So nothing needs it.
                stage::discard(directory.as_fd(), name.as_bytes())?;
                name
            }
        };
        self.tidy(key.chain_id.algorithm());
        Ok(Found::Missing(Box::new(Claim { store: self.store, key, name, directory, _lock: lock })))
    }
}

impl Store {
    /// The first policy gets the chain ID as the name of its layer. The layers of others have a part of the policy's digest
    /// behind it. They keep that name when the first layer is removed, so both names are looked at.
    fn find(&self, directory: &OwnedFd, key: LayerKey, durability: Durability) -> Result<Named, Error> {
        let plain = key.chain_id.hex();
        let other = format!("{plain}.{}", policy_digits(&key.policy));
        let mut free = None;
        for name in [plain, other] {
            let Some(layer) = self.open_existing(directory.as_fd(), name.as_bytes())? else {
                free.get_or_insert(name);
                continue;
            };
            let record = Record::parse(&read(layer.as_fd(), RECORD, MOST)?)?;
            if record.policy != key.policy {
                continue;
            }
            let path = path_of(&key.chain_id, &name);
            if record.diff_id != key.diff_id {
                return Err(damaged(path.as_bytes()));
            }
            match record.boot.as_deref().map(|boot| self.boot_was(boot)) {
                Some(Boot::Unknown) => continue,
                Some(Boot::Earlier) => return Ok(Named::Stale(name)),
                Some(Boot::This) if durability == Durability::Synced => return Ok(Named::Unsynced(layer, record)),
                Some(Boot::This) | None => (),
            }
            let diff = sys::open_directory_handle(layer.as_fd(), DIFF).at(DIFF)?;
            return Ok(Named::There(StoredLayer { diff, path, skipped: record.skipped }));
        }
        let taken = || damaged(path_of(&key.chain_id, &key.chain_id.hex()).as_bytes());
        free.map(Named::Missing).ok_or_else(taken)
    }

    /// When a boot was.
    fn boot_was(&self, boot: &str) -> Boot {
        match boot == self.boot {
            true => Boot::This,
            // One of the two runs had no `/proc`. The layer may be mounted, and it may be incomplete.
            false if boot.is_empty() || self.boot.is_empty() => Boot::Unknown,
            false => Boot::Earlier,
        }
    }
}

/// The boot in which a layer was made.
enum Boot {
    This,
    Earlier,
    Unknown,
}

impl Claim<'_> {
    /// Begins the layer.
    pub(crate) fn stage(&self) -> Result<Stage, Error> {
        let stage = Stage::beside(self.directory.as_fd(), self.name.as_bytes(), Contents::Layer);
        stage.map_err(|error| self.store.located(error))
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
        let written = stage.write_beside(RECORD, record.write().as_bytes());
        written.and_then(|()| stage.commit(durability)).map_err(|error| self.store.located(error))?;
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

/// The part of a policy's digest that is in names.
pub(super) fn policy_digits(policy: &Digest) -> String {
    policy.hex().chars().take(POLICY_DIGITS).collect()
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
