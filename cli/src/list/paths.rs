//! `layercage list --final` and `--files`: the paths of the final file system.

use super::arguments::Contents;
use super::item::Item;
use super::merged::{Digests, Merged, hex};
use super::shown::{mode, path};
use crate::only::Pattern;
use crate::report::Output;
use crate::tell::Failure;
use layercage::merged::Node;
use serde_json::{Value, json};

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
    let is_listed = |node: &Node<'_>| only.is_empty() || only.iter().any(|only| only.keeps(node.path().as_bytes()));
    let digests = digests(&mut merged, contents, is_listed)?;
    merged.begin(&mut output);
    let (tree, layers) = (&merged.tree, merged.tree.layer_count());
    let mut widths = Widths { layer: "LAYER".len(), links: "LINKS".len(), owner: "OWNER".len(), size: "SIZE".len() };
    for item in tree.iter().filter(is_listed).map(Item::from).take_while(|_| !output.is_json()) {
        widths.links = widths.links.max(item.links.to_string().len());
        widths.owner = widths.owner.max(owner(&item).len());
        widths.size = widths.size.max(item.size().len());
    }
    output.heading(|| {
        row(&widths, ["LAYER", "MODE", "LINKS", "OWNER", "SIZE"], digests.as_ref().map(|_| "SHA-256"), "PATH")
    });
    for item in tree.iter().filter(is_listed).map(Item::from) {
        let digest = digests.as_ref().map(|digests| digests.get(&item.inode).map(hex));
        output.line(
            || object(&item, layers, digest.clone().flatten()),
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
    let is_listed = |node: &Node<'_>| {
        let has_kind = if contents == Contents::Hashed { node.is_file() } else { !node.is_directory() };
        has_kind && globs.iter().any(|glob| glob.matches(node.path().as_bytes()))
    };
    let digests = digests(&mut merged, contents, is_listed)?;
    merged.begin(&mut output);
    for item in merged.tree.iter().filter(is_listed).map(Item::from) {
        let digest = digests.as_ref().and_then(|digests| digests.get(&item.inode)).map(hex);
        output.line(
            || object(&item, merged.tree.layer_count(), digest.clone()),
            || match &digest {
                None => path(item.path.as_bytes()),
                Some(digest) => format!("{digest}  {}", path(item.path.as_bytes())),
            },
        );
    }
    merged.end(output)
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

fn object(item: &Item<'_>, layers: usize, digest: Option<String>) -> Value {
    let mut object = item.object("path", layers);
    object.extend(digest.map(|digest| ("sha256".to_owned(), json!(digest))));
    Value::Object(object)
}

fn owner(item: &Item<'_>) -> String {
    format!("{}:{}", item.metadata.uid, item.metadata.gid)
}

fn row(widths: &Widths, [layer, mode, links, owner, size]: [&str; 5], digest: Option<&str>, path: &str) -> String {
    let Widths { layer: w1, links: w2, owner: w3, size: w4 } = widths;
    let digest = digest.map(|digest| format!(" {digest:<64}")).unwrap_or_default();
    format!("{layer:>w1$} {mode:<11} {links:>w2$} {owner:<w3$} {size:>w4$}{digest} {path}")
}
