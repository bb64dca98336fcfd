//! How quirks are handled.

use super::{
    Devices, Durability, Fifos, Links, Owners, Preset, QuirkRule, SelinuxLabel, SetId, Timestamp, UnknownWord, Verdict,
    Xattrs,
};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::str::FromStr;

/// How quirks are handled: a [`Preset`], choices, and verdicts on single rules.
///
/// A policy decides about quirks only. A [`Violation`](crate::rules::Violation) is refused under every policy.
/// [`manual::policies`](crate::manual::policies) describes every choice.
///
/// ```
/// # use layercage::Policy;
/// # use layercage::policy::{Devices, Verdict};
/// # use layercage::rules::QuirkRule;
/// let policy = Policy::default().with_devices(Devices::Skip).refuse(QuirkRule::DuplicatePath);
/// assert_eq!(policy.verdict(QuirkRule::DuplicatePath), Verdict::Refuse);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    pub(super) preset: Preset,
    pub(super) choices: Choices,
    pub(super) verdicts: BTreeMap<QuirkRule, Verdict>,
}

/// The choices that differ from the preset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Choices {
    pub(super) devices: Option<Devices>,
    pub(super) fifos: Option<Fifos>,
    pub(super) set_id: Option<SetId>,
    pub(super) links: Option<Links>,
    pub(super) owners: Option<Owners>,
    pub(super) xattrs: Option<Xattrs>,
    pub(super) mtime: Option<Mtime>,
    pub(super) epoch: Option<Timestamp>,
    pub(super) durability: Option<Durability>,
    pub(super) selinux_label: Option<SelinuxLabel>,
}

/// How modification times are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Mtime {
    /// Times are kept, to the nanosecond.
    #[default]
    Keep,
    /// A time that is later than this one is replaced by it.
    Clamp(Timestamp),
}

/// `keep`, or `clamp=` and a time in seconds.
impl Display for Mtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::Clamp(latest) => write!(f, "clamp={latest}"),
        }
    }
}

const UNKNOWN_MTIME: UnknownWord =
    UnknownWord::of_form("a way to handle times", "`keep`, or `clamp=` and a number of seconds since 1970");

impl FromStr for Mtime {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word.strip_prefix("clamp=") {
            Some(latest) => latest.parse().map(Self::Clamp).map_err(|_| UNKNOWN_MTIME),
            None if word == "keep" => Ok(Self::Keep),
            None => Err(UNKNOWN_MTIME),
        }
    }
}

impl Policy {
    /// The verdicts of a preset.
    pub fn preset(preset: Preset) -> Self {
        Self { preset, ..Self::default() }
    }

    /// The preset [`Preset::Compatible`]: accepts most that containerd accepts, with a note for each quirk.
    pub fn compatible() -> Self {
        Self::preset(Preset::Compatible)
    }

    /// The preset [`Preset::Paranoid`]: refuses everything that deserves a note.
    pub fn paranoid() -> Self {
        Self::preset(Preset::Paranoid)
    }

    /// Sets how devices are handled, **refused** by default (**skipped** by `compatible`). This decides the verdicts of
    /// [`QuirkRule::DeviceNode`] and [`QuirkRule::DeviceZero`]. A character device 0:0 is never created: it is skipped if
    /// devices are skipped, and refused otherwise.
    #[must_use]
    pub fn with_devices(mut self, devices: Devices) -> Self {
        self.choices.devices = Some(devices);
        self.choose(&[QuirkRule::DeviceNode, QuirkRule::DeviceZero])
    }

    /// Sets how named pipes are handled, **created** by default. This decides the verdict of [`QuirkRule::Fifo`].
    #[must_use]
    pub fn with_fifos(mut self, fifos: Fifos) -> Self {
        self.choices.fifos = Some(fifos);
        self.choose(&[QuirkRule::Fifo])
    }

    /// Sets how setuid, setgid and sticky bits are handled, **kept** by default. This decides the verdict of
    /// [`QuirkRule::SetId`].
    #[must_use]
    pub fn with_set_id(mut self, set_id: SetId) -> Self {
        self.choices.set_id = Some(set_id);
        self.choose(&[QuirkRule::SetId])
    }

