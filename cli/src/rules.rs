//! `layercage rules`: the table of rules, as text or as JSON.

use crate::report::Output;
use layercage::{Preset, QuirkRule, Row, Verdict, ViolationRule};
use serde_json::{Map, Value, json};
use std::io;

/// Prints the rules, a line each: those that policy decides with the verdict of each preset, then those that
/// are refused always.
pub(crate) fn print(mut output: Output) -> io::Result<()> {
    output.heading(|| line("RULE", ["default", "compatible", "paranoid"], "WHAT IS MET"));
    let quirks = QuirkRule::ALL.iter().map(|rule| ("quirk", rule.row()));
    let violations = ViolationRule::ALL.iter().map(|rule| ("violation", rule.row()));
    for (kind, row) in quirks.chain(violations) {
        output.line(|| object(kind, &row), || line(row.id, row.verdicts.map(Verdict::word), row.sentence));
    }
    output.finish()
}

fn line(id: &str, [default, compatible, paranoid]: [&str; 3], sentence: &str) -> String {
    format!("{id:<26} {default:<8} {compatible:<11} {paranoid:<9} {sentence}")
}

fn object(kind: &str, row: &Row) -> Value {
    let presets = [Preset::Default, Preset::Compatible, Preset::Paranoid];
    let verdicts = presets.map(|preset| (preset.to_string(), json!(row.verdict(preset).word())));
    let mut object = json!({"type": "rule", "id": row.id, "kind": kind, "sentence": row.sentence});
    if let Value::Object(object) = &mut object {
        object.extend((!row.help.is_empty()).then(|| ("help".to_owned(), json!(row.help))));
        object.insert("verdicts".to_owned(), Value::Object(Map::from_iter(verdicts)));
    }
    object
}
