//! `layercage list --layers`: the layers, and what each did.

use super::merged::Merged;
use super::shown::{name, size};
use super::style::Style;
use crate::report::Output;
use crate::tell::Failure;
use layercage::image::HistoryEntry;
use layercage::merged::LayerSummary;
use serde_json::{Map, Value, json};

/// How many digits of a digest are shown.
const DIGITS: usize = 12;

/// The columns that the step of the history needs beside the others.
const MADE: usize = 30;

const HEADING: [&str; 9] =
    ["LAYER", "DIGEST", "STORED", "UNPACKED", "ENTRIES", "ADDED", "CHANGED", "REMOVED", "HIDDEN"];

/// Prints the layers, the lowest first.
pub(super) fn print(merged: &Merged, mut output: Output) -> Result<(), Failure> {
    let (style, layers) = (Style::of_output(), merged.tree.layers());
    merged.begin(&mut output);
    output.heading(|| text(style, row(HEADING), "CREATED BY"));
    for summary in &layers {
        let described = merged.image().and_then(|image| image.layers().get(summary.number - 1));
        let history = described.and_then(|layer| layer.history());
        output.line(|| object(summary, history, layers.len()), || text(style, line(summary), &made(history)));
    }
    merged.end(output)
}

/// A line with the step of the history behind it, or below it on a narrow terminal.
fn text(style: Style, line: String, made: &str) -> String {
    match style.has_room(line.len() + MADE) {
        true => style.line(format!("{line} {made}"), None),
        false => format!("{}\n{}", style.line(line, None), style.line(format!("      {made}"), None)),
    }
}

/// The step of the history that made a layer.
fn made(history: Option<&HistoryEntry>) -> String {
    let made = history.and_then(|history| history.created_by().or(history.comment()));
    made.map_or_else(|| "-".to_owned(), |made| name(made.as_bytes()))
}

fn line(summary: &LayerSummary) -> String {
    // An old archive of `docker save` names its layers by their diff IDs.
    let digest = summary.digest.or(summary.diff_id).map(|digest| digest.hex()).unwrap_or_default();
    let digest = digest.get(..DIGITS).unwrap_or("-");
    let [stored, unpacked, hidden] = &[summary.blob_bytes, summary.unpacked_bytes, summary.hidden_bytes].map(size);
    let counts = [summary.number as u64, summary.entries, summary.added, summary.changed, summary.removed];
    let [number, entries, added, changed, removed] = &counts.map(|count| count.to_string());
    row([number, digest, stored, unpacked, entries, added, changed, removed, hidden])
}

fn row([number, digest, stored, unpacked, entries, added, changed, removed, hidden]: [&str; 9]) -> String {
    format!(
        "{number:>5} {digest:<12} {stored:>6} {unpacked:>8} {entries:>7} {added:>6} {changed:>7} {removed:>7} {hidden:>6}"
    )
}

fn object(summary: &LayerSummary, history: Option<&HistoryEntry>, layers: usize) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| drop(object.insert(key.to_owned(), value));
    put("type", json!("layer"));
    put("layer", json!(summary.number));
    put("layers", json!(layers));
    put("digest", json!(summary.digest));
    put("diff_id", json!(summary.diff_id));
    put("size", json!(summary.blob_bytes));
    put("unpacked_size", json!(summary.unpacked_bytes));
    put("entries", json!(summary.entries));
    put("added", json!(summary.added));
    put("changed", json!(summary.changed));
    put("removed", json!(summary.removed));
    put("hidden_size", json!(summary.hidden_bytes));
    put("created", json!(history.and_then(HistoryEntry::created)));
    put("created_by", json!(history.and_then(HistoryEntry::created_by)));
    put("comment", json!(history.and_then(HistoryEntry::comment)));
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_narrow_terminal_the_history_has_a_line_of_its_own() {
        let line = "123456789 123456789".to_owned();
        let shown = |columns| text(Style::of_width(columns), line.clone(), "RUN make && make install && true");
        assert_eq!(shown(None), "123456789 123456789 RUN make && make install && true");
        assert_eq!(shown(Some(50)), "123456789 123456789 RUN make && make install && t…");
        assert_eq!(shown(Some(24)), "123456789 123456789\n      RUN make && make …");
    }
}
