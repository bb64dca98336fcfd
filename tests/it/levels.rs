//! The modules and their levels: a module uses lower levels only, never its siblings or what lies above. And which module
//! may use which crate.

use crate::source::Crate;
use std::fs;
use std::path::Path;

/// Each module and its level.
const MODULES: &[(&str, u8)] = &[
    ("words", 0),
    ("read", 1),
    ("plan", 1),
    ("erofs", 1),
    ("sandbox", 1),
    ("tree", 2),
    ("cage", 3),
    ("image", 4),
    ("output", 5),
    ("unpack", 6),
];

/// Each name that only some modules may say, and those modules.
const NAMES: &[(&str, &[&str])] = &[
    ("cap_std", &["output", "image", "unpack"]),
    ("rustix", &["erofs", "cage", "sandbox"]),
    ("landlock", &["sandbox"]),
    ("std::fs", &["erofs", "cage", "output", "image", "unpack"]),
    ("std::os", &["words", "erofs", "cage", "sandbox", "output", "image", "unpack"]),
    ("std::process", &[]),
    ("std::env", &["image"]),
    ("std::net", &[]),
    ("flate2", &["read"]),
    ("zstd", &["read"]),
    ("sha2", &["read", "erofs"]),
    ("crc32c", &["erofs"]),
    ("serde", &["image", "output", "words"]),
    ("serde_json", &["image"]),
];

