//! `layercage rules` and `layercage explain`: the tables of rules and limits and what is behind each, as text or as JSON.

use crate::explain::explanation;
use crate::remedy;
use crate::report::Output;
use layercage::error::Escaped;
use layercage::policy::{Preset, Verdict};
use layercage::rules::{Limit, QuirkRule, Row, ViolationRule};
use serde_json::{Map, Value, json};
use std::io;

/// Prints the rules, a line each: those that policy decides with the verdict of each preset, then those that
/// are refused always. After them the limits.
pub(crate) fn print(mut output: Output) -> io::Result<()> {
    output.heading(|| line("RULE", ["default", "compatible", "paranoid"], "WHAT IS MET"));
    for rule in all() {
        let row = rule.row;
        output.line(|| object(&rule), || line(row.id, row.verdicts.map(Verdict::name), row.sentence));
    }
    output.heading(|| format!("\n{:<26} {:<13} WHAT IS COUNTED", "LIMIT", "default"));
    for &limit in Limit::ALL {
        let default = Some(limit.default()).filter(|&amount| amount != Limit::OFF);
        output.line(
            || json!({"type": "limit", "id": limit.id(), "default": default}),
            || {
                let default = default.map_or_else(|| "off".to_owned(), |amount| amount.to_string());
                format!("{:<26} {default:<13} {}", limit.id(), counted(limit))
            },
        );
    }
    output.finish()
}

/// The first sentence about a limit.
fn counted(limit: Limit) -> &'static str {
    let what = explanation(limit.id()).and_then(|text| text.strip_prefix("What: ")).unwrap_or_default();
    let line = what.lines().next().unwrap_or_default();
    line.split_once(". ").map_or(line, |(first, _)| first).trim_end_matches('.')
}

/// A rule or a limit with its long form.
pub(crate) struct Explained {
    what: Explainable,
    text: &'static str,
}

enum Explainable {
    Rule(Listed),
    Limit(Limit),
}

/// A rule of either kind.
struct Listed {
    kind: &'static str,
    row: Row,
    help: String,
}

fn all() -> impl Iterator<Item = Listed> {
    let quirk = |rule: &QuirkRule| {
        let row = rule.row();
        let help = remedy::sentence(row.advice, &rule.remedies()).unwrap_or_default();
        Listed { kind: "quirk", row, help }
    };
    let violation =
        |rule: &ViolationRule| Listed { kind: "violation", row: rule.row(), help: remedy::of_violation(*rule) };
    QuirkRule::ALL.iter().map(quirk).chain(ViolationRule::ALL.iter().map(violation))
}

/// Finds what has this id. The brackets that messages put around it may stay.
pub(crate) fn find(id: &str) -> Option<Explained> {
    let id = id.strip_prefix('[').and_then(|id| id.strip_suffix(']')).unwrap_or(id);
    let rules = all().map(|rule| (rule.row.id, Explainable::Rule(rule)));
    let limits = Limit::ALL.iter().map(|limit| (limit.id(), Explainable::Limit(*limit)));
    let (_, what) = rules.chain(limits).find(|(known, _)| *known == id)?;
    Some(Explained { what, text: explanation(id)? })
}

/// Says that nothing has this id, and which ids come close.
pub(crate) fn unknown(id: &str) -> String {
    let ids = all().map(|rule| rule.row.id).chain(Limit::ALL.iter().map(|limit| limit.id()));
    let words: Vec<_> = id.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| word.len() > 2).collect();
    let close: Vec<_> = ids.filter(|known| words.iter().any(|word| known.contains(word))).take(5).collect();
    let close = match close.is_empty() {
        true => String::new(),
        false => format!("; similar are {}", close.join(", ")),
    };
    format!("no rule and no limit is called {}{close}; `layercage rules` lists both", Escaped::new(id.as_bytes()))
}

impl Explained {
    /// Prints the id, the sentence, the verdicts and the long form.
    pub(crate) fn print(&self, mut output: Output) -> io::Result<()> {
        output.line(|| self.object(), || format!("{}\n\n{}", self.head(), self.text));
        output.finish()
    }

    fn head(&self) -> String {
        match &self.what {
            Explainable::Rule(Listed { kind: "violation", row, .. }) => {
                format!("{}: {}\n\nA violation: refused under every policy.", row.id, row.sentence)
            }
            Explainable::Rule(Listed { row, .. }) => {
                let [default, compatible, paranoid] = row.verdicts.map(Verdict::name);
                format!(
                    "{}: {}\n\nA quirk, which policy decides: default {default}, compatible {compatible}, paranoid \
                     {paranoid}.",
                    row.id, row.sentence
                )
            }
            Explainable::Limit(limit) => match limit.default() {
                Limit::OFF => format!("{limit}: a limit, off by default"),
                amount => format!("{limit}: a limit, {amount} by default"),
            },
        }
    }

    fn object(&self) -> Value {
        let mut object = match &self.what {
            Explainable::Rule(rule) => object(rule),
            Explainable::Limit(limit) => {
                let default = Some(limit.default()).filter(|&amount| amount != Limit::OFF);
                json!({"type": "limit", "id": limit.id(), "default": default})
            }
        };
        if let Value::Object(members) = &mut object {
            members.insert("explanation".to_owned(), json!(self.text));
        }
        object
    }
}

fn line(id: &str, [default, compatible, paranoid]: [&str; 3], sentence: &str) -> String {
    format!("{id:<26} {default:<8} {compatible:<11} {paranoid:<9} {sentence}")
}

fn object(Listed { kind, row, help }: &Listed) -> Value {
    let verdicts = Preset::ALL.iter().map(|&preset| (preset.to_string(), json!(row.verdict(preset))));
    let mut object = json!({"type": "rule", "id": row.id, "kind": kind, "sentence": row.sentence});
    if let Value::Object(object) = &mut object {
        object.insert("help".to_owned(), json!(help));
        object.insert("verdicts".to_owned(), Value::Object(Map::from_iter(verdicts)));
    }
    object
}
