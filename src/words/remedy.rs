//! What can be done about an error, as data.

use super::{
    Devices, Fifos, FoundInstead, Limit, Limits, Links, Owners, OwnersKind, Policy, Quirk, QuirkRule, Rule, SelectBy,
    SetId, Violation, Xattrs,
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
    /// Apply the file to a directory, as a layer: it is not an image.
    ApplyLayer,
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
            Self::ApplyLayer => f.write_str("apply it to a directory, as a layer"),
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
                Violation::NotAnImage { because } if because.is_layer => vec![Remedy::ApplyLayer],
                Violation::PlatformMissing { .. } => vec![Remedy::Select(SelectBy::Platform)],
                _ => Vec::new(),
            },
        }
    }
}

impl Policy {
    /// Makes the choice of a remedy. `None` if the remedy is not a choice of the policy, or needs what it does not say:
    /// the ranges of a map, or a time. [`Limits::with_remedy`] raises limits.
    ///
    /// ```
    /// # use layercage::Policy;
    /// # use layercage::error::Remedy;
    /// # use layercage::policy::{Devices, Verdict};
    /// # use layercage::rules::QuirkRule;
    /// // What a user chose among the remedies of an error.
    /// let chosen = Remedy::Devices(Devices::Skip);
    /// let policy = Policy::default().with_remedy(&chosen).unwrap();
    /// assert_eq!(policy.verdict(QuirkRule::DeviceNode), Verdict::Note);
    /// assert_eq!(Policy::default().with_remedy(&Remedy::ExpectDigest), None);
    /// ```
    #[must_use]
    pub fn with_remedy(self, remedy: &Remedy) -> Option<Self> {
        match *remedy {
            Remedy::Allow(rule) => Some(self.allow(rule)),
            Remedy::Devices(choice) => Some(self.with_devices(choice)),
            Remedy::Fifos(choice) => Some(self.with_fifos(choice)),
            Remedy::SetId(choice) => Some(self.with_set_id(choice)),
            Remedy::Links(choice) => Some(self.with_links(choice)),
            Remedy::Xattrs(choice) => Some(self.with_xattrs(choice)),
            Remedy::Owners(kind) => Owners::new(kind, None).map(|owners| self.with_owners(owners)),
            Remedy::Raise { .. }
            | Remedy::MapId
            | Remedy::ClampTimes
            | Remedy::ExpectDigest
            | Remedy::Select(_)
            | Remedy::UnpackImage
            | Remedy::ApplyLayer
            | Remedy::ApplyAsLayer => None,
        }
    }
}

