//! The sandbox: Landlock and capabilities restrict a thread to what unpacking needs.
//!
//! It limits the damage of a defect in any other module. Level 1: it knows no archives and changes no tree.

mod capabilities;
mod landlock;

use crate::words::{Devices, Error, OverlayFormat, OverlayNamespace, Owners, Policy, Whiteouts, Xattrs};
pub use crate::words::{Forbidden, SandboxStatus};
use rustix::thread::CapabilitySet;
use std::os::fd::{AsFd, BorrowedFd};

/// Restricts the calling thread, and all threads that it starts later, in the kernel. Use it if the program may
/// restrict the whole process, or a thread that only unpacks.
///
/// With Landlock, files are opened, created, linked, renamed or removed only beneath the given handles. No program is
/// executed, and no connection is made. Privileges that unpacking does not need are dropped. Files that are already
/// open stay usable. Landlock does not control changes of mode, owner, times and extended attributes.
///
/// Threads that already run are not restricted, so call [`Sandbox::enter`] before other threads are started. It cannot
/// be undone.
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
    remove: Vec<BorrowedFd<'h>>,
    capabilities: CapabilitySet,
    nodes: Nodes,
}

/// The device nodes that may be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nodes {
    None,
    /// Character devices: the kernel asks for a privilege to create any other than a whiteout.
    Whiteouts,
    All,
}

impl<'h> Sandbox<'h> {
    /// A sandbox in which layers can be unpacked under this policy, as far as the caller has the privileges for it.
    ///
    /// These privileges are kept: to change owners, to work in directories of any mode, to change files of other
    /// owners, to keep setgid bits, and to set file capabilities. The privileges to create devices and to set
    /// attributes of storage drivers are kept if the policy needs them.
    pub fn for_policy(policy: &Policy) -> Self {
        let devices = policy.devices() == Devices::Create;
        let mut kept = CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER | CapabilitySet::FSETID;
        kept.set(CapabilitySet::CHOWN, !matches!(policy.owners(), Owners::Caller | Owners::Record));
        kept.set(CapabilitySet::SETFCAP, policy.xattrs() != Xattrs::None);
        kept.set(CapabilitySet::MKNOD, devices);
        // `trusted.*` takes it, and `security.*` that no security module looks after.
        kept.set(CapabilitySet::SYS_ADMIN, policy.xattrs() == Xattrs::All || policy.selinux_label().is_some());
        let nodes = if devices { Nodes::All } else { Nodes::None };
        Self { read: Vec::new(), write: Vec::new(), remove: Vec::new(), capabilities: kept, nodes }
    }

    /// A sandbox in which layers of overlayfs can be made under this policy: as [`Sandbox::for_policy`], and with what the
    /// whiteouts and attributes of this format need. Attributes in the namespace `trusted` need `CAP_SYS_ADMIN`.
    pub fn for_overlay(policy: &Policy, format: OverlayFormat) -> Self {
        let mut sandbox = Self::for_policy(policy);
        if format.whiteouts == Whiteouts::Device && sandbox.nodes == Nodes::None {
            sandbox.nodes = Nodes::Whiteouts;
        }
        if format.namespace == OverlayNamespace::Trusted {
            sandbox.capabilities |= CapabilitySet::SYS_ADMIN;
        }
        sandbox
    }

    /// A sandbox in which files can only be read. Only the privileges to read files of other owners are kept.
    pub fn for_reading() -> Self {
        let kept = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        Self { read: Vec::new(), write: Vec::new(), remove: Vec::new(), capabilities: kept, nodes: Nodes::None }
    }

    /// Allows opening a file, or all files beneath a directory, for reading.
    pub fn read<H: AsFd>(mut self, handle: &'h H) -> Self {
        self.read.push(handle.as_fd());
        self
    }

    /// Allows reading and changing all files beneath a directory.
    pub fn write<H: AsFd>(mut self, directory: &'h H) -> Self {
        self.write.push(directory.as_fd());
        self
    }

    /// Allows removing empty directories beneath a directory, and nothing else there.
    pub fn remove_directories<H: AsFd>(mut self, directory: &'h H) -> Self {
        self.remove.push(directory.as_fd());
        self
    }

    /// Restricts the calling thread as far as the kernel supports it. Returns the restrictions that are in force.
    ///
    /// # Errors
    ///
    /// A system error. Some of the restrictions may then be in force.
    pub fn enter(self) -> Result<SandboxStatus, Error> {
        capabilities::forbid_new()?;
        let nodes = match self.nodes {
            Nodes::None => landlock::none(),
            Nodes::Whiteouts => landlock::characters(),
            Nodes::All => landlock::devices(),
        };
        let forbidden = landlock::restrict(&self.read, &self.write, &self.remove, nodes)?;
        let capabilities = capabilities::keep(self.capabilities)?;
        Ok(SandboxStatus { forbidden, capabilities })
    }
}
