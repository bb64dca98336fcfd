//! Privileges, and giving them up.

use crate::words::Error;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs,
};

/// Nothing that is executed gets privileges that we do not have.
pub(super) fn forbid_new() -> Result<(), Error> {
    set_no_new_privs(true).map_err(|errno| Error::system("prctl", b"PR_SET_NO_NEW_PRIVS", errno))
}

/// Drops all privileges of this thread except these. Returns the names of the remaining ones.
pub(super) fn keep(kept: CapabilitySet) -> Result<Vec<&'static str>, Error> {
    let had = capabilities(None).map_err(|errno| Error::system("capget", b"(this thread)", errno))?;
    // An upper bound for programs that are executed: none is, so that it is no failure where we may not lower it.
    for capability in CapabilitySet::all().iter().filter(|&one| !kept.contains(one)) {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = clear_ambient_capability_set();
    let permitted = had.permitted & kept;
    let sets = CapabilitySets { effective: had.effective & kept, permitted, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(|errno| Error::system("capset", b"(this thread)", errno))?;
    Ok(NAMES.iter().filter(|(capability, _)| permitted.contains(*capability)).map(|&(_, name)| name).collect())
}

/// Those that are ever kept.
const NAMES: &[(CapabilitySet, &str)] = &[
    (CapabilitySet::CHOWN, "chown"),
    (CapabilitySet::DAC_OVERRIDE, "dac_override"),
    (CapabilitySet::DAC_READ_SEARCH, "dac_read_search"),
    (CapabilitySet::FOWNER, "fowner"),
    (CapabilitySet::FSETID, "fsetid"),
    (CapabilitySet::SYS_ADMIN, "sys_admin"),
    (CapabilitySet::MKNOD, "mknod"),
    (CapabilitySet::SETFCAP, "setfcap"),
];
