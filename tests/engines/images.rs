//! buildah, podman and skopeo: every form in which they save an image, against the tree that they mount.

use crate::tree::{self, Listing};
use crate::{Known, child, complaints, have, needs_root, run, script, skip, unpacked};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the tree that an engine mounts is not the image that it saves.
const LOSSES: &[Known] = &[
    ("overlay vfs", ".", "mode", "no layer lists the root: an engine has 0555 for it, layercage 0755"),
    (
        "overlay vfs",
        ".",
        "mtime",
        "no layer lists the root: an engine has the time of its own work, layercage the epoch",
    ),
    ("overlay vfs", "opt/before-1970", "mtime", "containers/storage sets times before 1970 to 1970"),
    (
        "overlay vfs",
        "opt/after-2262",
        "mtime",
        "containers/storage sets times that 64 bits of nanoseconds lack to 1970",
    ),
    (
        "vfs",
        "opt/dangling",
        "hardlink",
        "the driver copies the lower layer, and hard links of symbolic links become two",
    ),
    ("vfs", "opt/dangling-too", "hardlink", "as opt/dangling"),
];

/// The layers, from the bottom; each is a script that changes the mounted tree.
pub(crate) const LAYERS: [&str; 3] = ["1-base.sh", "2-changes.sh", "3-back.sh"];

/// How containers/storage keeps layers: the same image comes out of it as different tars. `overlay` saves opaque
/// directories and character devices 0:0 as whiteouts, `vfs` compares whole trees.
const DRIVERS: [&str; 2] = ["overlay", "vfs"];

/// The forms: a name, the program, its arguments behind the options of the store. `IMAGE` is the image in the store,
/// `OCI` the layout of the first row, `TO` the place for this form.
const FORMS: &[(&str, &str, &str)] = &[
    ("buildah-oci", "buildah", "push -q IMAGE oci:TO:form"),
    ("buildah-oci-archive", "buildah", "push -q IMAGE oci-archive:TO:form"),
    ("buildah-docker-archive", "buildah", "push -q IMAGE docker-archive:TO:localhost/form:form"),
    ("buildah-dir", "buildah", "push -q IMAGE dir:TO"),
    ("buildah-v2s2", "buildah", "push -q --format v2s2 IMAGE dir:TO"),
    ("buildah-zstd", "buildah", "push -q --compression-format zstd IMAGE oci:TO:form"),
    ("podman-oci-archive", "podman", "save -q --format oci-archive -o TO IMAGE"),
    ("podman-docker-archive", "podman", "save -q --format docker-archive -o TO IMAGE"),
    ("podman-docker-archive-uncompressed", "podman", "save -q --uncompressed --format docker-archive -o TO IMAGE"),
    ("podman-oci-dir", "podman", "save -q --format oci-dir -o TO IMAGE"),
    ("podman-docker-dir", "podman", "save -q --format docker-dir -o TO IMAGE"),
    ("podman-docker-dir-compressed", "podman", "save -q --compress --format docker-dir -o TO IMAGE"),
    ("podman-push-zstd-chunked", "podman", "push -q --compression-format zstd:chunked IMAGE oci:TO:form"),
    ("skopeo-store", "skopeo", "copy -q containers-storage:STOREIMAGE oci:TO:form"),
    ("skopeo-gzip", "skopeo", "copy -q --dest-compress-format gzip oci:OCI:form oci:TO:form"),
    ("skopeo-gzip-9", "skopeo", "copy -q --dest-compress-format gzip --dest-compress-level 9 oci:OCI:form oci:TO:form"),
    ("skopeo-zstd", "skopeo", "copy -q --dest-compress-format zstd oci:OCI:form oci:TO:form"),
    ("skopeo-archive-zstd", "skopeo", "copy -q --dest-compress-format zstd oci:OCI:form oci-archive:TO:form"),
    ("skopeo-oci-archive", "skopeo", "copy -q oci:OCI:form oci-archive:TO:form"),
    ("skopeo-docker-archive", "skopeo", "copy -q oci:OCI:form docker-archive:TO:localhost/form:form"),
    ("skopeo-dir", "skopeo", "copy -q oci:OCI:form dir:TO"),
    ("skopeo-dir-gzip", "skopeo", "copy -q --dest-compress oci:OCI:form dir:TO"),
    ("skopeo-dir-zstd", "skopeo", "copy -q --dest-compress --dest-compress-format zstd oci:OCI:form dir:TO"),
    ("skopeo-dir-plain", "skopeo", "copy -q --dest-decompress oci:OCI:form dir:TO"),
    ("skopeo-v2s2", "skopeo", "copy -q --format v2s2 oci:OCI:form dir:TO"),
    ("skopeo-all", "skopeo", "copy -q --all --preserve-digests oci:OCI:form oci:TO:form"),
];

