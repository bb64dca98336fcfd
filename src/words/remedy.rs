//! What can be done about an error, as data.

use super::{
    Devices, Fifos, FoundInstead, Limit, Links, OwnersKind, Quirk, QuirkRule, Rule, SelectBy, SetId, Violation, Xattrs,
};
use std::fmt::{self, Display};

/// One thing that can be done about an error or a finding. [`Error::remedies`](crate::Error::remedies) and
/// [`Rule::remedies`] return these.
///
/// A remedy is a decision of the user: a program that applies remedies on its own gives up the protection.
///
/// ```
/// # use layercage::error::Remedy;
/// # use layercage::policy::Devices;
/// # use layercage::rules::QuirkRule;
/// assert_eq!(QuirkRule::DeviceNode.remedies(), [Remedy::Devices(Devices::Skip)]);
/// assert_eq!(Remedy::Devices(Devices::Skip).to_string(), "handle devices as `skip`");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remedy {
    /// Let the quirk pass with a note: [`Policy::allow`](crate::Policy::allow).
    Allow(QuirkRule),
    /// Raise a limit: [`Limits::with`](crate::Limits::with).
    Raise {
        /// The limit.
        limit: Limit,
        /// The amount that was seen. The whole archive may need more.
        at_least: u64,
    },
    /// Choose how devices are handled: [`Policy::with_devices`](crate::Policy::with_devices).
    Devices(Devices),
    /// Choose how named pipes are handled: [`Policy::with_fifos`](crate::Policy::with_fifos).
    Fifos(Fifos),
    /// Choose how setuid, setgid and sticky bits are handled: [`Policy::with_set_id`](crate::Policy::with_set_id).
    SetId(SetId),
    /// Choose how links are handled: [`Policy::with_links`](crate::Policy::with_links).
    Links(Links),
    /// Choose which extended attributes are set: [`Policy::with_xattrs`](crate::Policy::with_xattrs).
    Xattrs(Xattrs),
    /// Choose the owners of files: [`Policy::with_owners`](crate::Policy::with_owners).
    Owners(OwnersKind),
    /// Add the id to the map of [`Owners::Map`](crate::policy::Owners::Map).
    MapId,
    /// Lower times to one that the file system can store: [`Mtime::Clamp`](crate::policy::Mtime::Clamp).
    ClampTimes,
    /// Give the digest or the diff ID of the layer: [`Expected`](crate::Expected).
    ExpectDigest,
    /// Select another image, or select it in another way.
    Select(SelectBy),
    /// Unpack the file as an image.
    UnpackImage,
    /// Apply the file as a layer all the same.
    ApplyAsLayer,
}

impl Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow(rule) => write!(f, "allow the rule `{rule}`"),
            Self::Raise { limit, at_least } => write!(f, "raise the limit `{limit}` to at least {at_least}"),
            Self::Devices(choice) => write!(f, "handle devices as `{choice}`"),
            Self::Fifos(choice) => write!(f, "handle named pipes as `{choice}`"),
            Self::SetId(choice) => write!(f, "handle setuid, setgid and sticky bits as `{choice}`"),
            Self::Links(choice) => write!(f, "handle links as `{choice}`"),
            Self::Xattrs(choice) => write!(f, "handle extended attributes as `{choice}`"),
            Self::Owners(choice) => write!(f, "handle owners as `{choice}`"),
            Self::MapId => f.write_str("add the id to the map of owners"),
            Self::ClampTimes => f.write_str("clamp the times"),
            Self::ExpectDigest => f.write_str("give the digest or the diff ID of the layer"),
            Self::Select(SelectBy::Any) => f.write_str("select one by its name, platform, position or digest"),
            Self::Select(SelectBy::ManifestDigest) => f.write_str("select by the digest of the manifest"),
            Self::Select(SelectBy::ImageId) => f.write_str("select by the digest of the configuration, the image ID"),
            Self::Select(by) => write!(f, "select by another {by}"),
            Self::UnpackImage => f.write_str("unpack it as an image"),
            Self::ApplyAsLayer => f.write_str("apply it as a layer all the same"),
        }
    }
}

