//! Images that real tools built, compared with the trees that real tools make of them.
//!
//! Runs where `LAYERCAGE_IMAGES` names a directory with `NAME/{gzip,zstd,none}` layouts, and `oci.tar` and `docker.tar` beside
//! them as skopeo writes these, `LAYERCAGE_TREELIST` the
//! script that compares trees field by field, and umoci is installed; as root, since owners and devices are compared.
//! `.ci/run` sees to that; `LAYERCAGE_IMAGES=… LAYERCAGE_TREELIST=… cargo test --test real -- --nocapture` runs it for
//! all images that are there.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../it/skip.rs"]
mod skip;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::audit::{Audit, Finding, Lower, Observer};
use layercage::policy::Devices;
use layercage::{Image, Limits, Policy, Selector};
use skip::skip;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What an image is compared with.
enum Judge {
    /// The tree that umoci makes of it.
    Umoci,
    /// A listing that lies beside it, for umoci is wrong about the image: see [`UMOCI_DIFFERS`].
    Listing(&'static str),
}

const IMAGES: &[(&str, Judge)] = &[
    ("small", Judge::Umoci),
    ("medium", Judge::Umoci),
    ("manyfiles", Judge::Umoci),
    ("mixed", Judge::Listing("TRUTH")),
];

#[test]
fn real_images_give_the_trees_of_real_tools() {
    let Some(setup) = Setup::find() else { return };
    let place = tempfile::tempdir().unwrap();
    let mut compared = 0;
    for (name, judge) in IMAGES {
        let image = setup.images.join(name);
        if !image.join("gzip").is_dir() {
            eprintln!("skipped: there is no image {name}");
            continue;
        }
        let expected = match judge {
            Judge::Listing(file) => image.join(file),
            Judge::Umoci => umoci(&image.join("gzip"), &place.path().join(format!("{name}.umoci"))),
        };
        for form in forms(&image, &place.path().join("made")) {
            let parent = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
            let selected = Image::open_ambient(&form, ambient_authority()).unwrap().select(&Selector::host()).unwrap();
            let policy = Policy::default().with_devices(Devices::Create);
            let report = selected.unpack_into(&parent, "rootfs", &policy).unwrap();
            let rootfs = place.path().join("rootfs");
            let form = form.file_name().unwrap().display();
            println!("{name} {form}: {} entries, {:?}", report.entries, report.counts().collect::<Vec<_>>());
            setup.assert_same(&expected, &rootfs);
            std::fs::remove_dir_all(rootfs).unwrap();
            compared += 1;
        }
        std::fs::remove_dir_all(place.path().join("made")).unwrap();
    }
    assert!(compared > 0, "LAYERCAGE_IMAGES has none of the images");
}

/// What an audit notes of these images; docs/policy.md says why.
const NOTED: &[(&str, &[&str])] = &[
    ("small", &["device-node"]),
    ("medium", &["device-node"]),
    ("manyfiles", &["device-node"]),
    ("mixed", &["device-node", "whiteout-behind-own-link"]),
];

#[derive(Default)]
struct Noted(BTreeSet<&'static str>);

impl Observer for Noted {
    fn finding(&mut self, finding: &Finding) {
        self.0.insert(finding.rule.id());
    }
}

#[test]
fn an_audit_refuses_no_real_image_and_notes_what_is_known() {
    let Some(setup) = Setup::find() else { return };
    let policy = Policy::default().with_devices(Devices::Skip);
    let mut audited = 0;
    for (name, known) in NOTED {
        let forms = ["gzip", "zstd", "none", "oci.tar", "docker.tar"].map(|form| setup.images.join(name).join(form));
        for form in forms.iter().filter(|form| form.exists()) {
            let image = Image::open_ambient(form, ambient_authority()).unwrap();
            let selected = image.select(&Selector::host()).unwrap();
            let mut noted = Noted::default();
            let mut audit = Audit::new(Limits::default()).with_policy(policy.clone()).with_tree(Lower::Nothing);
            audit.image(&selected, &mut noted).unwrap();
            assert!(audit.has_seen_tree() && !audit.is_refused_by(&policy), "{}: {:?}", form.display(), noted.0);
            assert_eq!(noted.0, known.iter().copied().collect(), "{}", form.display());
            println!("{}: {} findings, {:?}", form.display(), audit.findings(), noted.0);
            audited += 1;
        }
    }
    assert!(audited > 0, "LAYERCAGE_IMAGES has none of the images");
}

/// All forms in which an image is there, and those that are made of them: its archive by gzip, and what skopeo calls
/// `dir:`.
fn forms(image: &Path, made: &Path) -> Vec<PathBuf> {
    std::fs::create_dir(made).unwrap();
    let there = ["gzip", "zstd", "none", "oci.tar", "docker.tar"].map(|form| image.join(form));
    let mut forms: Vec<_> = there.into_iter().filter(|form| form.exists()).collect();
    let archive = image.join("oci.tar");
    if archive.exists() {
        let packed = made.join("oci.tar.gz");
        let file = std::fs::File::create(&packed).unwrap();
        let done = Command::new("gzip").arg("-1c").arg(&archive).stdout(file).status().unwrap();
        assert!(done.success());
        forms.push(packed);
    }
    let (from, directory) = (format!("oci:{}:latest", image.join("gzip").display()), made.join("dir"));
    let to = format!("dir:{}", directory.display());
    match Command::new("skopeo").args(["copy", "-q", "--insecure-policy", &from, &to]).output() {
        Ok(done) => {
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            forms.push(directory);
        }
        Err(_) => skip(&format!("there is no skopeo to make a `dir:` of {}", image.display())),
    }
    forms
}

/// The ways in which umoci is wrong about these images: image, path, and the sentence of image-spec
/// that says so. Everything else is equal; a row that stops differing fails.
const UMOCI_DIFFERS: &[(&str, &str, &str)] = &[(
    "mixed",
    "opt/pax",
    // `opt/ustar` becomes a link to `opt/pax` in the layer whose whiteouts lie below `opt/ustar`: umoci follows it
    // and removes what lies below `opt/pax`, in which nobody removed anything.
    "Whiteout files MUST only apply to resources in lower/parent layers (layer.md, Whiteouts)",
)];

#[test]
fn umoci_is_wrong_where_it_is_known_to_be_and_nowhere_else() {
    let Some(setup) = Setup::find() else { return };
    for (name, path, sentence) in UMOCI_DIFFERS {
        let image = setup.images.join(name);
        if !image.join("gzip").is_dir() {
            eprintln!("skipped: there is no image {name}");
            continue;
        }
        let place = tempfile::tempdir().unwrap();
        let tree = umoci(&image.join("gzip"), &place.path().join("umoci"));
        let truth = image.join("TRUTH");
        assert!(!setup.is_same(&truth, &tree, &[]), "umoci is right about {name} now: compare with it; {sentence}");
        assert!(setup.is_same(&truth, &tree, &["-x", path]), "umoci differs elsewhere in {name}, too");
    }
}

struct Setup {
    images: PathBuf,
    treelist: PathBuf,
}

impl Setup {
    fn find() -> Option<Self> {
        let missing = |what: &str| {
            eprintln!("skipped, the comparison with real tools: {what}");
            None
        };
        let (Some(images), Some(treelist)) =
            (std::env::var_os("LAYERCAGE_IMAGES"), std::env::var_os("LAYERCAGE_TREELIST"))
        else {
            return missing("LAYERCAGE_IMAGES or LAYERCAGE_TREELIST is not set");
        };
        if !rustix::process::geteuid().is_root() {
            return missing("it needs root, since owners and devices are compared");
        }
        if Command::new("umoci").arg("--version").output().is_err() {
            return missing("umoci is not installed");
        }
        Some(Self { images: images.into(), treelist: treelist.into() })
    }

    fn is_same(&self, expected: &Path, got: &Path, options: &[&str]) -> bool {
        let mut script = Command::new("python3");
        script.arg(&self.treelist).arg("diff").args(options).args([expected, got]);
        let script = script.output().unwrap();
        print!("{}", String::from_utf8_lossy(&script.stdout));
        match script.status.code() {
            Some(0) => true,
            Some(1) => false,
            _ => panic!("{}", String::from_utf8_lossy(&script.stderr)),
        }
    }

    fn assert_same(&self, expected: &Path, got: &Path) {
        assert!(self.is_same(expected, got, &[]), "{} and {} differ", expected.display(), got.display());
    }
}

/// Unpacks with umoci, and says where.
fn umoci(layout: &Path, bundle: &Path) -> PathBuf {
    let image = format!("{}:latest", layout.display());
    let done = Command::new("umoci").args(["unpack", "--image", &image]).arg(bundle).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    bundle.join("rootfs")
}
