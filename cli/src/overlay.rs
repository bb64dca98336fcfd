//! `layercage overlay`: an image as layers of overlayfs, in a store.

#![expect(clippy::disallowed_methods, reason = "the user who types a path has the authority over it")]

use crate::arguments::Overlay;
use crate::image::select_image;
use crate::json::members;
use crate::opened::{Opened, has_name};
use crate::progress::Watcher;
use crate::report::{self, Done, Output};
use crate::sandbox::SandboxChoice;
use crate::signals::{Ignored, Signals};
use crate::tell::{self, Failure, Left, shown};
use crate::used_store::{STORES, UsedStore};
use cap_std::fs::Dir;
use layercage::Scratch;
use layercage::error::Misuse;
use layercage::overlay::{OverlayFormat, OverlayImage, OverlayNamespace, OverlayStore};
use layercage::sandbox::Sandbox;
use layercage::{Digest, Unpacker};
use serde_json::{Value, json};
use std::error::Error as _;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Unpacks an image to a store and prints the options of the mount, or removes the image.
pub(crate) fn run(overlay: &Overlay, sandbox: SandboxChoice, json: bool) -> Result<(), Failure> {
    // A wrong name leaves no empty store.
    let named = Named::find(overlay)?;
    let open = if overlay.remove { UsedStore::open } else { UsedStore::open_or_make };
    let used = open(&overlay.store)?;
    let result = run_in_store(overlay, named, &used, sandbox, json);
    result.map_err(|failure| used.remove_after(failure, &overlay.store))
}

/// What IMAGE names.
enum Named {
    /// An image of the store, to be removed.
    Digest(Digest),
    Image(Opened),
}

impl Named {
    fn find(overlay: &Overlay) -> Result<Self, Failure> {
        let image = &overlay.source.image;
        match image.to_str().and_then(|text| text.parse().ok()).filter(|_| overlay.remove) {
            Some(digest) => Ok(Self::Digest(digest)),
            None => Opened::find(image).map(Self::Image),
        }
    }
}

fn run_in_store(
    overlay: &Overlay,
    named: Named,
    used: &UsedStore,
    sandbox: SandboxChoice,
    json: bool,
) -> Result<(), Failure> {
    let source = &overlay.source;
    let directory = &used.directory;
    check_is_store(directory, &overlay.store)?;
    // Known before the sandbox, in which the path means nothing.
    let path = std::fs::canonicalize(&overlay.store).map_err(|error| Failure::open(&overlay.store, error))?;
    let mut store = open_store(overlay, used)?;
    let policy = source.working.policy(&source.judging).map_err(Failure::usage)?;
    let layers = used.layers();
    let around = Sandbox::for_overlay(&policy, store.format()).write(directory);
    let mut around = layers.iter().fold(around, Sandbox::write);
    if let Some(parent) = used.parent() {
        around = around.remove_directories(parent);
    }
    let opened = match named {
        Named::Image(opened) => opened,
        Named::Digest(digest) => {
            sandbox.enter(around)?;
            return remove(&mut store, &digest, overlay, json);
        }
    };
    let nothing = || Left::Nothing(overlay.store.clone());
    let scratch = Scratch::beneath(directory).map_err(|error| Failure::refused(error, nothing()))?;
    let (ignored, limits) = (Ignored::find_out(), source.judging.limits());
    let (sandboxed, selected) = select_image(source, opened, sandbox, around, scratch)?;
    let selected = selected.map_err(|error| Failure::refused(error, nothing()))?;
    if overlay.remove {
        return remove(&mut store, &OverlayStore::digest_of(&selected), overlay, json);
    }
    let signals = Signals::catch(ignored).map_err(Failure::signals)?;
    let unpacker = Unpacker::new(policy).with_limits(limits).with_jobs(source.working.jobs());
    let session = unpacker.session().with_progress(Watcher::new(&signals, json));
    let unpacked = session.unpack_overlay(&selected, &store);
    let left = Left::Layers(overlay.store.clone());
    let unpacked = unpacked.map_err(|error| Failure::ended(error, left, &signals))?;
    let done = Done { report: unpacked.report().clone(), sandboxed, image: Some(selected) };
    print(&done, &unpacked, &path, json)
        .map_err(|error| Failure::report(format!("the layers are in {}", shown(&overlay.store)), error))?;
    if json { Ok(()) } else { check_mountable(&unpacked, &overlay.store) }
}

