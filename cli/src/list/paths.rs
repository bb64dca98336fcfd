//! `layercage list --final` and `--files`: the paths of the final file system.

use super::arguments::Contents;
use super::item::Item;
use super::merged::{Digests, Merged, hex};
use super::shown::{mode, path};
use crate::only::{Pattern, notes, require_matches};
use crate::report::Output;
use crate::tell::{self, Failure};
use layercage::merged::Node;
use std::io::{self, IsTerminal};

/// The widest text of each column.
#[derive(Default)]
struct Widths {
    layer: usize,
    links: usize,
    owner: usize,
    size: usize,
}

/// Prints the paths as `ls -l` does.
pub(super) fn print_final(
    mut merged: Merged,
    only: &[Pattern],
    contents: Contents,
    mut output: Output,
) -> Result<(), Failure> {
    let paths = merged.tree.iter().map(|node| node.path());
    require_matches(("--only", "path of the image"), only, &merged.tree, paths, Pattern::keeps)
        .map_err(Failure::unmatched)?;
    tell::say_notes(&notes(only, &merged.tree), output.is_json());
    let is_listed = |node: &Node<'_>| only.is_empty() || only.iter().any(|only| only.keeps(node.path().as_bytes()));
    let digests = digests(&mut merged, contents, is_listed)?;
    merged.begin(&mut output);
    let tree = &merged.tree;
    let mut widths = Widths { layer: "LAYER".len(), links: "LINKS".len(), owner: "OWNER".len(), size: "SIZE".len() };
    for item in tree.iter().filter(is_listed).map(Item::from).take_while(|_| !output.is_json()) {
        widths.links = widths.links.max(item.links.to_string().len());
        widths.owner = widths.owner.max(owner(&item).len());
        widths.size = widths.size.max(item.size().len());
    }
    output.heading(|| {
        row(&widths, ["LAYER", "MODE", "LINKS", "OWNER", "SIZE"], digests.as_ref().map(|_| "SHA-256"), "PATH")
    });
    for node in tree.iter().filter(is_listed) {
        let item = Item::from(node);
        let digest = digests.as_ref().map(|digests| digests.get(&item.inode).map(hex));
        output.line(
            || merged.object(&node, digest.clone().flatten()),
            || {
                let (layer, links) = (item.layer.to_string(), item.links.to_string());
                let (mode, owner, size) =
                    (mode(item.kind, item.metadata.mode, &item.metadata.xattrs), owner(&item), item.size());
                let digest = digest.as_ref().map(|digest| digest.as_deref().unwrap_or("-"));
                row(&widths, [&layer, &mode, &links, &owner, &size], digest, &item.shown())
            },
        );
    }
    merged.end(output)
}

/// Prints the paths that match and are no directories, one per line; or the files among them as `sha256sum` does.
pub(super) fn print_files(
    mut merged: Merged,
    globs: &[Pattern],
    contents: Contents,
    mut output: Output,
) -> Result<(), Failure> {
    let has_kind = |node: &Node<'_>| match contents {
        Contents::Hashed => node.is_file(),
        Contents::Skipped => !node.is_directory(),
    };
    let what = if contents == Contents::Hashed { "regular file of the image" } else { "file or link of the image" };
    let paths = merged.tree.iter().filter(has_kind).map(|node| node.path());
    require_matches(("--files", what), globs, &merged.tree, paths, Pattern::matches).map_err(Failure::unmatched)?;
    let is_listed = |node: &Node<'_>| has_kind(node) && globs.iter().any(|glob| glob.matches(node.path().as_bytes()));
    // A program checks the sums, and a person may not be able to trust the names.
    let is_escaped = io::stdout().is_terminal();
    let digests = digests(&mut merged, contents, is_listed)?;
    merged.begin(&mut output);
    for node in merged.tree.iter().filter(is_listed) {
        let item = Item::from(node);
        let digest = digests.as_ref().and_then(|digests| digests.get(&item.inode)).map(hex);
        output.line_of_bytes(
            || merged.object(&node, digest.clone()),
            || match &digest {
                None => path(item.path.as_bytes()).into_bytes(),
                Some(digest) if is_escaped => format!("{digest}  {}", path(item.path.as_bytes())).into_bytes(),
                Some(digest) => sum_line(digest, item.path.as_bytes()),
            },
        );
    }
    merged.end(output)
}

/// A line as `sha256sum` writes and checks it: a backslash in front of all says that `\`, newline and carriage return of the
/// name are escaped. Other bytes are as they are.
fn sum_line(digest: &str, path: &[u8]) -> Vec<u8> {
    let is_escaped = path.iter().any(|byte| b"\\\n\r".contains(byte));
    let mut line = if is_escaped { b"\\".to_vec() } else { Vec::new() };
    line.extend_from_slice(digest.as_bytes());
    line.extend_from_slice(b"  ");
    for byte in path {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            byte => line.push(*byte),
        }
    }
    line
}

fn digests(
    merged: &mut Merged,
    contents: Contents,
    is_listed: impl Fn(&Node<'_>) -> bool,
) -> Result<Option<Digests>, Failure> {
    match contents {
        Contents::Hashed => merged.digests(|node| is_listed(&node)).map(Some),
        Contents::Skipped => Ok(None),
    }
}

fn owner(item: &Item<'_>) -> String {
    format!("{}:{}", item.metadata.uid, item.metadata.gid)
}

fn row(widths: &Widths, [layer, mode, links, owner, size]: [&str; 5], digest: Option<&str>, path: &str) -> String {
    let Widths { layer: w1, links: w2, owner: w3, size: w4 } = widths;
    let digest = digest.map(|digest| format!(" {digest:<64}")).unwrap_or_default();
    format!("{layer:>w1$} {mode:<11} {links:>w2$} {owner:<w3$} {size:>w4$}{digest} {path}")
}
