//! What Landlock forbids.

use crate::words::{Error, Forbidden};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath,
    RestrictionStatus, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::error::Error as _;
use std::io;
use std::os::fd::BorrowedFd;

/// The newest interface with tested restrictions. An older kernel enforces fewer of them, a newer kernel enforces no
/// more.
const NEWEST: ABI = ABI::V7;

/// The kinds of device nodes that may be created.
pub(super) type NodeAccess = BitFlags<AccessFs>;

pub(super) fn none() -> NodeAccess {
    BitFlags::EMPTY
}

pub(super) fn characters() -> NodeAccess {
    AccessFs::MakeChar.into()
}

pub(super) fn devices() -> NodeAccess {
    AccessFs::MakeChar | AccessFs::MakeBlock
}

/// Restricts access to files beneath these handles.
pub(super) fn restrict(
    read: &[BorrowedFd<'_>],
    write: &[BorrowedFd<'_>],
    remove: &[BorrowedFd<'_>],
    nodes: NodeAccess,
) -> Result<Vec<Forbidden>, Error> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut writing = reading | AccessFs::from_write(NEWEST);
    // `ioctl` on devices is forbidden, and so is creating devices, unless the policy creates them.
    writing.remove(AccessFs::IoctlDev);
    writing.remove(AccessFs::MakeChar | AccessFs::MakeBlock);
    writing |= nodes;
    match enforce(&[(read, reading), (write, writing), (remove, AccessFs::RemoveDir.into())]) {
        Ok(status) => Ok(forbidden(&status)),
        Err(error) => Err(Error::system("landlock", b"(restricting this thread)", root_cause(error))),
    }
}

fn enforce(rules: &[(&[BorrowedFd<'_>], BitFlags<AccessFs>)]) -> Result<RestrictionStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        // The first interface forbids all links and renames between directories, so nothing could be unpacked. With it,
        // nothing is enforced.
        .set_compatibility(CompatLevel::SoftRequirement)
        .handle_access(AccessFs::Refer)?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for (handles, access) in rules {
        for handle in *handles {
            ruleset = ruleset.add_rule(PathBeneath::new(handle, *access))?;
        }
    }
    ruleset.restrict_self()
}

fn forbidden(status: &RestrictionStatus) -> Vec<Forbidden> {
    let abi = match status {
        RestrictionStatus { ruleset: RulesetStatus::NotEnforced, .. } => return Vec::new(),
        RestrictionStatus { landlock: LandlockStatus::Available { effective_abi, .. }, .. } => *effective_abi,
        _ => return Vec::new(),
    };
    Forbidden::ALL.iter().copied().filter(|forbidden| abi >= since(*forbidden)).collect()
}

fn since(forbidden: Forbidden) -> ABI {
    match forbidden {
        Forbidden::Files => ABI::V2,
        Forbidden::Truncation => ABI::V3,
        Forbidden::Tcp => ABI::V4,
        Forbidden::DeviceCommands => ABI::V5,
        Forbidden::AbstractSockets | Forbidden::Signals => ABI::V6,
    }
}

/// The answer of the system at the bottom of an error.
fn root_cause(error: RulesetError) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(inner) = cause {
        if let Some(code) = inner.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return io::Error::from_raw_os_error(code);
        }
        cause = inner.source();
    }
    io::Error::other(error)
}