/// Opens the store, in the format that the options say.
fn open_store(overlay: &Overlay, used: &UsedStore) -> Result<OverlayStore, Failure> {
    let left = || if overlay.remove { Left::NotAsked } else { Left::Nothing(overlay.store.clone()) };
    let code = |error: &layercage::Error| error.source()?.downcast_ref::<io::Error>()?.raw_os_error();
    let failed = |error: layercage::Error| match code(&error) {
        Some(code) => Failure::open(&overlay.store, io::Error::from_raw_os_error(code))
            .with_help("STORE must be readable and writable for you".to_owned()),
        None => Failure::refused(error, left()),
    };
    let store = OverlayStore::open(&used.directory).map_err(failed)?.with_name(&overlay.store);
    if overlay.remove {
        return Ok(store);
    }
    let store = store.held().map_err(failed)?;
    used.unlock(&overlay.store)?;
    let (possible, wanted) = (store.format(), overlay.format(store.format()));
    store.with_format(wanted).map_err(|error| match error.misuse() {
        Some(Misuse::FormatNotPermitted { .. }) => {
            let help = match (wanted.namespace, possible.namespace) {
                (OverlayNamespace::Trusted, OverlayNamespace::User) => {
                    "use `--xattr-namespace user`, for mounts with `userxattr`"
                }
                _ => "use `--whiteouts xattr`, which Linux 6.7 understands",
            };
            Failure::usage(error.to_string()).with_help(help.to_owned())
        }
        _ => failed(error),
    })
}

/// A directory with something else in it becomes no store.
fn check_is_store(directory: &Dir, store: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::open(store, error);
    let is_part = |name: &OsStr| name == "layers" || name == "images";
    // A new file system has `lost+found`, and another run may be at the beginning.
    let is_other = |name: &OsStr| name != "lost+found" && !layercage::is_reserved_name(name);
    if has_name(directory, is_part).map_err(failed)? || !has_name(directory, is_other).map_err(failed)? {
        return Ok(());
    }
    let message = format!("{} exists already: a directory that is not empty, and no store", shown(store));
    Err(Failure::usage(message).with_help(STORES.to_owned()))
}

/// A script must not mount without options.
fn check_mountable(unpacked: &OverlayImage, store: &Path) -> Result<(), Failure> {
    if unpacked.mount_options("").is_some() {
        return Ok(());
    }
    if unpacked.layers().is_empty() {
        return Err(Failure::usage("the image has no layers, so there is nothing to mount".to_owned()));
    }
    let message = format!(
        "the layers are in {}, but mount options for {} layers are longer than the page that the kernel reads",
        shown(store),
        unpacked.layers().len()
    );
    let help = "give each layer a short name by a symbolic link, and mount these names: `--json` lists the layers, the top \
                one first, and the README has the lines";
    Err(Failure::usage(message).with_help(help.to_owned()))
}

fn remove(store: &mut OverlayStore, image: &Digest, overlay: &Overlay, json: bool) -> Result<(), Failure> {
    let removed = store.remove(image).map_err(|error| Failure::refused(error, Left::NotAsked))?;
    let Some(layers) = removed else {
        return Err(Failure::usage(format!("{} has no image {image}", shown(&overlay.store))));
    };
    let mut output = Output::new(json);
    if json {
        output.line(|| json!({"type": "removed", "image": image.to_string(), "layers": layers}), String::new);
    }
    output.finish().map_err(|error| Failure::report(format!("{image} is removed"), error))
}

/// Prints the options of the mount, and the notes or the report.
fn print(done: &Done, unpacked: &OverlayImage, store: &Path, json: bool) -> io::Result<()> {
    // What a terminal could take for a command is not printed, and what is no text cannot be JSON.
    let is_text = |store: &&Path| store.to_str().is_some_and(|text| !text.chars().any(char::is_control));
    let absolute = Some(store).filter(is_text).and_then(|store| unpacked.mount_options(store));
    let relative = || unpacked.mount_options("");
    let (options, is_relative) = match absolute {
        Some(options) => (Some(options), false),
        None => (relative(), true),
    };
    let options = options.and_then(|options| options.into_string().ok());
    let mut output = Output::new(json);
    if json || options.is_some() {
        output.line(
            || object(done, unpacked, store, options.as_deref(), is_relative),
            || options.clone().unwrap_or_default(),
        );
    }
    if !json {
        tell::notes(&done.report);
        if options.is_some() && is_relative {
            tell::say(&format_args!(
                "layercage: note: the options are relative, because absolute ones would be too long, or have characters \
                 that separate options or are not text: mount in {}",
                shown(store)
            ));
        }
    }
    output.finish()
}

fn object(done: &Done, unpacked: &OverlayImage, store: &Path, options: Option<&str>, is_relative: bool) -> Value {
    let mut object = report::object(done);
    let path = |relative: &str| {
        let path: PathBuf = [store, Path::new(relative)].iter().collect();
        members("lowerdir", path.as_os_str().as_bytes())
    };
    let layers = unpacked.layers().iter().map(|layer| {
        let mut object = path(layer.path());
        object.insert("chain_id".to_owned(), json!(layer.chain_id()));
        object.insert("reused".to_owned(), json!(layer.was_there()));
        Value::Object(object)
    });
    let OverlayFormat { whiteouts, namespace } = unpacked.format();
    let overlay = json!({
        "type": "overlay",
        "layers": layers.collect::<Vec<_>>(),
        "options": options,
        "relative": is_relative,
        "whiteouts": whiteouts.name(),
        "xattr_namespace": namespace.name(),
    });
    if let Value::Object(members) = &mut object {
        members.insert("overlay".to_owned(), overlay);
    }
    object
}