    /// Sets how symbolic links in the parents of a name are handled, **followed** by default (**clamped** by
    /// `compatible`). This decides the verdicts of [`QuirkRule::LinkParent`] and [`QuirkRule::LinkClimbs`].
    #[must_use]
    pub fn with_links(mut self, links: Links) -> Self {
        self.choices.links = Some(links);
        self.choose(&[QuirkRule::LinkParent, QuirkRule::LinkClimbs])
    }

    /// Sets the owners of files, by default **those of the layer, or the caller** if its privileges do not allow that. A
    /// change of owner that was chosen is noted, not refused ([`QuirkRule::OwnerToCaller`]). An id that a map lacks is
    /// refused ([`QuirkRule::OwnerUnmapped`]).
    #[must_use]
    pub fn with_owners(mut self, owners: Owners) -> Self {
        self.choices.owners = Some(owners);
        self.choose(&[QuirkRule::OwnerToCaller, QuirkRule::OwnerUnmapped])
    }

    /// Sets which extended attributes are set, **those that a layer may write** by default. This decides the verdicts of
    /// [`QuirkRule::XattrDropped`] and [`QuirkRule::XattrUnsupported`].
    #[must_use]
    pub fn with_xattrs(mut self, xattrs: Xattrs) -> Self {
        self.choices.xattrs = Some(xattrs);
        self.choose(&[QuirkRule::XattrDropped, QuirkRule::XattrUnsupported])
    }

    /// Sets how modification times are handled, **kept** by default.
    #[must_use]
    pub fn with_mtime(mut self, mtime: Mtime) -> Self {
        self.choices.mtime = Some(mtime);
        self
    }

    /// Sets the time of directories that no entry lists, **1970-01-01** by default.
    #[must_use]
    pub fn with_epoch(mut self, epoch: Timestamp) -> Self {
        self.choices.epoch = Some(epoch);
        self
    }

    /// Sets which data must be on the disk when a tree takes its name or a layer is applied. By default, **the kernel
    /// decides** when it writes.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.choices.durability = Some(durability);
        self
    }

    /// Sets the SELinux label of all files, directories and links that are created. **None** by default: the system decides.
    /// A label that an image states is dropped in any case.
    ///
    /// A label that cannot be set is an error, before the first entry is read.
    #[must_use]
    pub fn with_selinux_label(mut self, label: SelinuxLabel) -> Self {
        self.choices.selinux_label = Some(label);
        self
    }

    /// Lets a quirk pass with a note. For a rule that a choice decides, this is the choice with a note: for
    /// [`QuirkRule::DeviceNode`] it is [`Devices::Skip`]. The last call counts.
    #[must_use]
    pub fn allow(self, rule: QuirkRule) -> Self {
        self.decide(rule, Verdict::Note)
    }

    /// Refuses archives with a quirk.
    #[must_use]
    pub fn refuse(self, rule: QuirkRule) -> Self {
        self.decide(rule, Verdict::Refuse)
    }

    fn decide(mut self, rule: QuirkRule, verdict: Verdict) -> Self {
        self.verdicts.insert(rule, verdict);
        self
    }

    /// Removes earlier verdicts on these rules: the choice decides them now.
    fn choose(mut self, rules: &[QuirkRule]) -> Self {
        self.verdicts.retain(|rule, _| !rules.contains(rule));
        self
    }

    /// How devices are handled.
    pub fn devices(&self) -> Devices {
        Devices::of(self.verdict(QuirkRule::DeviceNode))
    }

    /// How named pipes are handled.
    pub fn fifos(&self) -> Fifos {
        Fifos::of(self.verdict(QuirkRule::Fifo))
    }

    /// How setuid, setgid and sticky bits are handled.
    pub fn set_id(&self) -> SetId {
        SetId::of(self.verdict(QuirkRule::SetId))
    }

    /// How symbolic links in the parents of a name are handled.
    pub fn links(&self) -> Links {
        match (self.verdict(QuirkRule::LinkParent), self.verdict(QuirkRule::LinkClimbs)) {
            (Verdict::Refuse, _) => Links::Refuse,
            (_, Verdict::Refuse) => Links::Follow,
            _ => Links::Clamp,
        }
    }

    /// The owners of files.
    pub fn owners(&self) -> &Owners {
        self.choices.owners.as_ref().unwrap_or(&Owners::Auto)
    }

    /// Which extended attributes are set.
    pub fn xattrs(&self) -> Xattrs {
        self.choices.xattrs.unwrap_or(Xattrs::Safe)
    }

    /// How modification times are handled.
    pub fn mtime(&self) -> Mtime {
        self.choices.mtime.unwrap_or_default()
    }

    /// The time of directories that no entry lists.
    pub fn epoch(&self) -> Timestamp {
        self.choices.epoch.unwrap_or_default()
    }

    /// Which data must be on the disk when a tree takes its name or a layer is applied.
    pub fn durability(&self) -> Durability {
        self.choices.durability.unwrap_or_default()
    }

    /// The SELinux label of what is created.
    pub fn selinux_label(&self) -> Option<&SelinuxLabel> {
        self.choices.selinux_label.as_ref()
    }

    /// Everything that decides what a tree becomes. Choices that repeat the preset have the same text. The durability is not
    /// part of it.
    #[cfg(feature = "image")]
    pub(crate) fn effect(&self) -> String {
        let verdicts: Vec<_> = QuirkRule::ALL.iter().map(|&rule| (rule, self.verdict(rule))).collect();
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {verdicts:?}",
            self.devices(),
            self.fifos(),
            self.set_id(),
            self.links(),
            self.owners(),
            self.xattrs(),
            self.mtime(),
            self.epoch(),
            self.selinux_label(),
        )
    }

    /// How an archive with this quirk is handled.
    pub fn verdict(&self, rule: QuirkRule) -> Verdict {
        let single = self.verdicts.get(&rule).copied();
        single.or_else(|| self.choices.verdict(rule)).unwrap_or_else(|| match rule {
            // It follows the choice for devices.
            QuirkRule::DeviceZero if self.devices() == Devices::Skip => Verdict::Note,
            QuirkRule::DeviceZero => Verdict::Refuse,
            rule => rule.row().verdict(self.preset),
        })
    }
}

