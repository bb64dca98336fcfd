//! How a tree differs from the one that the layers say, in words.

use super::tree::Listing;
use std::collections::BTreeMap;

pub(crate) const NOTHING: &str = "nothing";

/// Every difference, counted by its kind.
pub(crate) fn compare(expected: &Listing, found: &Listing) -> String {
    let mut wrong = BTreeMap::<String, usize>::new();
    let mut note = |what: String| *wrong.entry(what).or_default() += 1;
    for (path, is) in found.iter().filter(|(path, _)| *path != b".") {
        let Some(should) = expected.get(path) else {
            let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            note(if last.starts_with(b".wh.") { "whiteouts left as files" } else { "entries not removed" }.into());
            continue;
        };
        let kind = &should["type"];
        if is["type"] != *kind {
            note(format!("{} made {}", plural(kind), plural(&is["type"])));
            continue;
        }
        let mut fields: Vec<_> = should.keys().chain(is.keys()).collect();
        fields.sort();
        fields.dedup();
        for field in fields.into_iter().filter(|&field| should.get(field) != is.get(field)) {
            note(match field.as_str() {
                "hardlink" => "hard links lost".into(),
                "mtime" => format!("times of {}", plural(kind)),
                "uid" | "gid" => format!("owners of {}", plural(kind)),
                "mode" => format!("modes of {}", plural(kind)),
                "size" | "sha256" => "contents".into(),
                other => format!("{other} of {}", plural(kind)),
            });
        }
    }
    expected.keys().filter(|path| !found.contains_key(*path)).for_each(|_| note("entries missing".into()));
    match wrong.is_empty() {
        true => NOTHING.into(),
        false => wrong.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", "),
    }
}

fn plural(kind: &str) -> &str {
    match kind {
        "file" => "files",
        "dir" => "directories",
        "symlink" => "symbolic links",
        "fifo" => "FIFOs",
        "char" | "block" => "devices",
        other => other,
    }
}
