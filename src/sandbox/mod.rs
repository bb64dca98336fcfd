//! The kernel forbids a thread what unpacking does not need (Landlock and capabilities).
//!
//! A defect in any other module then leads nowhere: level 1, which knows no archives and changes no tree.

mod capabilities;
mod landlock;

use crate::words::{Devices, Error, Owners, Policy, Xattrs};
pub use crate::words::{Forbidden, SandboxStatus};
use rustix::thread::CapabilitySet;
use std::os::fd::{AsFd, BorrowedFd};

/// Restricts the calling thread, and all threads that it starts later, in the kernel. For programs that own the process
/// or the thread that unpacks.
///
/// With Landlock nothing is opened, made, linked, renamed or removed but beneath the handles given here, nothing is
/// executed, and no connection is made. Privileges that unpacking does not need are given up. What is open already
/// stays usable; and Landlock does not see changes of mode, owner, times and extended attributes.
///
/// Threads that run already are not restricted: call it before others are started. It cannot be undone.
///
/// ```no_run
/// # use cap_std::{ambient_authority, fs::Dir};
/// # use layercage::{Layer, Policy, Rootfs, Unpacker};
/// # use layercage::sandbox::Sandbox;
/// # let policy = Policy::default();
/// let layer = std::fs::File::open("layer.tar")?;
/// let root = Dir::open_ambient_dir("rootfs", ambient_authority())?;
/// // Before the first byte of the layer is read; its file is open already and needs no permission.
/// let restrictions = Sandbox::for_policy(&policy).write(&root).enter()?;
/// println!("forbidden: {:?}", restrictions.forbidden);
/// Unpacker::new(policy).apply(Layer::new(layer), &mut Rootfs::over(&root)?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is restricted before `enter`"]
pub struct Sandbox<'h> {
    read: Vec<BorrowedFd<'h>>,
    write: Vec<BorrowedFd<'h>>,
    capabilities: CapabilitySet,
    devices: bool,
}

impl<'h> Sandbox<'h> {
    /// A sandbox in which layers can be unpacked under this policy, as far as the caller has the privileges for it.
    ///
    /// What stays of these: to give files away, to work in directories whatever their mode, to change what belongs to
    /// others, to keep setgid bits, to set file capabilities; and to make devices or set the attributes of storage
    /// drivers where `policy` says so.
    pub fn for_policy(policy: &Policy) -> Self {
        let devices = policy.devices() == Devices::Create;
        let mut kept = CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER | CapabilitySet::FSETID;
        kept.set(CapabilitySet::CHOWN, !matches!(policy.owners(), Owners::Caller | Owners::Record));
        kept.set(CapabilitySet::SETFCAP, policy.xattrs() != Xattrs::None);
        kept.set(CapabilitySet::MKNOD, devices);
        // `trusted.*` takes it, and `security.*` that no security module looks after.
        kept.set(CapabilitySet::SYS_ADMIN, policy.xattrs() == Xattrs::All);
        Self { read: Vec::new(), write: Vec::new(), capabilities: kept, devices }
    }

    /// A sandbox in which files can be read. Only the privileges to read what other users may not read stay.
    pub fn for_reading() -> Self {
        let kept = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        Self { read: Vec::new(), write: Vec::new(), capabilities: kept, devices: false }
    }

    /// Lets a file, or what is beneath a directory, be opened for reading.
    pub fn read<H: AsFd>(mut self, handle: &'h H) -> Self {
        self.read.push(handle.as_fd());
        self
    }

    /// Lets everything beneath a directory be read and changed.
    pub fn write<H: AsFd>(mut self, directory: &'h H) -> Self {
        self.write.push(directory.as_fd());
        self
    }

    /// Restricts the calling thread, as far as the kernel can; the answer says how far that is.
    ///
    /// # Errors
    ///
    /// What the system refuses though it could do it; some of the restrictions may be in force then.
    pub fn enter(self) -> Result<SandboxStatus, Error> {
        capabilities::forbid_new()?;
        let forbidden = landlock::restrict(&self.read, &self.write, self.devices)?;
        let capabilities = capabilities::keep(self.capabilities)?;
        Ok(SandboxStatus { forbidden, capabilities })
    }
}