impl Choices {
    /// The verdict of the choice that decides this rule, if there is one.
    fn verdict(&self, rule: QuirkRule) -> Option<Verdict> {
        let refused_if = |refused| if refused { Verdict::Refuse } else { Verdict::Note };
        match rule {
            QuirkRule::DeviceNode => self.devices.map(Devices::verdict),
            QuirkRule::Fifo => self.fifos.map(Fifos::verdict),
            QuirkRule::SetId => self.set_id.map(SetId::verdict),
            QuirkRule::LinkParent => self.links.map(|links| match links {
                Links::Refuse => Verdict::Refuse,
                Links::Follow | Links::Clamp => Verdict::Pass,
            }),
            QuirkRule::LinkClimbs => self.links.map(|links| refused_if(links != Links::Clamp)),
            QuirkRule::OwnerToCaller => self.owners.as_ref().map(|_| Verdict::Note),
            QuirkRule::OwnerUnmapped => match self.owners {
                Some(Owners::Map(_)) => Some(Verdict::Refuse),
                _ => None,
            },
            QuirkRule::XattrDropped => self.xattrs.map(|xattrs| refused_if(xattrs == Xattrs::Refuse)),
            QuirkRule::XattrUnsupported => self.xattrs.map(|xattrs| refused_if(xattrs == Xattrs::Require)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_rules_stand_over_a_preset() {
        let policy = Policy::paranoid().allow(QuirkRule::RaggedEnd);
        assert_eq!(policy.verdict(QuirkRule::RaggedEnd), Verdict::Note);
        assert_eq!(policy.verdict(QuirkRule::DuplicatePath), Verdict::Refuse);
        assert_eq!(
            Policy::default().refuse(QuirkRule::DuplicatePath).verdict(QuirkRule::DuplicatePath),
            Verdict::Refuse
        );
    }

    #[test]
    fn devices_have_three_choices_and_the_last_word_counts() {
        assert_eq!(Policy::default().devices(), Devices::Refuse);
        assert_eq!(Policy::compatible().devices(), Devices::Skip);
        assert_eq!(Policy::default().allow(QuirkRule::DeviceNode).devices(), Devices::Skip);
        assert_eq!(Policy::paranoid().with_devices(Devices::Create).devices(), Devices::Create);
        let refused = Policy::default().with_devices(Devices::Create).refuse(QuirkRule::DeviceNode);
        assert_eq!(refused.devices(), Devices::Refuse);
        assert_eq!(refused.with_devices(Devices::Create).devices(), Devices::Create);
    }

    #[test]
    fn the_device_that_is_a_whiteout_is_skipped_with_the_others_and_never_made() {
        for preset in Preset::ALL.iter().copied() {
            let policy = || Policy::preset(preset);
            assert_eq!(policy().verdict(QuirkRule::DeviceZero), QuirkRule::DeviceZero.row().verdict(preset));
            for (devices, verdict) in
                [(Devices::Skip, Verdict::Note), (Devices::Create, Verdict::Refuse), (Devices::Refuse, Verdict::Refuse)]
            {
                assert_eq!(policy().with_devices(devices).verdict(QuirkRule::DeviceZero), verdict, "{devices:?}");
                let last = policy().allow(QuirkRule::DeviceZero).with_devices(devices);
                assert_eq!(last.verdict(QuirkRule::DeviceZero), verdict, "the last word counts: {devices:?}");
            }
            assert_eq!(policy().allow(QuirkRule::DeviceNode).verdict(QuirkRule::DeviceZero), Verdict::Note);
            let refused = policy().with_devices(Devices::Skip).refuse(QuirkRule::DeviceZero);
            assert_eq!(refused.verdict(QuirkRule::DeviceZero), Verdict::Refuse);
        }
    }

    #[test]
    fn what_the_presets_choose_is_in_the_table_of_matters() {
        let presets = [Policy::default(), Policy::compatible(), Policy::paranoid()];
        assert_eq!(presets.each_ref().map(Policy::devices), [Devices::Refuse, Devices::Skip, Devices::Refuse]);
        assert_eq!(presets.each_ref().map(Policy::links), [Links::Follow, Links::Clamp, Links::Follow]);
        for policy in presets {
            assert_eq!((policy.fifos(), policy.set_id()), (Fifos::Create, SetId::Keep));
            assert_eq!((policy.owners(), policy.xattrs()), (&Owners::Auto, Xattrs::Safe));
            assert_eq!((policy.mtime(), policy.epoch()), (Mtime::Keep, Timestamp::default()));
            assert_eq!(policy.durability(), Durability::Kernel);
        }
    }

    #[test]
    fn every_choice_is_found_again_in_the_verdicts_that_it_means() {
        for preset in Preset::ALL.iter().copied() {
            let policy = || Policy::preset(preset);
            Devices::ALL.iter().for_each(|&choice| assert_eq!(policy().with_devices(choice).devices(), choice));
            Fifos::ALL.iter().for_each(|&choice| assert_eq!(policy().with_fifos(choice).fifos(), choice));
            SetId::ALL.iter().for_each(|&choice| assert_eq!(policy().with_set_id(choice).set_id(), choice));
            Links::ALL.iter().for_each(|&choice| assert_eq!(policy().with_links(choice).links(), choice));
            Xattrs::ALL.iter().for_each(|&choice| assert_eq!(policy().with_xattrs(choice).xattrs(), choice));
        }
    }

    #[test]
    fn what_was_chosen_is_noted_even_where_notes_are_refused() {
        let chosen = Policy::paranoid().with_owners(Owners::Caller).with_xattrs(Xattrs::None).with_links(Links::Clamp);
        for rule in [QuirkRule::OwnerToCaller, QuirkRule::XattrDropped, QuirkRule::LinkClimbs] {
            assert_eq!(chosen.verdict(rule), Verdict::Note, "{rule:?}");
            assert_eq!(Policy::paranoid().verdict(rule), Verdict::Refuse, "{rule:?}");
        }
        let refuse = |xattrs| {
            let policy = Policy::default().with_xattrs(xattrs);
            [policy.verdict(QuirkRule::XattrDropped), policy.verdict(QuirkRule::XattrUnsupported)]
        };
        assert_eq!(refuse(Xattrs::Refuse), [Verdict::Refuse, Verdict::Note]);
        assert_eq!(refuse(Xattrs::Require), [Verdict::Note, Verdict::Refuse]);
    }
}
