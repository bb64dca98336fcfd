//! The corpus of hostile layers, run through the public API: each case is taken, noted or refused as it says, by
//! the rules that it names, and nothing outside of the root changes.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a broken case should end the test")]

#[path = "../corpus/mod.rs"]
mod corpus;
#[path = "it/overlay/model.rs"]
mod model;
#[allow(dead_code, reason = "the other tests need the rest")]
#[path = "it/support/tree.rs"]
mod tree;

mod support {
    pub(crate) use super::tree;
}

use cap_std::{ambient_authority, fs::Dir};
use corpus::{Case, Expected, Fact, Told};
use layercage::audit::{Audit, Finding, Lower, Observer};
use layercage::error::Blame;
use layercage::merged::Merger;
use layercage::overlay::{Overlay, OverlayFormat, Whiteouts};
use layercage::policy::{Devices, Preset};
use layercage::rules::{Limit, QuirkRule, ViolationRule};
use layercage::{Applied, Digest, Error, Layer, Limits, Policy, Rootfs, Scratch, Sink, Staged, Unpacker};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use tempfile::TempDir;

/// What the caller's rights and the file system decide, and no layer: noted in whatever preset, and not looked at.
const OF_THE_SYSTEM: [QuirkRule; 4] =
    [QuirkRule::OwnerToCaller, QuirkRule::SetIdDropped, QuirkRule::XattrUnsupported, QuirkRule::TimeClamped];

/// Rules that no layer breaks by its bytes, and why.
const WITHOUT_A_CASE: &[(&str, &str)] = &[
    ("mount-crossed", "something must be mounted below the root"),
    ("hard-link-copied", "the layer must be one of an overlay"),
    ("unwritable", "the layer must be written to an archive"),
    ("fifo", "all presets take named pipes"),
    ("setid", "all presets take these bits"),
    ("link-parent", "all presets follow links"),
    ("opaque-behind-own", "all presets take it"),
    ("owner-unmapped", "a policy must have a map"),
    ("owner-to-caller", "the caller has no privilege"),
    ("setid-dropped", "the caller has no privilege"),
    ("xattr-unsupported", "the file system has no attributes, or the caller may not set one"),
    ("time-clamped", "the file system cannot hold a time"),
    ("compression-differs", "a manifest must state another compression"),
    ("digest-malformed", "a digest stands in a manifest"),
    ("blob-missing", "an image names blobs"),
    ("pinned-manifest-missing", "an image has manifests"),
    ("lists-disagree", "an image names what it holds"),
    ("blob-not-regular", "an image has files"),
    ("blob-outside", "an image has files"),
    ("foreign-layer-missing", "an image names layers"),
    ("platform-missing", "an image lists platforms"),
    ("artifact", "an image lists manifests"),
    ("schema-1", "an image has manifests"),
    ("config-media-type", "a media type stands in a manifest"),
    ("platform-unstated", "a configuration states a platform"),
    ("layout-unmarked", "an image has a layout"),
    ("index-unversioned", "an image has an index"),
    ("member-missing", "an image in an archive names members"),
    ("member-twice", "the members of an image's archive are found by name"),
    ("image-in-directory", "it is about a whole archive and not about a layer"),
    ("archive-ambiguous", "an image lies in an archive"),
    ("member-path", "an image in an archive names members"),
    ("member-link-missing", "an image in an archive names members"),
    ("not-an-image", "an image has a layout"),
    ("json", "an image has documents"),
    ("media-type", "a media type stands in a manifest"),
    ("layers-and-diff-ids", "a manifest and a configuration must disagree"),
];

/// Limits on what images have and layers have not, and on what is read of a final file system.
const LIMITS_OF_IMAGES: [Limit; 11] = [
    Limit::Layers,
    Limit::ManifestBytes,
    Limit::DocumentValues,
    Limit::Manifests,
    Limit::IndexDepth,
    Limit::ArchiveMembers,
    Limit::ArchiveNameBytes,
    Limit::ArchiveBytes,
    Limit::HoleBytes,
    Limit::AuditBytes,
    Limit::TreeBytes,
];

