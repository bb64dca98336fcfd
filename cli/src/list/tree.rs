//! `layercage list --tree`: directories with the sizes of what they hold, and what upper layers did.

use super::merged::Merged;
use super::rows::{Row, Shown, rows};
use super::shown::{name, path, size};
use super::style::{Colour, Style};
use crate::json::members;
use crate::only::{Pattern, notes};
use crate::report::Output;
use crate::tell::{self, Failure};
use layercage::merged::Kind;
use serde_json::{Value, json};

/// What upper layers did to a path, or to what is below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Nothing.
    None,
    Added,
    Changed,
    Removed,
}

impl Mark {
    /// A directory to which different things were done is changed.
    fn of(row: &Row<'_>) -> Self {
        match row.done {
            done if !(done.added || done.changed || done.removed) => Self::None,
            done if done.changed || done.kept || (done.added && done.removed) => Self::Changed,
            done if done.added => Self::Added,
            // A directory whose files are all gone may still be there.
            _ if row.shown.is_gone() => Self::Removed,
            _ => Self::Changed,
        }
    }

    fn sign(self) -> char {
        match self {
            Self::None => ' ',
            Self::Added => '+',
            Self::Changed => '~',
            Self::Removed => '-',
        }
    }

    fn word(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Added => Some("added"),
            Self::Changed => Some("changed"),
            Self::Removed => Some("removed"),
        }
    }

    fn colour(self) -> Option<Colour> {
        match self {
            Self::None => None,
            Self::Added => Some(Colour::Green),
            Self::Changed => Some(Colour::Yellow),
            Self::Removed => Some(Colour::Red),
        }
    }
}

/// Prints the tree, down to a depth.
pub(super) fn print(
    merged: &Merged,
    only: &[Pattern],
    depth: Option<usize>,
    mut output: Output,
) -> Result<(), Failure> {
    merged.require_ever_there(only)?;
    tell::say_notes(&notes(only, &merged.tree), output.is_json());
    let style = Style::of_output();
    merged.begin(&mut output);
    output.heading(|| style.line(format!("  {:>6} {:>5} PATH", "SIZE", "LAYER"), None));
    for row in rows(&merged.tree, only, depth.unwrap_or(usize::MAX)) {
        let mark = Mark::of(&row);
        output.line(|| object(&row, mark), || style.line(line(&row, mark), mark.colour()));
    }
    merged.end(output)
}

fn line(row: &Row<'_>, mark: Mark) -> String {
    let (sign, size, indent) = (mark.sign(), size(row.size), 2 * row.depth);
    let layer = row.shown.layer().map(|layer| layer.to_string()).unwrap_or_default();
    let name = match row.shown.kind() {
        Kind::Directory => format!("{}/", path(&row.shown.file_name())),
        Kind::Symlink { target } => format!("{} -> {}", name(&row.shown.file_name()), name(target)),
        Kind::File { .. } | Kind::Fifo | Kind::Device(_) => name(&row.shown.file_name()),
    };
    format!("{sign} {size:>6} {layer:>5} {:indent$}{name}", "")
}

fn object(row: &Row<'_>, mark: Mark) -> Value {
    let path = row.shown.path();
    let path = if path.is_root() { b"." } else { path.as_bytes() };
    let mut object = members("path", path);
    let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
    put("type", json!("tree"));
    put("kind", json!(row.shown.kind().name()));
    put("size", json!(row.size));
    put("change", json!(mark.word()));
    row.shown.layer().into_iter().for_each(|layer| put("layer", json!(layer)));
    if let Shown::There(node) = row.shown
        && let Some(replaced) = node.replaced()
    {
        put("replaced_layer", json!(replaced.layer()));
    }
    Value::Object(object)
}
