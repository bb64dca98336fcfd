//! A rule that an archive broke, of either kind.

use super::name::PSEUDO_LINKS;
use super::rule::{Quirk, Row, Violation};
#[cfg(feature = "serde")]
use super::rule_data::Datum;
use super::rule_data::{ArchiveBytes, FoundInstead};
use super::{Escaped, Position, Preset, Verdict};
use std::fmt::{self, Display};

/// A rule that an archive broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Refused under every policy.
    Violation(Violation),
    /// Refused because the policy says so.
    Quirk(Quirk),
}

impl Rule {
    /// The rule's stable id.
    pub fn id(&self) -> &'static str {
        self.row().id
    }

    /// What the user can do about it outside of this library: the advice of the rule's row, or a more exact one for
    /// what was found. [`Rule::remedies`] has what this library can do.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Violation(Violation::EntryType { meaning, .. }) => Some(meaning.advice()),
            Self::Violation(Violation::HardLinkMissing { target }) if is_pseudo_link(target) => {
                Some("the data of an AUFS pseudo-link is in the same layer: the layer is incomplete, write it again")
            }
            Self::Violation(Violation::NotATar { found }) => Some(found.advice()),
            Self::Violation(Violation::NotAnImage { because } | Violation::Compression { format: because }) => {
                because.advice.or(self.row().advice)
            }
            // The remedy says all.
            Self::Violation(Violation::PinnedManifestMissing { found, .. })
                if !matches!(found, FoundInstead::Others(_)) =>
            {
                None
            }
            Self::Quirk(Quirk::UnmarkedEnd { bytes: ArchiveBytes(0) }) => {
                Some("the file is empty: write or fetch it again. An empty layer is accepted with its digest")
            }
            _ => self.row().advice,
        }
    }

    /// The advice for the place where the rule is broken.
    pub(super) fn advice_at(&self, position: &Position) -> Option<&'static str> {
        match (self, position.layer) {
            // All lower layers are applied.
            (Self::Violation(Violation::HardLinkMissing { target }), Some(_)) if !is_pseudo_link(target) => Some(
                "neither a lower layer nor an earlier entry has the target: fetch the image again, or build it again",
            ),
            _ => self.advice(),
        }
    }

    /// The data in the sentence of the rule, by name.
    pub fn data(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Violation(violation) => violation.data(),
            Self::Quirk(quirk) => quirk.data(),
        }
    }

    /// The same, for machines.
    #[cfg(feature = "serde")]
    pub(super) fn named_data(&self) -> Vec<(&'static str, &dyn Datum)> {
        match self {
            Self::Violation(violation) => violation.named_data(),
            Self::Quirk(quirk) => quirk.named_data(),
        }
    }

    /// The verdict of a preset: a violation is refused by all of them.
    pub fn verdict(&self, preset: Preset) -> Verdict {
        self.row().verdict(preset)
    }

    /// The rule's row.
    pub fn row(&self) -> Row {
        match self {
            Self::Violation(violation) => violation.rule().row(),
            Self::Quirk(quirk) => quirk.rule().row(),
        }
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::Quirk(quirk) => quirk.fmt(f),
        }
    }
}

/// Whether a hard link names the data of an AUFS pseudo-link.
fn is_pseudo_link(target: &Escaped) -> bool {
    target.bytes().starts_with(PSEUDO_LINKS) && target.bytes().get(PSEUDO_LINKS.len()) == Some(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Because, Error, LayerPosition, Remedy};

    #[test]
    fn a_reason_is_part_of_the_sentence_of_its_rule() {
        let because = "the file is empty".into();
        let said = Violation::NotAnImage { because }.to_string();
        assert_eq!(said, "not an image in a supported form, because the file is empty");
        let because = Because { is_layer: true, ..Because::from("it is a layer") };
        assert_eq!(Error::from(Violation::NotAnImage { because }).remedies(), [Remedy::ApplyLayer]);
        let said = Violation::HardLinkTarget { target: Escaped::new(b""), because: "it is empty" }.to_string();
        assert_eq!(said, r#"the target of a hard link is not a valid name: target "", because it is empty"#);
    }

    #[test]
    fn the_advice_for_a_missing_target_depends_on_what_the_lower_layers_are() {
        let missing = |target: &[u8]| Violation::HardLinkMissing { target: Escaped::new(target) };
        let layer = Some(LayerPosition { number: 2, of: 3 });
        let advice = |target: &[u8], layer| {
            Error::from(missing(target)).at(Position { layer, ..Position::default() }).advice().unwrap()
        };
        assert!(advice(b"usr/bin/a", None).contains("apply the lower layers first"));
        assert!(advice(b"usr/bin/a", layer).starts_with("neither a lower layer nor an earlier entry"));
        for layer in [None, layer] {
            assert!(advice(b".wh..wh.plnk/7.8", layer).contains("AUFS pseudo-link"));
            assert!(!advice(b".wh..wh.plnk2/7.8", layer).contains("AUFS"));
        }
    }
}