#[test]
fn every_module_uses_lower_levels_only() {
    let wrong: Vec<_> = MODULES.iter().flat_map(|(room, _)| violations_in(room)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_re_export_leads_to_a_module_of_the_same_level_or_above() {
    let wrong = violations_by_paths(&source().join("src"));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_path_is_judged_by_where_it_leads() {
    for (plan, is_right) in [
        ("use crate::Word;", true),
        ("use crate::TarReader;", false),
        ("use crate::face::TarReader;", false),
        ("fn f(_: crate::read::TarReader) {}", false),
        ("use super::TarReader;", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let lib = "mod words; mod read; mod plan; pub use words::Word; pub use read::TarReader; pub mod face { pub use \
                   crate::read::TarReader; }";
        let files = [("lib", lib), ("words/mod", "pub struct Word;"), ("read/mod", "pub struct TarReader;")];
        for (file, text) in files.into_iter().chain([("plan/mod", plan)]) {
            let path = folder.path().join(file).with_extension("rs");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(violations_by_paths(folder.path()).is_empty(), is_right, "{plan}");
    }
}

/// The paths that lead to a module which theirs may not use, with re-exports resolved. `folder` is that of the crate's root.
fn violations_by_paths(folder: &Path) -> Vec<String> {
    let source = Crate::read(&folder.join("lib.rs"));
    let module_of = |file: &Path| {
        let first = file.strip_prefix(folder).ok()?.components().next()?.as_os_str().to_str()?;
        MODULES.iter().find(|(name, _)| *name == first)
    };
    let mut found = Vec::new();
    for (id, module) in source.modules.iter().enumerate() {
        let Some((name, level)) = module_of(&module.file) else { continue };
        for path in &module.paths {
            if let Some((used, its_level)) = source.file_of(id, path).and_then(module_of)
                && used != name
                && its_level >= level
            {
                let (file, path) = (module.file.display(), path.join("::"));
                found.push(format!("{file}: {name} (level {level}) uses {used} (level {its_level}): {path}"));
            }
        }
    }
    found
}

#[test]
fn no_code_lies_outside_of_the_modules() {
    let names =
        fs::read_dir(source().join("src")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strangers: Vec<_> = names
        .filter(|name| {
            !["lib.rs", "manual.rs", "manual"].contains(&name.as_str()) && !MODULES.iter().any(|(room, _)| room == name)
        })
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

/// Readers are built without the other modules, on every platform.
#[test]
fn modules_that_are_always_built_use_neither_system_calls_nor_the_file_system() {
    let face = fs::read_to_string(source().join("src/lib.rs")).unwrap();
    let lines: Vec<_> = face.lines().collect();
    let modules: Vec<_> = lines
        .windows(2)
        .filter(|pair| !pair[0].starts_with("#[cfg(feature"))
        .filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'))
        .collect();
    assert!(["words", "read", "plan"].iter().all(|module| modules.contains(module)), "{modules:?}");
    for (name, users) in NAMES.iter().filter(|(name, _)| ["cap_std", "rustix", "std::fs"].contains(name)) {
        assert!(!users.iter().any(|user| modules.contains(user)), "{name} is used by {users:?}, some of {modules:?}");
    }
}

#[test]
fn the_guard_sees_what_it_is_there_for() {
    let cases: &[(&str, &str, bool)] = &[
        ("plan", "use crate::words::Entry;", true),
        ("plan", "use crate::read::TarReader;", false),
        ("plan", "use crate::{\n    words::Entry,\n    cage::Place,\n};", false),
        ("plan", "use crate::{words::{self, Entry}, plan::Judge};", true),
        ("plan", "// crate::read is not ours\nuse crate::words::Entry;", true),
        ("read", "let x = crate::unpack::Layer::new(y);", false),
        ("read", "use super::super::plan::Judge;", false),
        ("read", "use rustix::fs;", false),
        ("cage", "use rustix::fs;", true),
        ("words", "let now = std::fs::read(\"x\");", false),
        ("unpack", "use std::process::Command;", false),
        ("unpack", "use crate::{read, cage, output::Sink};", true),
        ("cage", "use crate::image::Image;", false),
    ];
    for (room, text, right) in cases {
        assert_eq!(violations("case", room, 1, text).is_empty(), *right, "{room}: {text}");
    }
}

fn source() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn violations_in(room: &str) -> Vec<String> {
    let mut to_do = vec![source().join("src").join(room)];
    let mut found = Vec::new();
    while let Some(path) = to_do.pop() {
        if path.is_dir() {
            to_do.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if is_test_module(&path) {
            continue;
        }
        let inside = path.strip_prefix(source().join("src").join(room)).unwrap();
        let depth = inside.components().count() - usize::from(inside.ends_with("mod.rs"));
        found.extend(violations(&path.display().to_string(), room, depth, &fs::read_to_string(&path).unwrap()));
    }
    found
}

/// Whether a file is a module that is compiled for tests alone.
fn is_test_module(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap();
    let parents = [folder.join("mod.rs"), folder.with_extension("rs")];
    parents
        .iter()
        .any(|parent| fs::read_to_string(parent).is_ok_and(|text| text.contains(&format!("#[cfg(test)]\nmod {name};"))))
}

/// What a file of a module says that it may not. `depth` is how many `super::` stay within the module.
fn violations(file: &str, room: &str, depth: usize, text: &str) -> Vec<String> {
    let code = without_comments_and_tests(text);
    let floor = MODULES.iter().find(|(name, _)| *name == room).unwrap().1;
    let mut found = Vec::new();
    for used in after(&code, "crate::").into_iter().flat_map(first_names) {
        // Where names at the root lead is told by `no_re_export_leads_to_a_module_of_the_same_level_or_above`.
        if let Some((_, its_floor)) = MODULES.iter().find(|(name, _)| *name == used)
            && used != room
            && *its_floor >= floor
        {
            found.push(format!("{file}: {room} (level {floor}) uses {used} (level {its_floor})"));
        }
    }
    if code.contains(&"super::".repeat(depth + 1)) {
        found.push(format!("{file}: `super::` leads out of {room}"));
    }
    for (name, rooms) in NAMES {
        let says = code
            .match_indices(&format!("{name}::"))
            .any(|(at, _)| !code[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before)));
        if says && !rooms.contains(&room) {
            found.push(format!("{file}: {room} says {name}"));
        }
    }
    found
}

fn without_comments_and_tests(text: &str) -> String {
    // Constants of the build are no state of the process.
    let text = text.replace("std::env::consts", "");
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

fn after<'t>(code: &'t str, word: &str) -> Vec<&'t str> {
    code.match_indices(word).map(|(at, _)| &code[at + word.len()..]).collect()
}

/// The first components of what follows `crate::`: one, or those of a group in braces.
fn first_names(rest: &str) -> Vec<String> {
    let word = |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut depth = 0;
    let mut names = vec![String::new()];
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            _ if depth == 0 => names.last_mut().unwrap().push(character),
            _ => (),
        }
    }
    names.iter().map(|name| word(name)).collect()
}
