//! What a person can do about an error or a finding, in the options of the command; and the exit codes.

use layercage::Error;
use layercage::audit::Finding;
use layercage::error::{Blame, Remedy, SelectBy};
use layercage::policy::{Devices, Fifos, Links, OwnersKind, SetId, Xattrs};
use layercage::rules::ViolationRule;

/// The exit code for an error.
pub(crate) fn exit_code(error: &Error) -> u8 {
    match error.blame() {
        Blame::Archive => 3,
        Blame::Caller => 2,
        Blame::System | Blame::Bug => 1,
    }
}

/// What to do about an error, if anything.
pub(crate) fn of_error(error: &Error) -> Option<String> {
    sentence(error.advice(), &error.remedies()).or_else(|| error.rule_id().map(explain))
}

/// What to do about a rule that is broken at some place.
pub(crate) fn of_finding(finding: &Finding) -> String {
    let rule = &finding.rule;
    sentence(finding.advice(), &rule.remedies()).unwrap_or_else(|| explain(rule.id()))
}

/// What to do about a violation, whatever it is about in a certain archive.
pub(crate) fn of_violation(rule: ViolationRule) -> String {
    rule.row().advice.map_or_else(|| explain(rule.id()), str::to_owned)
}

/// What to do about something with this advice and these remedies.
pub(crate) fn sentence(advice: Option<&str>, remedies: &[Remedy]) -> Option<String> {
    let remedies: Vec<_> = remedies.iter().map(option).collect();
    match (advice, remedies.join("; ")) {
        (None, remedies) => Some(remedies).filter(|remedies| !remedies.is_empty()),
        (Some(advice), remedies) if remedies.is_empty() => Some(advice.to_owned()),
        (Some(advice), remedies) => Some(format!("{advice}: {remedies}")),
    }
}

fn explain(id: &str) -> String {
    format!("`layercage explain {id}` says more")
}

/// The option for a remedy, and its effect.
fn option(remedy: &Remedy) -> String {
    let text = match remedy {
        Remedy::Allow(rule) => return format!("`--allow {rule}` lets it pass with a note"),
        Remedy::Raise { limit, at_least } => return format!("`--limit {limit}=AMOUNT`, with {at_least} or more"),
        Remedy::Devices(Devices::Skip) => "`--devices skip` drops them",
        Remedy::Fifos(Fifos::Skip) => "`--fifos skip` drops them",
        Remedy::SetId(SetId::Strip) => "`--setid strip` drops them",
        Remedy::Links(Links::Follow) => "`--links follow` follows them inside the root",
        Remedy::Links(Links::Clamp) => "`--links clamp` stops at the root, as a chroot does",
        Remedy::Xattrs(Xattrs::Safe) => "`--xattrs safe` lets it pass with a note",
        Remedy::Xattrs(Xattrs::None) => "`--xattrs none` drops all extended attributes",
        Remedy::Owners(OwnersKind::Caller) => "`--owners caller` makes you the owner of all files",
        Remedy::Owners(OwnersKind::Map) => "`--owners map` gives them owners that exist there",
        Remedy::Owners(OwnersKind::Record) => "`--owners record` stores the owners in an attribute",
        Remedy::MapId => "add the id to `--uid-map` and `--gid-map`",
        Remedy::ClampTimes => "`--mtime clamp=SECONDS` makes late times earlier",
        Remedy::ExpectDigest => "`--digest` or `--diff-id` gives its digest",
        Remedy::Select(by) => select(*by),
        Remedy::UnpackImage => "`layercage unpack` takes images",
        Remedy::ApplyLayer => "`layercage apply` applies it to a directory",
        Remedy::ApplyAsLayer => "`--as layer` takes it for a layer all the same",
        // Choices that no error suggests, in the words of the library.
        other => return other.to_string(),
    };
    text.to_owned()
}

fn select(by: SelectBy) -> &'static str {
    match by {
        SelectBy::Platform => "`--platform OS/ARCH[/VARIANT]` selects another platform",
        SelectBy::Name => "`--ref NAME`, or IMAGE:NAME, selects by name; `layercage list --images IMAGE` lists all",
        SelectBy::Position => "positions count from 0; `layercage list --images IMAGE` lists them",
        SelectBy::Digest => {
            "`--manifest-digest DIGEST` selects by the digest of the manifest, `--image-id ID` by that of the configuration"
        }
        SelectBy::ManifestDigest => "`--manifest-digest DIGEST` selects by the digest of the manifest",
        SelectBy::ImageId => "`--image-id ID` selects by the image ID, the digest of the configuration",
        _ => {
            "`--ref NAME` chooses by name, `--image-id ID` or `--manifest-digest DIGEST` by digest, IMAGE:@N by position; \
             `layercage list --images IMAGE` lists all"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layercage::error::{Misuse, Position};
    use layercage::rules::{QuirkRule, Rule, Violation};

    #[test]
    fn every_remedy_of_every_quirk_is_an_option() {
        for rule in QuirkRule::ALL {
            let row = rule.row();
            let text = sentence(row.advice, &rule.remedies()).unwrap();
            assert!(text.contains("`--"), "{rule}: {text}");
            for remedy in rule.remedies() {
                assert_ne!(option(&remedy), remedy.to_string(), "{rule}: the words of the library");
            }
        }
        let text = sentence(QuirkRule::RaggedEnd.row().advice, &QuirkRule::RaggedEnd.remedies());
        assert_eq!(text.as_deref(), Some("`--allow ragged-end` lets it pass with a note"));
    }

    #[test]
    fn a_violation_without_advice_is_explained() {
        assert_eq!(of_violation(ViolationRule::NameClimbs), "`layercage explain name-climbs` says more");
        let finding = Finding { rule: Rule::Violation(Violation::NameClimbs), position: Position::default() };
        assert_eq!(of_finding(&finding), of_violation(ViolationRule::NameClimbs));
        assert!(ViolationRule::ALL.iter().all(|&rule| !of_violation(rule).is_empty()));
    }

    #[test]
    fn the_blame_is_the_exit_code() {
        let system = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(exit_code(&Violation::Truncated.into()), 3);
        assert_eq!(exit_code(&Misuse::Poisoned.into()), 2);
        assert_eq!(exit_code(&Error::system("openat", b"a", system)), 1);
    }
}
