//! The lists of the image in the repository, against what umoci and GNU tar unpack.

use super::{listed, name, objects, text, world};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

type Fields = BTreeMap<String, String>;

/// The paths of `world.list` with their fields.
fn expected() -> BTreeMap<String, Fields> {
    let page = fs::read_to_string(Path::new(HERE).join("../tests/images/world.list")).unwrap();
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let paths = lines.map(|line| {
        let mut words = line.split(' ');
        let path = words.next().unwrap().to_owned();
        let fields = words.map(|word| word.split_once('=').unwrap());
        (path, fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    });
    paths.collect()
}

/// A name as `world.list` writes it: `\` and what is no visible ASCII character in hexadecimal digits.
fn listed_name(object: &Value, key: &str) -> String {
    let shown = |byte: u8| match byte {
        b'!'..=b'~' if byte != b'\\' => char::from(byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    name(object, key).into_iter().map(shown).collect()
}

fn final_objects(options: &[&str]) -> BTreeMap<String, Value> {
    let objects = objects(&[&["--final"], options, &[&world()]].concat(), Path::new("."));
    objects.into_iter().map(|object| (listed_name(&object, "path"), object)).collect()
}

#[test]
fn the_final_file_system_is_the_one_that_other_tools_unpack_in_every_field() {
    let (expected, listed) = (expected(), final_objects(&["--digest"]));
    assert_eq!(listed.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (path, fields) in &expected {
        let object = &listed[path];
        for (key, value) in fields {
            let found = match key.as_str() {
                "type" => object["kind"].as_str().map(str::to_owned),
                "target" => Some(listed_name(object, key)),
                "hardlink" => (object["links"].as_u64() > Some(1)).then(|| value.clone()),
                key if key.starts_with("xattr.") => {
                    let names = object["xattrs"].as_array().unwrap();
                    names.iter().any(|name| name.as_str() == key.strip_prefix("xattr.")).then(|| value.clone())
                }
                _ => object[key].as_str().map(str::to_owned).or_else(|| object[key].as_u64().map(|it| it.to_string())),
            };
            assert_eq!(found.as_ref(), Some(value), "{key} of {path}: {object}");
        }
        let xattrs = fields.keys().filter(|key| key.starts_with("xattr.")).count();
        assert_eq!(object["xattrs"].as_array().unwrap().len(), xattrs, "{path}");
        assert_eq!(object["links"].as_u64() > Some(1), fields.contains_key("hardlink"), "{path}");
        assert_eq!(object.get("sha256").is_some(), fields.contains_key("sha256"), "{path}");
        assert!((1..=6).contains(&object["layer"].as_u64().unwrap()) && object["layers"] == 6, "{path}");
    }
}

#[test]
fn the_tree_sums_up_each_file_once() {
    let expected = expected();
    let tree = objects(&["--tree", &world()], Path::new("."));
    let sum = |directory: &str| {
        let mut counted = BTreeSet::new();
        let below = expected.iter().filter(|(path, _)| {
            directory == "." || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
        });
        let files = below.filter(|(path, fields)| counted.insert(fields.get("hardlink").unwrap_or(*path).clone()));
        files.filter_map(|(_, fields)| fields.get("size")).map(|size| size.parse::<u64>().unwrap()).sum::<u64>()
    };
    // A hard link counts where its first path is.
    for directory in [".", "home", "opt/implied", "usr/share/doc", "srv", "var"] {
        let object = tree.iter().find(|object| object["path"] == directory).unwrap();
        assert_eq!((&object["size"], text(object, "kind")), (&sum(directory).into(), "dir"), "{directory}");
    }
    let removed = |object: &&Value| object["change"] == "removed";
    let there: BTreeSet<_> = tree.iter().filter(|object| !removed(object)).map(|it| listed_name(it, "path")).collect();
    assert_eq!(there, expected.keys().cloned().collect());
    assert!(tree.iter().filter(removed).all(|object| !expected.contains_key(&listed_name(object, "path"))));
    // Less of the tree has the same sums.
    let top = objects(&["--tree", "--depth", "1", &world()], Path::new("."));
    assert!(top.len() > 10 && top.iter().all(|object| tree.contains(object)));
}

#[test]
fn what_the_layers_did_is_what_the_tree_shows_and_what_is_hidden() {
    let world = world();
    let here = Path::new(".");
    let layers = objects(&["--layers", &world], here);
    let (tree, hidden) = (objects(&["--tree", &world], here), objects(&["--hidden", &world], here));
    let count = |key: &str| layers.iter().skip(1).map(|layer| layer[key].as_u64().unwrap()).sum::<u64>();
    let marked = |word: &str| tree.iter().filter(|it| it["kind"] != "dir" && it["change"] == word).count() as u64;
    // No path of this image is removed and added again, but some files became directories.
    let is_directory = |path: &Value| tree.iter().any(|it| it["path"] == *path && it["kind"] == "dir");
    let became = hidden.iter().filter(|it| it["kind"] != "dir" && is_directory(&it["path"])).count() as u64;
    assert_eq!((count("changed"), count("removed")), (marked("changed"), marked("removed") + became));
    let files = hidden.iter().filter(|it| it["kind"] != "dir").count() as u64;
    assert_eq!(files, count("changed") + count("removed"));
    let entries: Vec<_> = layers.iter().map(|layer| layer["entries"].as_u64().unwrap()).collect();
    let changes = objects(&[&world], here);
    let counted = |layer: u64| changes.iter().filter(|change| change["layer"] == layer).count() as u64;
    assert_eq!(entries, (1..=6).map(counted).collect::<Vec<_>>());
    let index: Value = serde_json::from_slice(&fs::read(Path::new(&world).join("index.json")).unwrap()).unwrap();
    let blob = |digest: &Value| Path::new(&world).join("blobs").join(digest.as_str().unwrap().replace(':', "/"));
    let manifest: Value = serde_json::from_slice(&fs::read(blob(&index["manifests"][0]["digest"])).unwrap()).unwrap();
    for (layer, stated) in layers.iter().zip(manifest["layers"].as_array().unwrap()) {
        assert_eq!((&layer["digest"], &layer["size"]), (&stated["digest"], &stated["size"]));
    }
}

#[test]
fn files_that_match_are_printed_as_sha256sum_prints_them() {
    let (world, here, expected) = (world(), Path::new("."), expected());
    let etc = |kinds: &[&str]| {
        let paths = expected.iter().filter(|(path, fields)| {
            path.starts_with("etc/") && path.matches('/').count() == 1 && kinds.contains(&fields["type"].as_str())
        });
        paths.map(|(path, fields)| (path.as_str(), fields.get("sha256"))).collect::<Vec<_>>()
    };
    let names: Vec<_> = etc(&["file", "symlink"]).into_iter().map(|(path, _)| format!("{path}\n")).collect();
    assert_eq!(listed(&["--files", "/etc/*", &world], here), names.concat());
    let sums = etc(&["file"]);
    let sums: Vec<_> = sums.into_iter().map(|(path, sum)| format!("{}  {path}\n", sum.unwrap())).collect();
    assert_eq!(listed(&["--digest", "--files", "etc/*", &world], here), sums.concat());
    let both = listed(&["--files", "**/hello", "--files", "etc/passwd", &world], here);
    assert_eq!(both, "etc/passwd\nopt/app/hello\nusr/bin/hello\n");
    let only = final_objects(&["--only", "etc/conf.d", "--only", "**/hello"]);
    let wanted = |path: &&String| path.starts_with("etc/conf.d") || path.ends_with("/hello");
    assert_eq!(only.keys().collect::<Vec<_>>(), expected.keys().filter(wanted).collect::<Vec<_>>());
}

#[test]
fn a_part_of_the_tree_has_its_directories_and_what_is_gone_of_it() {
    let only = objects(&["--tree", "--only", "usr/bin", "--only", "etc/motd", &world()], Path::new("."));
    let whole = objects(&["--tree", &world()], Path::new("."));
    let is_kept = |path: &str| ["usr/bin", "etc/motd"].iter().any(|kept| Path::new(path).starts_with(kept));
    let kept: Vec<_> = whole.iter().map(|object| text(object, "path")).filter(|path| is_kept(path)).collect();
    let above = [".", "etc", "usr"];
    let found = only.iter().map(|object| text(object, "path")).filter(|path| !above.contains(path));
    assert_eq!(found.collect::<Vec<_>>(), kept);
    assert!(kept.len() > 3 && only.len() == kept.len() + above.len());
    let size = |path: &str| only.iter().find(|object| object["path"] == path).unwrap()["size"].clone();
    assert_eq!((size("."), size("etc")), (size("usr/bin"), 0.into()), "sums are those of the part");
    // The directory is one link away, as in many images.
    let output = super::list(&["--final", "--only", "bin", &world()], Path::new("."));
    let told = String::from_utf8(output.stderr).unwrap();
    let note = "note: `--only bin` keeps a symbolic link alone; it leads to usr/bin: `--only usr/bin`";
    assert!(output.status.success() && told.contains(note), "{told}");
}

/// What a person sees. `BLESS=1` writes the pages anew.
#[test]
fn the_lists_are_those_that_were_read() {
    for (name, options) in [
        ("final", &["--final", "--only", "{etc,home,srv,usr/bin}"][..]),
        ("final-digest", &["--final", "--digest", "--only", "usr/bin"]),
        ("tree", &["--tree", "--depth", "3"]),
        ("layers", &["--layers"]),
        ("hidden", &["--hidden"]),
        ("hidden-digest", &["--hidden", "--digest", "--only", "etc"]),
    ] {
        let page = listed(&[options, &[&world()]].concat(), Path::new("."));
        let path = Path::new(HERE).join("tests/lists").join(name).with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        let differs = kept.lines().zip(page.lines()).find(|(kept, now)| kept != now);
        assert!(kept == page, "{} is not what is printed; BLESS=1 writes it anew: {differs:#?}", path.display());
    }
}

#[test]
fn the_readme_shows_what_the_command_prints() {
    let readme = fs::read_to_string(Path::new(HERE).join("../README.md")).unwrap();
    let block = readme.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let shown: Vec<_> = block.split("$ layercage list ").skip(1).collect();
    assert_eq!(shown.len(), 5);
    for example in shown {
        let (arguments, output) = example.split_once('\n').unwrap();
        let arguments: Vec<_> = arguments.split(' ').map(|word| word.trim_matches('\'')).collect();
        assert_eq!(listed(&arguments, &Path::new(HERE).join("..")), output, "{arguments:?}");
    }
}