impl Limits {
    /// Raises the limit of a remedy to the amount that was seen. A limit that is higher already stays. `None` if the
    /// remedy is not about a limit.
    ///
    /// ```
    /// # use layercage::error::Remedy;
    /// # use layercage::rules::{Limit, Limits};
    /// let remedy = Remedy::Raise { limit: Limit::PathDepth, at_least: 5_000 };
    /// assert_eq!(Limits::default().with_remedy(&remedy).unwrap().most(Limit::PathDepth), 5_000);
    /// assert_eq!(Limits::default().with_remedy(&Remedy::MapId), None);
    /// ```
    #[must_use]
    pub fn with_remedy(self, remedy: &Remedy) -> Option<Self> {
        match *remedy {
            Remedy::Raise { limit, at_least } => {
                let most = self.most(limit).max(at_least);
                Some(self.with(limit, most))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Error, Preset, Verdict};
    use std::fs;
    use std::path::Path;

    #[test]
    fn every_remedy_of_policy_lets_the_quirk_pass_and_every_quirk_has_one() {
        for &rule in QuirkRule::ALL {
            for &preset in Preset::ALL {
                let policy = || Policy::preset(preset).refuse(rule);
                let after: Vec<_> = rule.remedies().iter().filter_map(|remedy| policy().with_remedy(remedy)).collect();
                assert!(!after.is_empty(), "{rule}");
                assert!(after.iter().all(|policy| policy.verdict(rule) != Verdict::Refuse), "{rule}");
            }
        }
    }

    #[test]
    fn a_remedy_is_a_choice_of_the_policy_or_of_the_limits_or_of_neither() {
        let choices = [
            QuirkRule::ALL.iter().map(|&rule| Remedy::Allow(rule)).collect::<Vec<_>>(),
            Devices::ALL.iter().map(|&choice| Remedy::Devices(choice)).collect(),
            Fifos::ALL.iter().map(|&choice| Remedy::Fifos(choice)).collect(),
            SetId::ALL.iter().map(|&choice| Remedy::SetId(choice)).collect(),
            Links::ALL.iter().map(|&choice| Remedy::Links(choice)).collect(),
            Xattrs::ALL.iter().map(|&choice| Remedy::Xattrs(choice)).collect(),
            OwnersKind::ALL.iter().filter(|&&kind| kind != OwnersKind::Map).map(|&kind| Remedy::Owners(kind)).collect(),
        ];
        for remedy in choices.iter().flatten() {
            let policy = Policy::paranoid().with_remedy(remedy).unwrap();
            match *remedy {
                Remedy::Allow(rule) => assert_eq!(policy.verdict(rule), Verdict::Note),
                Remedy::Devices(choice) => assert_eq!(policy.devices(), choice),
                Remedy::Fifos(choice) => assert_eq!(policy.fifos(), choice),
                Remedy::SetId(choice) => assert_eq!(policy.set_id(), choice),
                Remedy::Links(choice) => assert_eq!(policy.links(), choice),
                Remedy::Xattrs(choice) => assert_eq!(policy.xattrs(), choice),
                Remedy::Owners(kind) => assert_eq!(policy.owners().kind(), kind),
                _ => panic!("not a choice of the policy: {remedy}"),
            }
            assert_eq!(Limits::default().with_remedy(remedy), None, "{remedy}");
        }
        for &limit in Limit::ALL {
            let remedy = Remedy::Raise { limit, at_least: 7 };
            let limits = Limits::default().with(limit, 3);
            assert_eq!(limits.with_remedy(&remedy).unwrap(), Limits::default().with(limit, 7));
            let higher = Limits::default().with(limit, 9);
            assert_eq!(higher.clone().with_remedy(&remedy), Some(higher), "a limit is never lowered");
            assert_eq!(Policy::default().with_remedy(&remedy), None, "{remedy}");
        }
        let neither = [
            Remedy::Owners(OwnersKind::Map),
            Remedy::MapId,
            Remedy::ClampTimes,
            Remedy::ExpectDigest,
            Remedy::UnpackImage,
            Remedy::ApplyLayer,
            Remedy::ApplyAsLayer,
        ];
        for remedy in neither.into_iter().chain(SelectBy::ALL.iter().map(|&by| Remedy::Select(by))) {
            assert_eq!(Policy::default().with_remedy(&remedy), None, "{remedy}");
            assert_eq!(Limits::default().with_remedy(&remedy), None, "{remedy}");
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
            "`apply`",
            "`bundle`",
            "`check`",
            "`explain`",
            "`filter`",
            "`list`",
            "`rules`",
            "`unpack`",
        ];
        for row in rows {
            let text = format!("{} {}", row.sentence, row.advice.unwrap_or_default());
            assert!(!own.iter().any(|option| text.contains(option)), "{}: {text}", row.id);
        }
        for remedy in QuirkRule::ALL.iter().flat_map(|rule| rule.remedies()) {
            assert!(!remedy.to_string().contains("--"), "{remedy}");
        }
        // Most texts are beside the code that fails.
        let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.file_stem().unwrap().to_str().unwrap() {
                    "tests" => {}
                    _ if path.is_dir() => directories.push(path),
                    _ => {
                        let text = fs::read_to_string(&path).unwrap();
                        let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
                        let code = code.lines().filter(|line| {
                            !["//", "compile_error!"].iter().any(|it| line.trim_start().starts_with(it))
                        });
                        for line in code {
                            assert!(!own.iter().any(|word| line.contains(word)), "{}: {line}", path.display());
                        }
                    }
                }
            }
        }
    }
}
