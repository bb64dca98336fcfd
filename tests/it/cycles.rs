//! The files of a module import each other in one direction: a reader can begin with a file that needs no other.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use crate::source::Crate;

#[test]
fn the_files_of_the_library_import_each_other_in_one_direction() {
    check("src/lib.rs");
}

#[test]
fn the_files_of_the_command_import_each_other_in_one_direction() {
    check("cli/src/main.rs");
}

#[test]
fn a_loop_of_files_is_found_through_whatever_re_exports_it_goes() {
    let import = "mod a; mod b; pub(crate) use b::B; pub(crate) use a::*;";
    // The files a.rs and b.rs, and those that form a loop.
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("none", "use super::b::B; pub struct A(B);", "pub struct B;", &[]),
        ("by super", "use super::b::B; pub struct A;", "use super::a::A; pub struct B;", &["a", "b"]),
        ("by a re-export", "use super::B; pub struct A;", "use super::A; pub struct B;", &["a", "b"]),
        ("by the crate", "use crate::B; pub struct A;", "use crate::a::A; pub struct B;", &["a", "b"]),
        ("in code", "pub fn a() { crate::b::b() }", "pub fn b() { super::a::a() }", &["a", "b"]),
        ("in macros", "pub fn a() { f!(crate::B); }", "pub struct B; fn b() { f!(super::a::a()) }", &["a", "b"]),
        ("by a module", "use super::b; fn a() { b::b() }", "use super::a; fn b() { a::a() }", &["a", "b"]),
        ("by a module alone", "use super::b; fn a() {}", "use super::a; fn b() { a::a() }", &[]),
        ("in tests", "#[cfg(test)] mod t { use crate::B; } pub struct A;", "use super::A; pub struct B;", &[]),
        ("with the root", "use super::C; pub struct A;", "pub struct B;", &["a", "lib"]),
    ];
    for (name, a, b, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let own = if expected.contains(&"lib") { "pub struct C(A);" } else { "" };
        fs::write(folder.path().join("lib.rs"), format!("{import} {own}")).unwrap();
        for (file, text) in [("a", a), ("b", b)] {
            fs::write(folder.path().join(file).with_extension("rs"), text).unwrap();
        }
        let loops = Imports::of(&folder.path().join("lib.rs")).loops();
        let found: Vec<_> = loops.iter().flatten().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
        assert_eq!(found, *expected, "{name}");
    }
}

/// Loops of files have no exceptions.
fn check(root: &str) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let imports = Imports::of(&package.join(root));
    let lines: Vec<_> = imports.loops().iter().map(|files| imports.told(files, package)).collect();
    assert!(lines.is_empty(), "files import each other in a loop:\n{}", lines.join("\n"));
}

/// Each file, the files that it imports from, and a path that says so.
struct Imports(BTreeMap<PathBuf, BTreeMap<PathBuf, String>>);

impl Imports {
    fn of(root: &Path) -> Self {
        let source = Crate::read(root);
        let mut files = BTreeMap::<_, BTreeMap<_, _>>::new();
        for (id, module) in source.modules.iter().enumerate() {
            let imports = files.entry(module.file.clone()).or_default();
            for path in &module.paths {
                if let Some(file) = source.file_of(id, path).filter(|file| *file != module.file) {
                    imports.entry(file.to_owned()).or_insert_with(|| path.join("::"));
                }
            }
        }
        Self(files)
    }

    /// The shortest way of imports from one file to another, both included.
    fn way(&self, from: &Path, to: &Path) -> Option<Vec<&Path>> {
        let (from, _) = self.0.get_key_value(from)?;
        let mut before = BTreeMap::<&Path, Option<&Path>>::from([(from.as_path(), None)]);
        let mut to_do = VecDeque::from([from.as_path()]);
        while let Some(at) = to_do.pop_front() {
            if at == to {
                let mut way: Vec<_> = std::iter::successors(Some(at), |file| before[file]).collect();
                way.reverse();
                return Some(way);
            }
            for next in self.0[at].keys().filter(|next| self.0.contains_key(*next)) {
                if !before.contains_key(next.as_path()) {
                    before.insert(next, Some(at));
                    to_do.push_back(next);
                }
            }
        }
        None
    }

    /// The smallest loops, no import in two of them.
    fn loops(&self) -> Vec<Vec<PathBuf>> {
        let mut left = Self(self.0.clone());
        let mut found = Vec::new();
        loop {
            let imports = left.0.iter().flat_map(|(from, imports)| imports.keys().map(move |to| (from, to)));
            let Some(smallest) = imports.filter_map(|(from, to)| left.way(to, from)).min_by_key(Vec::len) else {
                return found;
            };
            let mut smallest: Vec<_> = smallest.into_iter().map(Path::to_owned).collect();
            // From the import that closes it on, the loop reads the same wherever it begins.
            let first = smallest.iter().enumerate().min_by_key(|(_, file)| *file).unwrap().0;
            smallest.rotate_left(first);
            for (from, to) in smallest.iter().zip(smallest.iter().cycle().skip(1)) {
                left.0.get_mut(from).unwrap().remove(to);
            }
            found.push(smallest);
        }
    }

    fn told(&self, files: &[PathBuf], package: &Path) -> String {
        let name = |file: &Path| file.strip_prefix(package).unwrap_or(file).display().to_string();
        let steps = files.iter().zip(files.iter().cycle().skip(1));
        let steps = steps.map(|(from, to)| format!("{} -> ({}) ", name(from), self.0[from][to]));
        format!("{}{}", steps.collect::<String>(), name(&files[0]))
    }
}