/// Limits on what is found by walking through a tree, or kept of one.
const LIMITS_OF_THE_TREE: [Limit; 7] = [
    Limit::LayerLinkHops,
    Limit::LayerLinkSteps,
    Limit::ImpliedDirectories,
    Limit::ImageSteps,
    Limit::LayerOpens,
    Limit::LayerPlaces,
    Limit::SkippedBytes,
];

/// Rules that are about a tree, which an audit does not have unless it is asked for.
const OF_THE_TREE: &[&str] = &[
    "parent-not-directory",
    "link-loop",
    "link-climbs",
    "hard-link-missing",
    "hard-link-to-directory",
    "hard-link-to-itself",
    "hard-link-to-skipped",
    "hard-link-metadata",
    "hard-link-repeated",
    "directory-over-link",
    "whiteout-behind-own-link",
    "whiteout-of-own",
    "duplicate-path",
];

#[test]
fn by_default_every_case_is_taken_or_refused_as_it_says() {
    run_all(Preset::Default);
}

#[test]
fn compatible_every_case_is_taken_or_refused_as_it_says() {
    run_all(Preset::Compatible);
}

#[test]
fn paranoid_every_case_is_taken_or_refused_as_it_says() {
    run_all(Preset::Paranoid);
}

fn run_all(preset: Preset) {
    let failures: Vec<_> = corpus::all().iter().flat_map(|case| run(case, preset)).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn an_audit_finds_what_the_bytes_show() {
    let failures: Vec<_> = corpus::all().iter().filter_map(audit).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn an_audit_with_a_tree_finds_what_applying_finds() {
    let failures: Vec<_> = corpus::all().iter().filter_map(audit_with_tree).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn merging_a_case_ends_as_applying_does_and_makes_the_same_tree() {
    let runs = |case| [Preset::Default, Preset::Compatible, Preset::Paranoid].map(|preset| merge(case, preset));
    let failures: Vec<_> = corpus::all().iter().flat_map(runs).flatten().collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn as_layers_of_an_overlay_a_case_ends_as_applying_does_and_shows_the_same_tree() {
    let runs = |case| [Preset::Default, Preset::Compatible].map(|preset| overlay(case, preset));
    let failures: Vec<_> = corpus::all().iter().flat_map(runs).flatten().collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_number_of_jobs_makes_the_same_tree_report_and_error_of_a_case() {
    let failures: Vec<_> = corpus::all().iter().filter_map(compare_jobs).collect();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// What broke others and is no single layer: what it was, and the tests of ours that show it.
const OTHER_ATTACKS: &[(&str, &str, &[&str])] = &[
    (
        "CVE-2018-15664",
        "a directory becomes a link between the check of a path and its use",
        &["a_directory_that_becomes_a_link_and_back_leads_nowhere"],
    ),
    (
        "CVE-2021-41190",
        "a document is a manifest to one reader and an index to another",
        &["every_layout_is_judged_by_its_rule"],
    ),
    (
        "",
        "a blob is damaged, too long or too short, and is unpacked before its digest is compared",
        &[
            "a_flipped_bit_anywhere_in_a_blob_leaves_nothing",
            "a_blob_that_is_too_short_or_too_long_leaves_nothing",
            "a_wrong_diff_id_leaves_nothing",
        ],
    ),
    (
        "",
        "an amount that a layer picks fills memory or disk",
        &["a_layer_at_a_limit_is_taken_and_one_past_it_is_refused_by_name"],
    ),
    (
        "",
        "links that go up and down a deep tree cost a walk for each component",
        &["a_link_that_goes_up_and_down_a_thousand_times_costs_a_walk_and_not_a_thousand"],
    ),
    ("", "a blob file of the image is a link or a FIFO", &["only_regular_files_behind_real_directories_are_opened"]),
];

#[test]
fn the_page_of_attacks_names_tests_that_there_are() {
    let mut page = String::from(
        "# Attacks\n\n\
         What broke others, and what shows that it does not break this. Made by `tests/corpus.rs` from the corpus and \
         from a list of tests.\n\n\
         ## Layers\n\n\
         Each is a case of the [corpus](https://github.com/layercage/layercage/tree/main/corpus), which is run under every \
         policy among files that must not change.\n\n\
         | seen first | the layer | by default | case |\n|---|---|---|---|\n",
    );
    let mut cases: Vec<_> = corpus::all().into_iter().filter(|case| case.first_seen.starts_with("CVE-")).collect();
    cases.sort_by_key(|case| (case.first_seen, case.name));
    assert!(cases.len() >= 20, "{} cases", cases.len());
    for case in cases {
        let outcome = match &case.expected[Preset::Default as usize] {
            Expected::Take => "stays inside".to_owned(),
            Expected::Note(rules) => format!("noted: {}", rules.join(", ")),
            Expected::Refuse(rule) => format!("refused: {rule}"),
        };
        writeln!(page, "| {} | {} | {outcome} | `{}` |", case.first_seen, case.sentence, case.name).unwrap();
    }
    page.push_str("\n## Everything else\n\n| seen first | the attack | test |\n|---|---|---|\n");
    let sources = sources();
    for (seen, attack, tests) in OTHER_ATTACKS {
        for test in *tests {
            assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
        }
        let tests: Vec<_> = tests.iter().map(|test| format!("`{test}`")).collect();
        writeln!(page, "| {seen} | {attack} | {} |", tests.join(", ")).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/attacks.md");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/attacks.md is not what the code says; BLESS=1 writes it anew");
}

/// All sources that may have tests, one after another; without this list of names.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut to_do = vec![root.join("src"), root.join("tests/it")];
    let mut text = String::new();
    while let Some(path) = to_do.pop() {
        if path.is_dir() {
            to_do.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    text
}

#[test]
fn every_rule_that_a_layer_can_break_has_a_case() {
    let shown: BTreeSet<_> = corpus::all().iter().flat_map(Case::rules).collect();
    let violations = ViolationRule::ALL.iter().map(|rule| rule.row().id);
    let rules: BTreeSet<_> = violations.chain(QuirkRule::ALL.iter().map(|rule| rule.row().id)).collect();
    for rule in &rules {
        let excused = WITHOUT_A_CASE.iter().any(|(id, _)| id == rule);
        assert!(shown.contains(rule) != excused, "{rule}: has {} a case", if excused { "" } else { "not" });
    }
    let strangers: Vec<_> = shown.difference(&rules).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[test]
fn every_limit_on_a_layer_has_a_case() {
    let named: BTreeSet<_> = corpus::all().iter().flat_map(|case| case.limits.clone()).map(|(name, _)| name).collect();
    // These two have defaults that a small layer goes beyond.
    let by_default = [Limit::PathBytes, Limit::ImageBytes];
    for limit in Limit::ALL.iter().filter(|limit| !LIMITS_OF_IMAGES.contains(limit)) {
        assert!(named.contains(limit.id()) || by_default.contains(limit), "{limit}");
    }
}

#[test]
fn names_are_unique_and_safe_in_any_file_system() {
    let mut names = BTreeSet::new();
    for case in corpus::all() {
        assert!(names.insert(case.name), "{}: is there twice", case.name);
        let safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(case.name.bytes().all(safe), "{}", case.name);
        assert!(!case.sentence.ends_with('.') && !case.sentence.is_empty(), "{}", case.name);
        assert!(case.file_name().starts_with(&format!("{}.tar", case.name)), "{}", case.name);
        assert!(case.layer.len() < 1 << 18, "{}: should be small", case.name);
    }
    assert!(names.len() >= 150, "{} cases", names.len());
}

/// A root directory beside things that no layer may touch.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        fs::create_dir(world.0.path().join("root")).unwrap();
        fs::create_dir(world.0.path().join("outside")).unwrap();
        for (file, mode) in [("canary", 0o640), ("outside/f", 0o600)] {
            fs::write(world.0.path().join(file), "alive").unwrap();
            fs::set_permissions(world.0.path().join(file), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(world.0.path().join("outside"), fs::Permissions::from_mode(0o750)).unwrap();
        world
    }

    fn is_untouched(&self) -> bool {
        let place = self.0.path();
        let mode = |name: &str| fs::symlink_metadata(place.join(name)).unwrap().mode() & 0o7777;
        let names = |name: &str| {
            let names = fs::read_dir(place.join(name)).unwrap().map(|entry| entry.unwrap().file_name());
            names.map(|name| name.into_string().unwrap()).collect::<BTreeSet<_>>()
        };
        let alive = |name: &str| {
            fs::read(place.join(name)).unwrap() == b"alive" && fs::metadata(place.join(name)).unwrap().nlink() == 1
        };
        names("") == ["canary", "outside", "root"].map(str::to_owned).into()
            && names("outside") == ["f".to_owned()].into()
            && alive("canary")
            && alive("outside/f")
            && (mode("canary"), mode("outside"), mode("outside/f")) == (0o640, 0o750, 0o600)
    }
}

impl Drop for World {
    /// Opens up what is locked, so that whoever is not root can remove it.
    fn drop(&mut self) {
        unlock(&self.0.path().join("root"));
    }
}

fn unlock(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            unlock(&entry.path());
        }
    }
}

/// The policy of audits: devices are skipped, so that hard links to these are told of.
fn auditing() -> Policy {
    Policy::default().with_devices(Devices::Skip)
}

/// Runs a case under one preset, and says what is not as it should be.
fn run(case: &Case, preset: Preset) -> Vec<String> {
    let world = World::new();
    let root = world.0.path().join("root");
    let outcome = apply(case, &policy(preset), &root);
    let expected = &case.expected[preset as usize];
    let mut wrong = Vec::new();
    if !world.is_untouched() {
        wrong.push("something outside of the root changed".to_owned());
    }
    match (&outcome, expected) {
        (Err(error), Expected::Refuse(rule)) if error.rule_id() == Some(rule) => (),
        (Ok(applied), Expected::Take) if notes(applied).is_empty() => (),
        (Ok(applied), Expected::Note(rules)) if notes(applied) == rules.iter().copied().collect() => (),
        (Ok(applied), _) => wrong.push(format!("expected {expected:?}, got notes {:?}", notes(applied))),
        (Err(error), _) => wrong.push(format!("expected {expected:?}, got {error}")),
    }
    if outcome.is_ok() {
        // The root first: what is below a locked directory is seen once it is unlocked.
        let (locks, others): (Vec<_>, Vec<_>) =
            case.tree.iter().partition(|(_, fact)| matches!(fact, Fact::DirectoryOf(_)));
        let mut check = |facts: Vec<&(&str, Fact)>| {
            let broken = facts.into_iter().filter(|(path, fact)| !holds(&root, path, fact));
            wrong.extend(broken.map(|(path, fact)| format!("{path} should be {fact:?}")));
        };
        check(locks);
        unlock(&root);
        check(others);
    }
    wrong.into_iter().map(|what| format!("{}: {} ({preset}): {what}", case.topic, case.name)).collect()
}

fn policy(preset: Preset) -> Policy {
    OF_THE_SYSTEM.into_iter().fold(Policy::preset(preset), Policy::allow)
}

fn apply(case: &Case, policy: &Policy, root: &Path) -> Result<Applied, Error> {
    let root = Dir::open_ambient_dir(root, ambient_authority()).unwrap();
    let mut rootfs = Rootfs::over(&root).unwrap();
    if let Some(lower) = &case.lower {
        let applied = Unpacker::new(Policy::default()).apply(Layer::new(&lower[..]), &mut rootfs).unwrap();
        assert!(notes(&applied).is_empty(), "{}: something is wrong with the lower layer", case.name);
    }
    let unpacker =
        Unpacker::new(policy.clone()).with_limits(limits(case)).with_scratch(Scratch::beneath(root).unwrap());
    unpacker.apply(told(case), &mut rootfs)
}

/// Applies a case to a staged tree and merges it, and says what differs.
fn merge(case: &Case, preset: Preset) -> Option<String> {
    let place = tempfile::tempdir().unwrap();
    let directory = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
    let mut staged = Staged::beside(&directory, "rootfs").unwrap();
    let mut merger = Merger::new();
    let applied = apply_staged(case, preset, staged.rootfs());
    let merged = apply_staged(case, preset, &mut merger);
    if applied != merged {
        return Some(format!("{}: ({preset}): applied {applied:?}, merged {merged:?}", case.name));
    }
    if applied.is_err() {
        return None;
    }
    staged.commit_unproven().unwrap();
    let rootfs = place.path().join("rootfs");
    let mut expected = tree::comparable(tree::list(&rootfs));
    unlock(&rootfs);
    let merged = merger.into_tree().unwrap();
    let mut merged = tree::comparable(tree::list_merged(&merged));
    // A file system that cannot store a time stores the nearest one that it can. ext4 ends in 2446.
    for (path, fields) in &mut merged {
        let time = fields.get("mtime").and_then(|time| time.split('.').next()?.parse::<i64>().ok());
        if time.is_some_and(|time| !(-(1 << 31)..1 << 34).contains(&time)) {
            fields.remove("mtime");
            expected.get_mut(path).map(|fields| fields.remove("mtime"));
        }
    }
    let differences = tree::differences(&expected, &merged);
    (!differences.is_empty()).then(|| format!("{} ({preset}):\n{}", case.name, differences.join("\n")))
}

/// Applies a case to a staged tree and as layers of an overlay, and says what differs. The default preset has device
/// whiteouts if we may make them, the other one has whiteouts as attributes.
fn overlay(case: &Case, preset: Preset) -> Option<String> {
    let place = tempfile::tempdir().unwrap();
    let make = |name: &str| {
        fs::create_dir(place.path().join(name)).unwrap();
        Dir::open_ambient_dir(place.path().join(name), ambient_authority()).unwrap()
    };
    let mut staged = Staged::beside(make("staged"), "rootfs").unwrap();
    let applied = apply_staged(case, preset, staged.rootfs());
    let possible = OverlayFormat::possible(make("probe")).unwrap();
    let whiteouts = if preset == Preset::Default { possible.whiteouts } else { Whiteouts::Xattr };
    let format = OverlayFormat { whiteouts, ..possible };
    let mut layers = vec!["upper"];
    let mut layer = Overlay::over(make("lower"), Vec::<Dir>::new(), format).unwrap();
    if let Some(lower) = &case.lower {
        Unpacker::new(Policy::default()).apply(Layer::new(&lower[..]), &mut layer).unwrap();
        layer = layer.next(make("upper")).unwrap();
        layers.push("lower");
    } else {
        layers = vec!["lower"];
    }
    let policy = policy(preset);
    let result = Unpacker::new(policy).with_limits(limits(case)).apply(told(case), &mut layer);
    // Lower layers are not opened up.
    if result.as_ref().is_err_and(|error| error.blame() == Blame::System) && !rustix::process::geteuid().is_root() {
        return None;
    }
    let result = result.map(|applied| notes(&applied)).map_err(|error| (error.rule_id(), error.position().entry));
    let result = result.map(|notes| notes.into_iter().filter(|id| *id != "hard-link-copied").collect::<BTreeSet<_>>());
    if applied != result {
        return Some(format!("{}: ({preset}): applied {applied:?}, as a layer {result:?}", case.name));
    }
    if applied.is_err() {
        return None;
    }
    staged.commit_unproven().unwrap();
    let rootfs = place.path().join("staged/rootfs");
    let layers: Vec<_> = layers.iter().map(|layer| place.path().join(layer)).collect();
    let expected = tree::comparable(tree::list(&rootfs));
    unlock(&rootfs);
    let differences = tree::differences(&expected, &tree::comparable(model::list(&layers, format)));
    layers.iter().for_each(|layer| unlock(layer));
    (!differences.is_empty()).then(|| format!("{} ({preset}):\n{}", case.name, differences.join("\n")))
}

/// Applies a case with several threads, and says what differs from a single one.
fn compare_jobs(case: &Case) -> Option<String> {
    let apply = |jobs: usize| {
        let place = tempfile::tempdir().unwrap();
        let directory = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
        let mut staged = Staged::beside(&directory, "rootfs").unwrap();
        let policy = policy(Preset::Default);
        if let Some(lower) = &case.lower {
            Unpacker::new(policy.clone()).apply(Layer::new(&lower[..]), staged.rootfs()).unwrap();
        }
        let unpacker = Unpacker::new(policy).with_limits(limits(case)).with_jobs(jobs.try_into().unwrap());
        let applied = unpacker.apply(told(case), staged.rootfs()).map(Applied::into_report);
        let applied = applied.map_err(|error| format!("{error:#} {:?} {:?}", error.position(), error.rule_id()));
        let tree = applied.is_ok().then(|| {
            staged.commit_unproven().unwrap();
            let tree = tree::list(&place.path().join("rootfs"));
            unlock(&place.path().join("rootfs"));
            tree
        });
        (applied, tree)
    };
    let alone = apply(1);
    let differs = [2, 3, 8].into_iter().find(|&jobs| apply(jobs) != alone)?;
    Some(format!("{}: {differs} jobs make {:?}, one makes {:?}", case.name, apply(differs), alone))
}

/// The notes, or the rule and entry that end it.
fn apply_staged(
    case: &Case,
    preset: Preset,
    sink: &mut impl Sink,
) -> Result<BTreeSet<&'static str>, (Option<&'static str>, Option<u64>)> {
    if let Some(lower) = &case.lower {
        Unpacker::new(Policy::default()).apply(Layer::new(&lower[..]), sink).unwrap();
    }
    let applied = Unpacker::new(policy(preset)).with_limits(limits(case)).apply(told(case), sink);
    applied.map(|applied| notes(&applied)).map_err(|error| (error.rule_id(), error.position().entry))
}

fn notes(applied: &Applied) -> BTreeSet<&'static str> {
    let of_the_system = OF_THE_SYSTEM.map(|rule| rule.row().id);
    applied.report().counts().map(|(id, _)| id).filter(|id| !of_the_system.contains(id)).collect()
}

fn limits(case: &Case) -> Limits {
    case.limits.iter().fold(Limits::default(), |limits, &(name, most)| {
        let limit = Limit::ALL.iter().find(|limit| limit.id() == name);
        limits.with(*limit.unwrap_or_else(|| panic!("{}: {name} is no limit", case.name)), most)
    })
}

/// The layer, with what is known about it beforehand.
fn told(case: &Case) -> Layer<&[u8]> {
    let layer = Layer::new(&case.layer[..]);
    let size = case.layer.len() as u64;
    match &case.told {
        Told::Nothing => layer,
        Told::Truth { unpacked } => {
            layer.expecting(layercage::Expected::blob(sha256(&case.layer), size).with_diff_id(sha256(unpacked)))
        }
        Told::OtherDigest => layer.expecting(layercage::Expected::unchecked().with_digest(sha256(b"something else"))),
        Told::OtherSize(by) => {
            layer.expecting(layercage::Expected::blob(sha256(&case.layer), size.checked_add_signed(*by).unwrap()))
        }
        Told::OtherDiffId => layer.expecting(layercage::Expected::unchecked().with_diff_id(sha256(b"something else"))),
    }
}

fn sha256(bytes: &[u8]) -> Digest {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}").parse().unwrap()
}

fn holds(root: &Path, path: &str, fact: &Fact) -> bool {
    let path = root.join(path);
    let Ok(metadata) = fs::symlink_metadata(&path) else { return *fact == Fact::Absent };
    match fact {
        Fact::Absent => false,
        Fact::File(content) => metadata.is_file() && fs::read(&path).unwrap() == *content,
        Fact::Directory => metadata.is_dir(),
        Fact::DirectoryOf(mode) => metadata.is_dir() && metadata.mode() & 0o7777 == *mode,
        Fact::Symlink(target) => {
            metadata.is_symlink() && fs::read_link(&path).unwrap().as_os_str().as_bytes() == target
        }
        Fact::Fifo => metadata.file_type().is_fifo(),
        Fact::SameAs(other) => metadata.ino() == fs::symlink_metadata(root.join(other)).unwrap().ino(),
    }
}

/// What an audit finds: rules, each with its entry.
#[derive(Default)]
struct Found(Vec<(Option<u64>, &'static str)>);

impl Observer for Found {
    fn finding(&mut self, finding: &Finding) {
        self.0.push((finding.position.entry, finding.rule.id()));
    }
}

impl Found {
    /// Says what is not as it should be. All that the bytes show and policies speak of is found, and nothing else. Behind
    /// what every preset refuses, an audit may find more.
    fn compare(&self, case: &Case, expected: &BTreeSet<&'static str>) -> Option<String> {
        let end = match case.expected[Preset::Compatible as usize] {
            Expected::Refuse(rule) if expected.contains(rule) => {
                let world = World::new();
                let error = apply(case, &policy(Preset::Compatible), &world.0.path().join("root")).unwrap_err();
                let refused = (error.position().entry, rule);
                match self.0.iter().position(|found| *found == refused) {
                    Some(end) => end + 1,
                    None => return Some(format!("{}: refused {refused:?}, found {:?}", case.name, self.0)),
                }
            }
            // Without a tree, an audit goes on behind what only a tree shows, and may find more there.
            Expected::Refuse(_) => {
                let is_found = |rule: &&str| self.0.iter().any(|(_, found)| found == rule);
                let is_right = expected.iter().all(is_found);
                return (!is_right).then(|| format!("{}: expected {expected:?}, found {:?}", case.name, self.0));
            }
            _ => self.0.len(),
        };
        let found: BTreeSet<_> = self.0[..end].iter().map(|(_, rule)| *rule).collect();
        (found != *expected).then(|| format!("{}: expected {expected:?}, found {:?}", case.name, self.0))
    }
}

/// Audits a case without a tree, and says what is not as it should be.
fn audit(case: &Case) -> Option<String> {
    let mut found = Found::default();
    Audit::new(limits(case)).with_policy(auditing()).layer(told(case), &mut found).unwrap();
    let limit_of_the_tree = LIMITS_OF_THE_TREE.iter().any(|limit| sets(case, *limit));
    let is_seen = |rule: &&str| !(OF_THE_TREE.contains(rule) || limit_of_the_tree && *rule == "limit");
    let expected: BTreeSet<_> = case.rules().into_iter().filter(is_seen).collect();
    found.compare(case, &expected)
}

fn sets(case: &Case, limit: Limit) -> bool {
    case.limits.iter().any(|(name, _)| *name == limit.id())
}

/// The same over the lower layer, of which nothing is unknown: now the rules about a tree count too.
fn audit_with_tree(case: &Case) -> Option<String> {
    let mut found = Found::default();
    let mut audit = Audit::new(limits(case)).with_policy(auditing()).with_tree(Lower::Nothing);
    if let Some(lower) = &case.lower {
        audit.layer(Layer::new(&lower[..]), &mut found).unwrap();
        assert!(found.0.is_empty(), "{}: {:?} in the lower layer", case.name, found.0);
    }
    audit.layer(told(case), &mut found).unwrap();
    let wrong = found.compare(case, &case.rules().into_iter().collect());
    wrong.or_else(|| (!audit.has_seen_tree()).then(|| format!("{}: the tree was not seen", case.name)))
}
