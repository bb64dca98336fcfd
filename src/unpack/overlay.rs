//! Images as layers of overlayfs, in a store.

use super::layer::Layer;
use super::session::Session;
use super::unpacker::Unpacker;
use crate::cage::{Found, LayerKey, LayerLock, Store, StoredLayer, Use};
use crate::image::{LayerDescriptor, Selected};
use crate::output::OverlayLayers;
use crate::read::Hasher;
use crate::words::{Algorithm, Digest, Error, OverlayFormat, OverlayNamespace, Policy, Position, Report};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// A directory with the layers of images, each of which overlayfs can use as a lower directory.
///
/// Layers are found by their chain IDs: images that share layers share their directories, and a layer that is there is not
/// read again. Several runs may use one store at a time. A layer that one run makes, the others wait for. If a run is
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
    format: OverlayFormat,
}

/// An image in a store.
#[derive(Debug, Clone)]
pub struct OverlayImage {
    layers: Vec<OverlayLayer>,
    format: OverlayFormat,
    report: Report,
}

/// A layer of an image in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayLayer {
    path: String,
    chain_id: Digest,
    was_there: bool,
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

    /// Sets the format of layers that are made. A layer of another format is another layer.
    #[must_use]
    pub fn with_format(self, format: OverlayFormat) -> Self {
        Self { format, ..self }
    }

    /// The format of layers that are made.
    pub fn format(&self) -> OverlayFormat {
        self.format
    }

    /// Removes an image, and the layers that no other image of the store needs. Waits until no other run uses the store.
    /// `image` is the digest of its manifest, or of its configuration if it has no manifest ([`OverlayStore::digest_of`]).
    ///
    /// Returns how many layers were removed; `None` if the image is not in the store. Layers that are mounted must not be
    /// removed: the store does not know about mounts.
    ///
    /// # Errors
    ///
    /// [`Misuse::DamagedStore`](crate::error::Misuse::DamagedStore), before anything is removed; a system error.
    pub fn remove(&self, image: &Digest) -> Result<Option<usize>, Error> {
        let _in_use = wait(|| self.store.try_use(Use::Alone), || Ok(()))?;
        self.store.remove_image(image)
    }

    /// The digest under which a store knows an image.
    pub fn digest_of(image: &Selected) -> Digest {
        *image.manifest().unwrap_or_else(|| image.config()).digest()
    }

    /// The digest of everything that decides what a layer becomes, beside its bytes and those of the layers below it.
    fn policy_digest(&self, policy: &Policy) -> Digest {
        let decides = format!("{VERSION} {policy:?} {:?} {}", self.format, self.store.privileges());
        Hasher::over(Algorithm::Sha256, decides.as_bytes()).finish()
    }
}

impl OverlayImage {
    /// The layers, the top one first, as the mount option `lowerdir` lists them.
    pub fn layers(&self) -> &[OverlayLayer] {
        &self.layers
    }

    /// The format that the layers have.
    pub fn format(&self) -> OverlayFormat {
        self.format
    }

    /// What was tolerated, adjusted or skipped in the layers that were made. Layers that were there are not read again, and
    /// report nothing.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Options for `mount -t overlay`: the lower directories, and `userxattr` if the layers need it. `store` is the path of
    /// the store; if it is empty, paths are relative to the store, in which the mount must then be made.
    ///
    /// `None` if a mount cannot be told so: the path has a character that separates options (`:`, `,`, `\`, `"`, a blank), or
    /// the options are longer than the page that the kernel reads. Relative paths fit for about 48 layers. Beyond that,
    /// Linux 6.5 takes one `lowerdir+` for each layer.
    pub fn mount_options(&self, store: impl AsRef<OsStr>) -> Option<OsString> {
        const PAGE: usize = 4096;
        let store = store.as_ref().as_bytes();
        let separates = |byte: &u8| matches!(byte, b':' | b',' | b'\\' | b'"' | b'\'') || byte.is_ascii_whitespace();
        if store.iter().any(separates) {
            return None;
        }
        let slash = if store.is_empty() || store.ends_with(b"/") { &b""[..] } else { b"/" };
        let lowers: Vec<_> = self.layers.iter().map(|layer| [store, slash, layer.path.as_bytes()].concat()).collect();
        let user = if self.format.namespace == OverlayNamespace::User { &b",userxattr"[..] } else { b"" };
        let options = [b"lowerdir=", &*lowers.join(&b':'), user].concat();
        (options.len() < PAGE).then(|| OsStr::from_bytes(&options).to_owned())
    }
}

