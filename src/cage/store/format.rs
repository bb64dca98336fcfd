//! The formats of layers that can be made in a store.

use super::root::Store;
use crate::cage::failed::{At, Failed, is_one_of};
use crate::cage::overlay::marks::may_set_trusted;
use crate::cage::stage::{Contents, Stage};
use crate::cage::sys;
use crate::words::{Error, Misuse, OverlayFormat, OverlayNamespace, WHITEOUT_DEVICE, Whiteouts};
use rustix::io::Errno;
use std::os::fd::AsFd;

/// The name of the test for whiteouts. It never appears outside of a staging directory.
const TEST: &[u8] = b"whiteout";

impl Store {
    /// Refuses a format that the caller has no privileges for. Otherwise the first mark of a layer would fail, which may
    /// come late.
    pub(crate) fn check_format(&self, format: OverlayFormat) -> Result<(), Error> {
        let needs = if format.namespace == OverlayNamespace::Trusted && !may_set_trusted(self.root())? {
            "`trusted` attributes, which only root outside of a user namespace may set"
        } else if format.whiteouts == Whiteouts::Device && !self.may_make_devices()? {
            "character devices 0:0, which the kernel does not let the caller create"
        } else {
            return Ok(());
        };
        Err(Misuse::FormatNotPermitted { needs }.into())
    }

    /// Whether the caller may create whiteouts that are devices. Linux asks for a privilege before version 5.8, and a
    /// security module or a sandbox may always do.
    fn may_make_devices(&self) -> Result<bool, Error> {
        let stage = match Stage::beside(self.root(), TEST, Contents::Rootfs) {
            // Nothing is made in a store that is read-only.
            Err(error) if is_one_of(&error, &[Errno::ROFS]) => return Ok(true),
            stage => stage?,
        };
        match sys::create_device(stage.cage()?.root_directory().as_fd(), TEST, WHITEOUT_DEVICE) {
            Err(Failed { errno: Errno::PERM | Errno::ACCESS, .. }) => Ok(false),
            created => created.at(TEST).map(|()| true),
        }
    }
}
