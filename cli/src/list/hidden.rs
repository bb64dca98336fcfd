//! `layercage list --hidden`: what upper layers hid.

use super::arguments::Contents;
use super::item::Item;
use super::merged::{Merged, hex};
use crate::only::Pattern;
use crate::report::Output;
use crate::tell::Failure;
use layercage::merged::Hidden;

/// Prints the hidden paths, in the order in which the layers brought them.
pub(super) fn print(
    mut merged: Merged,
    only: &[Pattern],
    contents: Contents,
    mut output: Output,
) -> Result<(), Failure> {
    merged.require_ever_there(only)?;
    let is_listed = |hidden: &Hidden<'_>| only.is_empty() || only.iter().any(|it| it.keeps(hidden.path().as_bytes()));
    let digests = match contents {
        Contents::Hashed => Some(merged.hidden_digests(|hidden| is_listed(&hidden))?),
        Contents::Skipped => None,
    };
    merged.begin(&mut output);
    let heading = digests.as_ref().map(|_| "SHA-256");
    output.heading(|| row(["LAYER", "HIDDEN BY", "HOW", "SIZE"], heading, "PATH"));
    for hidden in merged.tree.hidden().filter(is_listed) {
        let item = Item::from(hidden);
        let digest = digests.as_ref().map(|digests| digests.get(&item.inode).map(hex));
        output.line(
            || merged.object(&hidden, digest.clone().flatten()),
            || {
                let (layer, by) = (item.layer.to_string(), hidden.hidden_by().to_string());
                let digest = digest.as_ref().map(|digest| digest.as_deref().unwrap_or("-"));
                row([&layer, &by, hidden.how().name(), &item.size()], digest, &item.shown())
            },
        );
    }
    merged.end(output)
}

fn row([layer, by, how, size]: [&str; 4], digest: Option<&str>, path: &str) -> String {
    let digest = digest.map(|digest| format!(" {digest:<64}")).unwrap_or_default();
    format!("{layer:>5} {by:>9} {how:<15} {size:>10}{digest} {path}")
}
