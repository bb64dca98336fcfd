//! Notes, findings and reports.

use super::{Position, Quirk, Rule};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

/// A quirk that passed with a note, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The quirk.
    pub quirk: Quirk,
    /// Where it is.
    pub position: Position,
}

/// The id in brackets, the position, and what was done about the quirk.
impl Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.position.message(self.quirk.id(), &self.quirk.noted()))
    }
}

/// A rule that an archive breaks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Where it is.
    pub position: Position,
}

/// The id in brackets, the position and the sentence.
impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.position.message(self.rule.id(), &self.rule))
    }
}

impl Finding {
    /// What a person can do about it outside of this library, if anything: the same as for an error at this position.
    pub fn advice(&self) -> Option<&'static str> {
        self.rule.advice_at(&self.position)
    }
}

/// The result of applying a layer or an image.
///
/// Notes are counted for every rule and kept up to [`Report::KEPT`], so that hostile input cannot fill
/// memory with them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    notes: Vec<Note>,
    counts: BTreeMap<&'static str, u64>,
    /// Entries read, whiteouts included.
    pub entries: u64,
    /// Bytes of file content written, holes included. In the report of a session, these are the bytes of all entries, those of
    /// merged layers, too. Functions that write a merged tree return those of the output instead.
    pub bytes_written: u64,
}

impl Report {
    /// How many notes are kept with their positions.
    pub const KEPT: usize = 1_000;

    /// Adds a note.
    pub fn note(&mut self, note: Note) {
        let count = self.counts.entry(note.quirk.id()).or_default();
        *count += 1;
        // The first of each rule is always kept: a flood of one must not hide another.
        if self.notes.len() < Self::KEPT || *count == 1 {
            self.notes.push(note);
        }
    }

    /// The notes that were kept, in order.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// How often each rule was noted, by its id.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(&id, &count)| (id, count))
    }

    /// The number of all notes, of which [`Report::notes`] keeps only the first [`Report::KEPT`] and the first of each
    /// rule.
    pub fn note_count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How often one rule was noted.
    pub fn count(&self, id: &str) -> u64 {
        self.counts.get(id).copied().unwrap_or_default()
    }

    /// Adds the report of another layer.
    pub fn merge(&mut self, other: Self) {
        let mut rules: BTreeSet<_> = self.counts.keys().copied().collect();
        for note in other.notes {
            // As in `note`: the first of each rule is kept, however many there are of others.
            let is_first = rules.insert(note.quirk.id());
            if self.notes.len() < Self::KEPT || is_first {
                self.notes.push(note);
            }
        }
        for (id, count) in other.counts {
            *self.counts.entry(id).or_default() += count;
        }
        self.entries += other.entries;
        self.bytes_written += other.bytes_written;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{DeviceKind, Error, Octal, Violation};

    fn report(quirks: impl IntoIterator<Item = Quirk>) -> Report {
        let mut report = Report::default();
        quirks.into_iter().for_each(|quirk| report.note(Note { quirk, position: Position::default() }));
        report
    }

    #[test]
    fn a_flood_of_one_rule_in_one_layer_hides_no_rule_of_the_next() {
        let flood = || std::iter::repeat_n(Quirk::DuplicatePath, Report::KEPT + 5);
        let mut merged = report(flood());
        merged.merge(report(flood().chain([Quirk::RaggedEnd { bytes: 7 }, Quirk::RaggedEnd { bytes: 8 }])));
        merged.merge(report([Quirk::RaggedEnd { bytes: 9 }, Quirk::OneZeroBlock]));
        assert_eq!(merged.notes().len(), Report::KEPT + 2);
        let kept: Vec<_> = merged.notes().iter().skip(Report::KEPT).map(|note| note.quirk.clone()).collect();
        assert_eq!(kept, [Quirk::RaggedEnd { bytes: 7 }, Quirk::OneZeroBlock]);
        assert_eq!(merged.note_count(), 2 * (Report::KEPT as u64 + 5) + 4, "those that are not kept count, too");
        assert_eq!(merged.count("duplicate-path"), 2 * (Report::KEPT as u64 + 5));
        assert_eq!((merged.count("ragged-end"), merged.count("one-zero-block")), (3, 1));
    }

    #[test]
    fn a_note_says_what_was_done_and_a_finding_does_not() {
        let device = Quirk::DeviceNode { kind: DeviceKind::Character, major: 5, minor: 1 };
        let position = Position::default();
        let note = Note { quirk: device.clone(), position: position.clone() };
        assert_eq!(note.to_string(), "[device-node]: a device node is dropped: kind character, major 5, minor 1");
        let finding = Finding { rule: Rule::Quirk(device), position: position.clone() };
        assert_eq!(finding.to_string(), "[device-node]: a device node: kind character, major 5, minor 1");
        for quirk in [Quirk::DeviceZero, Quirk::Fifo, Quirk::SetId { mode: Octal(0o4755) }] {
            let note = Note { quirk, position: position.clone() }.to_string();
            assert!(note.contains("dropped"), "{note}");
        }
        assert_eq!(
            Note { quirk: Quirk::GzipPadding, position }.to_string(),
            "[gzip-padding]: zeros follow the compressed data"
        );
    }

    #[test]
    fn a_place_that_is_not_known_leaves_no_gap() {
        let violation = Violation::Compression { format: "xz".into() };
        let finding = |position| Finding { rule: Rule::Violation(violation.clone()), position }.to_string();
        let sentence = "unsupported compression: format xz";
        assert_eq!(finding(Position::default()), format!("[compression]: {sentence}"));
        let first = Position { offset: Some(0), ..Position::default() };
        assert_eq!(finding(first.clone()), format!("[compression]: byte 0: {sentence}"));
        let error = |position| Error::from(violation.clone()).at(position).to_string();
        assert_eq!(error(Position::default()), format!("refused [compression]: {sentence}"));
        assert_eq!(error(first), format!("refused [compression]: byte 0: {sentence}"));
    }
}