impl OverlayLayer {
    /// The path of its directory from the store.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Identifies the layer with all layers below it (image-spec, config.md, "Layer ChainID").
    pub fn chain_id(&self) -> &Digest {
        &self.chain_id
    }

    /// Whether the store had the layer already.
    pub fn was_there(&self) -> bool {
        self.was_there
    }
}

impl Session<'_> {
    /// Unpacks an image as layers of overlayfs. Mounted over each other, they are the root filesystem that
    /// [`Session::unpack`] makes.
    ///
    /// A layer becomes visible in the store when it is verified, and the image when all its layers are there. A failure
    /// leaves the layers before it: they are complete, and the next run finds them.
    ///
    /// # Errors
    ///
    /// The first refusal, with its position; [`Misuse::Cancelled`](crate::error::Misuse::Cancelled);
    /// [`Misuse::DamagedStore`](crate::error::Misuse::DamagedStore);
    /// [`Misuse::UnsyncedLayer`](crate::error::Misuse::UnsyncedLayer); a failure of the system.
    pub fn unpack_overlay(self, image: &Selected, store: &OverlayStore) -> Result<OverlayImage, Error> {
        self.unpack_layers(image, |layer| image.open_layer(layer), store)
    }

    /// Unpacks an image like [`Session::unpack_overlay`], but with readers from the caller: downloads, for instance. `open`
    /// is called on the calling thread, for those layers that the store does not have.
    ///
    /// # Errors
    ///
    /// As for [`Session::unpack_overlay`], and an error of `open`, with the position of its layer.
    pub fn unpack_overlay_from<R: Read + Send>(
        self,
        image: &Selected,
        mut open: impl FnMut(&LayerDescriptor) -> io::Result<R>,
        store: &OverlayStore,
    ) -> Result<OverlayImage, Error> {
        self.unpack_layers(image, |layer| open(layer).map_err(Error::of_opening), store)
    }

    fn unpack_layers<R: Read + Send>(
        mut self,
        image: &Selected,
        mut open: impl FnMut(&LayerDescriptor) -> Result<R, Error>,
        store: &OverlayStore,
    ) -> Result<OverlayImage, Error> {
        self.judge_image(image)?;
        let _in_use = wait(|| store.store.try_use(Use::Shared), || self.check_cancelled())?;
        let policy = store.policy_digest(self.unpacker().policy());
        let mut stack = OverlayLayers::new(store.format);
        let mut layers = Vec::new();
        let mut below: Option<Digest> = None;
        for layer in image.layers() {
            let chain_id = chain_id(below.as_ref(), layer.diff_id());
            let key = LayerKey { chain_id: &chain_id, diff_id: layer.diff_id(), policy: &policy };
            let at = |error: Error| error.at(Position { layer: Some(layer.position()), ..Position::default() });
            let (path, was_there) = match self.find_or_lock(&store.store, key).map_err(at)? {
                Ready::There(StoredLayer { diff, path, skipped }) => {
                    stack.add(diff, skipped);
                    (path, true)
                }
                Ready::Missing(name, _lock) => {
                    let reader = open(layer).map_err(at)?;
                    let path = self.make(&store.store, (key, &name), Layer::described(reader, layer), &mut stack)?;
                    (path, false)
                }
            };
            layers.insert(0, OverlayLayer { path, chain_id, was_there });
            below = Some(chain_id);
        }
        let paths: Vec<_> = layers.iter().map(|layer| layer.path.clone()).collect();
        store.store.add_image(&OverlayStore::digest_of(image), &paths)?;
        Ok(OverlayImage { layers, format: store.format, report: self.into_report() })
    }

    /// Finds a layer, or gets the lock to make it. Waits while another run makes it.
    fn find_or_lock(&self, store: &Store, key: LayerKey<'_>) -> Result<Ready, Error> {
        let find_or_lock = || {
            if let Found::Layer(layer) = store.find(key)? {
                return Ok(Some(Ready::There(layer)));
            }
            let Some(lock) = store.try_lock(key)? else { return Ok(None) };
            // The run that had the lock may have made it.
            Ok(Some(match store.find(key)? {
                Found::Layer(layer) => Ready::There(layer),
                Found::Missing(name) => Ready::Missing(name, lock),
            }))
        };
        wait(find_or_lock, || self.check_cancelled())
    }

    /// Makes a layer. Returns its path from the store.
    fn make<R: Read + Send>(
        &mut self,
        store: &Store,
        (key, name): (LayerKey<'_>, &str),
        layer: Layer<R>,
        stack: &mut OverlayLayers,
    ) -> Result<String, Error> {
        let durability = self.unpacker().policy().durability();
        let stage = store.stage(key, name)?;
        let overlay = stack.next(stage.cage()?)?;
        // What was applied goes with the staging directory.
        let applied = self.apply(layer, overlay).map_err(Error::without_effect)?;
        applied.verified()?;
        overlay.settle()?;
        store.publish(stage, (key, name), overlay.skipped(), durability)
    }
}

