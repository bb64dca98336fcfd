//! `layercage rules`: the table of rules, as text.

use layercage::{QuirkRule, Row, Verdict, ViolationRule};
use std::io::{self, Write};

/// Prints the rules, a line each: those that policy decides with the verdict of each preset, then those that
/// are refused always.
pub(crate) fn print(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<26} {:<8} {:<11} {:<9} AN ARCHIVE IS NOTED OR REFUSED WHEN",
        "RULE", "default", "compatible", "paranoid"
    )?;
    for Row { id, sentence, verdicts: [default, compatible, paranoid], .. } in
        QuirkRule::ALL.iter().map(|rule| rule.row())
    {
        let [default, compatible, paranoid] = [default, compatible, paranoid].map(Verdict::word);
        writeln!(out, "{id:<26} {default:<8} {compatible:<11} {paranoid:<9} {sentence}")?;
    }
    for Row { id, sentence, .. } in ViolationRule::ALL.iter().map(|rule| rule.row()) {
        writeln!(out, "{id:<26} {:<8} {:<11} {:<9} {sentence}", "refuse", "refuse", "refuse")?;
    }
    out.flush()
}
