//! The store of layers.

use super::image::OverlayLayer;
use crate::cage::{InUse, ListedImage, Store, Use};
use crate::image::Selected;
use crate::read::Hasher;
use crate::words::{Algorithm, Digest, Error, OverlayFormat, Policy};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// A directory with the layers of images, each of which overlayfs can use as a lower directory.
///
/// Layers are found by their chain IDs: images that share layers share their directories, and a layer that is there is not
/// read again. Several runs may use one store at a time. If one run makes a layer, the others wait for it. If a run is
/// killed, another one takes over.
///
/// The store belongs to the caller, and no other user may write to it.
///
/// ```no_run
/// # use cap_std::{ambient_authority, fs::Dir};
/// # use layercage::overlay::OverlayStore;
/// # use layercage::{Image, Policy, Selector};
/// # fn main() -> Result<(), layercage::Error> {
/// # let directory = Dir::open_ambient_dir("store", ambient_authority()).unwrap();
/// let store = OverlayStore::open(&directory)?;
/// let image = Image::open_ambient("app.oci.tar", ambient_authority())?;
/// let unpacked = image.select(&Selector::host())?.unpack_overlay(&store, &Policy::default())?;
/// println!("{:?}", unpacked.mount_options("/var/lib/store"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OverlayStore {
    store: Store,
    pub(super) format: OverlayFormat,
}

/// How long a run waits before it looks again whether another one has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// The version of what a layer becomes. It changes when the same layer under the same policy becomes something else.
const VERSION: u32 = 1;

impl OverlayStore {
    /// Opens the store in a directory, which may be empty. The format is [`OverlayFormat::possible`].
    ///
    /// # Errors
    ///
    /// [`Misuse::SharedStore`](crate::error::Misuse::SharedStore); a system error.
    pub fn open(directory: impl AsFd) -> Result<Self, Error> {
        let store = Store::open(directory.as_fd())?;
        Ok(Self { store, format: OverlayFormat::possible(directory)? })
    }

    /// Sets the format of layers that are made. The same layer in another format is stored separately.
    ///
    /// # Errors
    ///
    /// [`Misuse::FormatNotPermitted`](crate::error::Misuse::FormatNotPermitted) if the caller has no privileges for it; a
    /// system error.
    pub fn with_format(self, format: OverlayFormat) -> Result<Self, Error> {
        if format != self.format {
            self.store.check_format(format)?;
        }
        Ok(Self { format, ..self })
    }

    /// Sets the path of the store that error messages show.
    #[must_use]
    pub fn with_name(mut self, path: impl AsRef<OsStr>) -> Self {
        self.store.set_name(path.as_ref().as_bytes());
        self
    }

    /// Keeps the store in use from now on, until the next image was unpacked to it or this value is dropped: removal in
    /// other runs waits so long. Waits while another run removes something.
    ///
    /// An image may come much later, over the network for instance. With this, no run that ends before takes away an empty
    /// directory in which the layers will be made.
    ///
    /// # Errors
    ///
    /// A system error.
    pub fn held(self) -> Result<Self, Error> {
        while !self.store.try_hold()? {
            pause(|| Ok(()))?;
        }
        Ok(self)
    }

    /// The format of layers that are made.
    pub fn format(&self) -> OverlayFormat {
        self.format
    }

    /// Removes an image, and the layers that no other image of the store needs. Waits until no other run uses the store.
    /// `image` is the digest of its manifest, or of its configuration if it has no manifest ([`OverlayStore::digest_of`]).
    ///
    /// Layers of runs that failed or were killed go, too. Returns how many layers were removed; `None` if the image is not
    /// in the store and no layer was removed. Layers that are mounted must not be removed: the store does not know about
    /// mounts.
    ///
    /// `self` is mutable so that the same thread cannot stage an image in this store meanwhile: it would wait for itself.
    ///
    /// # Errors
    ///
    /// [`Misuse::DamagedStore`](crate::error::Misuse::DamagedStore), before anything is removed; a system error.
    pub fn remove(&mut self, image: &Digest) -> Result<Option<usize>, Error> {
        let _in_use = self.wait(Use::Alone, || Ok(()))?;
        self.store.remove_image(image)
    }

    /// The digest under which a store knows an image.
    pub fn digest_of(image: &Selected) -> Digest {
        *image.manifest().unwrap_or_else(|| image.config()).digest()
    }

    /// Uses the store. Waits until other runs allow it. `check` may end the wait.
    pub(super) fn wait(&self, how: Use, check: impl Fn() -> Result<(), Error>) -> Result<InUse<'_>, Error> {
        loop {
            if let Some(in_use) = self.store.try_use(how)? {
                return Ok(in_use);
            }
            pause(&check)?;
        }
    }

    /// Lists the layers of an image that were found or made under a policy.
    pub(super) fn add(&self, image: &Digest, policy: &Policy, layers: &[OverlayLayer]) -> Result<(), Error> {
        let layers: Vec<_> = layers.iter().map(|layer| layer.path.clone()).collect();
        let listed = ListedImage { digest: image, policy: &self.policy_digest(policy), layers: &layers };
        self.store.add_image(listed, policy.durability())
    }

    /// The digest of everything that decides what a layer becomes, beside its bytes and those of the layers below it.
    pub(super) fn policy_digest(&self, policy: &Policy) -> Digest {
        let decides = format!("{VERSION} {} {:?} {}", policy.effect(), self.format, self.store.privileges());
        Hasher::over(Algorithm::Sha256, decides.as_bytes()).finish()
    }
}

/// Waits for a moment. `check` may end the wait.
pub(super) fn pause(check: impl Fn() -> Result<(), Error>) -> Result<(), Error> {
    check()?;
    std::thread::sleep(PAUSE);
    Ok(())
}