/// A store of its own, apart from the machine's.
struct Store {
    options: Vec<String>,
    transport: String,
}

impl Store {
    fn new(place: &Path, driver: &str) -> Self {
        let [root, runroot] = ["store", "run"].map(|name| place.join(name).display().to_string());
        let transport = format!("[{driver}@{root}+{runroot}]");
        let options = ["--root", &root, "--runroot", &runroot, "--storage-driver", driver].map(String::from);
        Self { options: options.to_vec(), transport }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        match program {
            "skopeo" => command.arg("--insecure-policy"),
            _ => command.args(&self.options),
        };
        command
    }

    fn buildah(&self, arguments: &[&str]) -> String {
        run(self.command("buildah").args(arguments))
    }

    /// Builds the image, a layer for each script, and returns its name.
    fn build(&self) -> &'static str {
        let mut container = self.buildah(&["from", "scratch"]);
        for layer in LAYERS {
            script(layer, Path::new(&self.buildah(&["mount", &container])));
            self.buildah(&["commit", "-q", &container, IMAGE]);
            self.buildah(&["rm", &container]);
            container = self.buildah(&["from", "--pull-never", IMAGE]);
        }
        self.buildah(&["rm", &container]);
        IMAGE
    }

    /// The tree of an image as containers see it.
    fn mounted(&self, image: &str) -> Listing {
        let container = self.buildah(&["from", "--pull-never", image]);
        let listing = tree::list(Path::new(&self.buildah(&["mount", &container])));
        self.buildah(&["rm", &container]);
        listing
    }
}

const IMAGE: &str = "localhost/awkward:form";

#[test]
fn every_form_that_an_engine_saves_is_what_it_mounts() {
    if needs_root("mounting engines' images (without: the forms of tests/it/forms.rs)")
        && have(&["buildah", "podman", "skopeo", "setfattr", "unshare"])
    {
        // Its mounts go away with the namespace.
        match child::mounting("images::inside", &[]) {
            Some(command) => child::expect_success(command),
            None => skip("engines, which need a mount namespace"),
        }
    }
}

#[test]
#[ignore = "every_form_that_an_engine_saves_is_what_it_mounts runs it where mounts are its own"]
fn inside() {
    // What several forms have in common is said once.
    let mut wrong = BTreeMap::<String, Vec<&str>>::new();
    for driver in DRIVERS {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(place.path(), driver);
        let image = store.build();
        let expected = store.mounted(image);
        for (name, program, arguments) in FORMS {
            let to = save(&store, place.path(), name, program, arguments);
            let lines = match unpacked(&to, None, place.path()) {
                Ok((got, _)) => complaints(driver, &expected, &got, LOSSES),
                Err(error) => vec![format!("{driver}: {error}")],
            };
            for line in lines {
                wrong.entry(line).or_default().push(*name);
            }
        }
        assert!(
            expected.len() > 60,
            "the image lost its content: {:?}",
            expected.keys().map(|name| tree::escape(name))
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn save(store: &Store, place: &Path, name: &str, program: &str, arguments: &str) -> PathBuf {
    let (to, layout) = (place.join(name), place.join(FORMS[0].0));
    let mut command = store.command(program);
    for argument in arguments.split(' ') {
        let argument = argument.replace("STORE", &store.transport).replace("IMAGE", IMAGE);
        let argument = argument.replace("OCI", &layout.display().to_string());
        command.arg(argument.replace("TO", &to.display().to_string()));
    }
    run(&mut command);
    to
}