impl QuirkRule {
    /// What lets an archive with this quirk pass, the most fitting first.
    pub fn remedies(self) -> Vec<Remedy> {
        let allow = Remedy::Allow(self);
        match self {
            Self::DeviceNode | Self::DeviceZero => vec![Remedy::Devices(Devices::Skip)],
            Self::Fifo => vec![Remedy::Fifos(Fifos::Skip)],
            Self::SetId => vec![Remedy::SetId(SetId::Strip)],
            Self::LinkParent => vec![Remedy::Links(Links::Follow)],
            Self::LinkClimbs => vec![Remedy::Links(Links::Clamp)],
            Self::XattrUnsupported => vec![Remedy::Xattrs(Xattrs::Safe)],
            Self::OwnerUnmapped => vec![Remedy::MapId, allow],
            Self::TimeClamped => vec![Remedy::ClampTimes, allow],
            Self::UnmarkedEnd => vec![Remedy::ExpectDigest, allow],
            Self::ListsDisagree => vec![Remedy::Select(SelectBy::Digest), allow],
            _ => vec![allow],
        }
    }
}

impl Rule {
    /// What the caller can choose so that the archive passes, the most fitting first; empty if there is nothing.
    pub fn remedies(&self) -> Vec<Remedy> {
        match self {
            Self::Quirk(Quirk::UnmarkedEnd { bytes }) if bytes.0 == 0 => Vec::new(),
            Self::Quirk(quirk) => quirk.rule().remedies(),
            Self::Violation(violation) => match violation {
                Violation::LimitExceeded { limit, amount, .. } => {
                    vec![Remedy::Raise { limit: *limit, at_least: *amount }]
                }
                Violation::LinkLoop { hops } => vec![Remedy::Raise { limit: Limit::LinkHops, at_least: *hops }],
                Violation::PinnedManifestMissing { found, .. } => vec![Remedy::Select(match found {
                    FoundInstead::Configuration | FoundInstead::NoManifests => SelectBy::ImageId,
                    FoundInstead::Manifest => SelectBy::ManifestDigest,
                    FoundInstead::Others(_) => SelectBy::Digest,
                })],
                Violation::PlatformMissing { .. } => vec![Remedy::Select(SelectBy::Platform)],
                _ => Vec::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Error, Policy, Preset, Verdict};

    /// The policy after a remedy; `None` if the remedy is not about the policy.
    fn applied(policy: Policy, remedy: Remedy) -> Option<Policy> {
        Some(match remedy {
            Remedy::Allow(rule) => policy.allow(rule),
            Remedy::Devices(choice) => policy.with_devices(choice),
            Remedy::Fifos(choice) => policy.with_fifos(choice),
            Remedy::SetId(choice) => policy.with_set_id(choice),
            Remedy::Links(choice) => policy.with_links(choice),
            Remedy::Xattrs(choice) => policy.with_xattrs(choice),
            _ => return None,
        })
    }

    #[test]
    fn every_remedy_of_policy_lets_the_quirk_pass_and_every_quirk_has_one() {
        for &rule in QuirkRule::ALL {
            for &preset in Preset::ALL {
                let policy = || Policy::preset(preset).refuse(rule);
                let after: Vec<_> =
                    rule.remedies().into_iter().filter_map(|remedy| applied(policy(), remedy)).collect();
                assert!(!after.is_empty(), "{rule}");
                assert!(after.iter().all(|policy| policy.verdict(rule) != Verdict::Refuse), "{rule}");
            }
        }
    }

    #[test]
    fn a_limit_that_is_exceeded_can_be_raised_to_what_was_seen() {
        let violation = Violation::LimitExceeded { limit: Limit::Entries, most: 7, amount: 8 };
        let error = Error::from(violation);
        assert_eq!(error.remedies(), [Remedy::Raise { limit: Limit::Entries, at_least: 8 }]);
        assert!(format!("{error:?}").ends_with("raise the limit `entries` to at least 8"), "{error:?}");
    }

    #[test]
    fn no_text_of_the_library_names_an_option_of_the_command() {
        let rows = QuirkRule::ALL.iter().map(|rule| rule.row());
        let rows = rows.chain(crate::words::ViolationRule::ALL.iter().map(|rule| rule.row()));
        // What other programs take is not meant.
        let own = [
            "--allow",
            "--digest",
            "--diff-id",
            "--devices",
            "--fifos",
            "--image-id",
            "--limit ",
            "--limit=",
            "--links",
            "--manifest-digest",
            "--mtime",
            "--owners",
            "--platform",
            "--ref",
            "--refuse",
            "--setid",
            "--uid-map",
            "--xattrs",
            "`layercage ",
        ];
        for row in rows {
            let text = format!("{} {}", row.sentence, row.advice.unwrap_or_default());
            assert!(!own.iter().any(|option| text.contains(option)), "{}: {text}", row.id);
        }
        for remedy in QuirkRule::ALL.iter().flat_map(|rule| rule.remedies()) {
            assert!(!remedy.to_string().contains("--"), "{remedy}");
        }
    }
}