/// A layer that is there, or the name and the lock of one that is not.
enum Ready {
    There(StoredLayer),
    Missing(String, LayerLock),
}

/// Tries again and again.
fn wait<T>(
    mut attempt: impl FnMut() -> Result<Option<T>, Error>,
    check: impl Fn() -> Result<(), Error>,
) -> Result<T, Error> {
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        check()?;
        std::thread::sleep(PAUSE);
    }
}

/// Identifies a layer with all layers below it (image-spec, config.md, "Layer ChainID").
fn chain_id(below: Option<&Digest>, diff_id: &Digest) -> Digest {
    match below {
        None => *diff_id,
        Some(below) => Hasher::over(Algorithm::Sha256, format!("{below} {diff_id}").as_bytes()).finish(),
    }
}

impl Unpacker {
    /// Unpacks an image as layers of overlayfs, in a session of its own: see [`Session::unpack_overlay`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn unpack_overlay(&self, image: &Selected, store: &OverlayStore) -> Result<OverlayImage, Error> {
        self.session().unpack_overlay(image, store)
    }
}

impl Selected {
    /// Unpacks the image as layers of overlayfs as [`Session::unpack_overlay`] does, on the calling thread and within the
    /// limits of the image.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn unpack_overlay(&self, store: &OverlayStore, policy: &Policy) -> Result<OverlayImage, Error> {
        Unpacker::new(policy.clone()).with_limits(self.limits().clone()).unpack_overlay(self, store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_id_is_that_of_image_spec() {
        let diff_id = |byte| Digest::Sha256([byte; 32]);
        let first = chain_id(None, &diff_id(1));
        assert_eq!(first, diff_id(1));
        // echo -n 'sha256:0101… sha256:0202…' | sha256sum
        let second = chain_id(Some(&first), &diff_id(2));
        let text = format!("sha256:{} sha256:{}", "01".repeat(32), "02".repeat(32));
        assert_eq!(second, Hasher::over(Algorithm::Sha256, text.as_bytes()).finish());
        assert_eq!(chain_id(Some(&second), &diff_id(3)).algorithm(), Algorithm::Sha256);
    }
}
