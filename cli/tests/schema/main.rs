//! docs/schema.json describes every object that the command prints with `--json`.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod check;
#[allow(dead_code, unused_imports, reason = "the other tests need the rest")]
#[path = "../../../corpus/mod.rs"]
mod corpus;

use check::check;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");
const HERE: &str = env!("CARGO_MANIFEST_DIR");

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(HERE).join("../docs").join(name)).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&page("schema.json")).unwrap()
}

/// The types of the objects that were printed.
#[derive(Default)]
struct Seen(BTreeSet<String>);

impl Seen {
    /// Runs the command with `--json`, and checks each line of both outputs.
    fn run(&mut self, schema: &Value, arguments: &[&str], directory: &Path) {
        let mut command = Command::new(COMMAND);
        command.args(arguments).arg("--json").current_dir(directory);
        let input =
            if arguments[0] == "filter" { File::open(directory.join("layer")).unwrap().into() } else { Stdio::null() };
        let output = command.stdin(input).output().unwrap();
        // The layer is on the standard output of `filter`.
        let printed = if arguments[0] == "filter" { Vec::new() } else { output.stdout };
        for line in String::from_utf8([printed, output.stderr].concat()).unwrap().lines() {
            let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{arguments:?}: no JSON: {line}"));
            let kind = object["type"].as_str().unwrap_or_else(|| panic!("{arguments:?}: no type: {line}"));
            // Against its own type, for a better message, and as one of all.
            let own = json!({"$defs": schema["$defs"], "$ref": format!("#/$defs/{kind}")});
            check(&own, &object).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {line}"));
            check(schema, &object).unwrap_or_else(|why| panic!("{arguments:?}: {why}: {line}"));
            self.0.insert(kind.to_owned());
        }
    }
}

#[test]
fn every_line_about_a_layer_of_the_corpus_follows_the_schema() {
    let (schema, cases) = (schema(), corpus::all());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let seen = std::thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(threads));
        let running: Vec<_> = parts.map(|part| scope.spawn(|| about_layers(&schema, part))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap().0).collect::<BTreeSet<_>>()
    });
    assert!(["change", "error", "finding", "input", "report", "summary"].iter().all(|kind| seen.contains(*kind)));
}

/// Checks what the command prints about each layer.
fn about_layers(schema: &Value, cases: &[corpus::Case]) -> Seen {
    let mut seen = Seen::default();
    for case in cases {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("layer"), &case.layer).unwrap();
        fs::create_dir(place.path().join("root")).unwrap();
        for arguments in [
            &["check", "--as", "layer", "layer"][..],
            &["list", "--as", "layer", "layer"],
            &["apply", "--as", "layer", "--devices", "skip", "layer", "root"],
        ] {
            seen.run(schema, arguments, place.path());
        }
        // Directories that the caller may not enter.
        let _ = Command::new("chmod").args(["-R", "u+rwx", "root"]).current_dir(&place).stderr(Stdio::null()).status();
    }
    seen
}

#[test]
fn every_other_line_follows_the_schema_and_every_type_of_it_is_printed() {
    let (schema, mut seen) = (schema(), Seen::default());
    let place = tempfile::tempdir().unwrap();
    let world = Path::new(HERE).join("../tests/images/world");
    let world = world.to_str().unwrap();
    fs::write(
        place.path().join("layer"),
        corpus::build::tar().file("a", "a").fifo("p").character_device("c", 1, 3).end(),
    )
    .unwrap();
    fs::write(place.path().join("map"), "not a layer").unwrap();
    for arguments in [
        &["unpack", world, "rootfs"][..],
        &["unpack", world, "rootfs"],
        &["bundle", world, "bundle"],
        &["unpack", "--no-sandbox", world, "again"],
        &["export", world, "out.tar"],
        &["erofs", world, "a.img"],
        &["erofs", "--verity", world, "b.img"],
        &["erofs", "--layers", world, "c"],
        &["erofs", "--layers", "--verity", world, "d"],
        &["overlay", world, "store"],
        &["overlay", "--remove", world, "store"],
        &["check", world],
        &["check", "map"],
        &["list", "--images", world],
        &["list", world],
        &["list", "--final", "--digest", world],
        &["list", "--files", world],
        &["list", "--hidden", "--digest", world],
        &["list", "--tree", world],
        &["list", "--layers", world],
        &["list", "--layers", "layer"],
        &["list", "layer"],
        &["check", "--limit", "entries=1", "layer"],
        &["check", "--limit", "audit-bytes=1", "layer"],
        &["filter", "--devices", "skip"],
        &["filter"],
        &["apply", "layer", "nowhere"],
        &["apply", "layer", "."],
        &["unpack", "nothing", "x"],
        &[
            "unpack",
            "--image-id",
            "sha256:0000000000000000000000000000000000000000000000000000000000000000",
            world,
            "x",
        ],
        &["unpack", "--no-such-option"],
        &["rules"],
        &["explain", "device-node"],
        &["explain", "entries"],
    ] {
        seen.run(&schema, arguments, place.path());
    }
    let types = schema["oneOf"].as_array().unwrap().iter().map(|one| one["$ref"].as_str().unwrap().to_owned());
    let types: BTreeSet<_> = types.map(|name| name.trim_start_matches("#/$defs/").to_owned()).collect();
    // A note stands in a report, and before a list of a final file system that the default policy refuses.
    assert_eq!(types.difference(&seen.0).collect::<Vec<_>>(), ["note"]);
}

#[test]
fn every_member_that_the_schema_has_is_explained_on_the_page() {
    let (schema, page) = (schema(), page("json.md"));
    for (name, object) in schema["$defs"].as_object().unwrap() {
        for member in object["properties"].as_object().into_iter().flatten().map(|(key, _)| key) {
            assert!(page.contains(&format!("`{member}`")), "{name}: {member}");
        }
    }
}

#[test]
fn the_check_finds_what_does_not_follow_a_schema() {
    let schema = json!({
        "$defs": {"word": {"enum": ["a", "b"]}},
        "type": "object",
        "properties": {
            "kind": {"const": "x"},
            "word": {"$ref": "#/$defs/word"},
            "count": {"type": ["integer", "null"], "minimum": 1},
            "list": {"type": "array", "items": {"type": "string"}},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "either": {"oneOf": [{"type": "string"}, {"const": "c"}]},
        },
        "required": ["kind"],
        "additionalProperties": false,
    });
    for right in [
        json!({"kind": "x"}),
        json!({"kind": "x", "word": "b", "count": 1, "list": ["l"], "map": {"k": "v"}, "either": "d"}),
        json!({"kind": "x", "count": null, "list": [], "map": {}}),
    ] {
        assert_eq!(check(&schema, &right), Ok(()));
    }
    for wrong in [
        json!("x"),
        json!({}),
        json!({"kind": "y"}),
        json!({"kind": "x", "other": 1}),
        json!({"kind": "x", "word": "c"}),
        json!({"kind": "x", "count": 0}),
        json!({"kind": "x", "count": 1.5}),
        json!({"kind": "x", "list": ["l", 1]}),
        json!({"kind": "x", "map": {"k": 1}}),
        json!({"kind": "x", "either": "c"}),
        json!({"kind": "x", "either": 1}),
    ] {
        assert!(check(&schema, &wrong).is_err(), "{wrong}");
    }
}
