//! One section of the policy file: the words of the options of `layercage`, as keys.

use layercage::policy::{
    Devices, Durability, Fifos, IdMap, IdRange, Links, Mtime, OwnerMap, Owners, OwnersKind, Preset, SelinuxLabel,
    SetId, Verdict, Xattrs,
};
use layercage::rules::{Limit, QuirkRule, ViolationRule};
use layercage::tar::Timestamp;
use layercage::{Limits, Policy};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::collections::BTreeMap;

/// The keys of a section. A key that is not known is an error: it may be a misspelt one that was meant to refuse something.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Section {
    policy: Option<Preset>,
    devices: Option<Devices>,
    fifos: Option<Fifos>,
    setid: Option<SetId>,
    owners: Option<OwnersKind>,
    uid_map: Option<Vec<IdRange>>,
    gid_map: Option<Vec<IdRange>>,
    xattrs: Option<Xattrs>,
    links: Option<Links>,
    mtime: Option<Mtime>,
    epoch: Option<Timestamp>,
    allow: Option<Vec<RuleId>>,
    refuse: Option<Vec<RuleId>>,
    sync: Option<bool>,
    selinux_label: Option<SelinuxLabel>,
    limit: BTreeMap<Limit, Amount>,
}

/// The id of a rule that a policy decides about.
#[derive(Debug, Clone, Copy)]
struct RuleId(QuirkRule);

impl<'de> Deserialize<'de> for RuleId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        if id.parse::<ViolationRule>().is_ok() {
            return Err(D::Error::custom(format_args!("`{id}` is a violation: no policy can allow it")));
        }
        if id.parse::<Limit>().is_ok() {
            return Err(D::Error::custom(format_args!("`{id}` is a limit: its place is the table `limit`")));
        }
        id.parse().map(Self).map_err(|_| D::Error::custom(format_args!("no rule has the id `{id}`")))
    }
}

/// The value of a limit: a number, or `off`.
#[derive(Debug, Clone, Copy)]
struct Amount(u64);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a limit is a number, or \"off\"")]
        enum Either {
            Number(u64),
            Word(Off),
        }
        #[derive(Deserialize)]
        enum Off {
            #[serde(rename = "off")]
            Off,
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Number(amount) => Self(amount),
            Either::Word(Off::Off) => Self(Limit::OFF),
        })
    }
}

impl Section {
    /// This section on top of a more general one: a key that it lacks is taken from there.
    pub(super) fn over(self, general: &Self) -> Self {
        let general = general.clone();
        let limit = general.limit.into_iter().chain(self.limit).collect();
        // A map of user ids belongs to its map of group ids, and both to the choice of owners.
        let (owners, uid_map, gid_map) = match self.owners.is_some() || self.uid_map.is_some() || self.gid_map.is_some()
        {
            true => (self.owners, self.uid_map, self.gid_map),
            false => (general.owners, general.uid_map, general.gid_map),
        };
        Self {
            policy: self.policy.or(general.policy),
            devices: self.devices.or(general.devices),
            fifos: self.fifos.or(general.fifos),
            setid: self.setid.or(general.setid),
            owners,
            uid_map,
            gid_map,
            xattrs: self.xattrs.or(general.xattrs),
            links: self.links.or(general.links),
            mtime: self.mtime.or(general.mtime),
            epoch: self.epoch.or(general.epoch),
            allow: self.allow.or(general.allow),
            refuse: self.refuse.or(general.refuse),
            sync: self.sync.or(general.sync),
            selinux_label: self.selinux_label.or(general.selinux_label),
            limit,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limit.iter().fold(Limits::default(), |limits, (&limit, &Amount(most))| limits.with(limit, most))
    }

    /// The policy, or why the keys contradict each other: either choice would do what the file rules out.
    pub(super) fn policy(&self) -> Result<Policy, String> {
        let policy = self.last_word()?;
        for (key, ids, wanted) in [("allow", &self.allow, Verdict::Note), ("refuse", &self.refuse, Verdict::Refuse)] {
            for rule in rules(ids.as_deref()) {
                if policy.verdict(rule) != wanted {
                    let other = self.deciding(rule, wanted);
                    return Err(format!("`{key}` has `{rule}`, but {other} decides the opposite: remove one of them"));
                }
            }
        }
        Ok(policy)
    }

    /// The key without which a rule has the verdict that another key asks for.
    fn deciding(&self, rule: QuirkRule, wanted: Verdict) -> String {
        type Remove = fn(&mut Section);
        const WITHOUT: [(&str, Remove); 7] = [
            ("devices", |section| section.devices = None),
            ("fifos", |section| section.fifos = None),
            ("setid", |section| section.setid = None),
            ("xattrs", |section| section.xattrs = None),
            ("links", |section| section.links = None),
            ("mtime", |section| section.mtime = None),
            ("refuse", |section| section.refuse = None),
        ];
        let decides = |without: &Remove| {
            let mut section = self.clone();
            without(&mut section);
            section.last_word().is_ok_and(|policy| policy.verdict(rule) == wanted)
        };
        let key = WITHOUT.iter().find(|(_, without)| decides(without));
        key.map_or_else(|| "another key".to_owned(), |(key, _)| format!("`{key}`"))
    }

    /// The policy in which the last of contradicting keys has won.
    fn last_word(&self) -> Result<Policy, String> {
        let (allow, refuse) = (rules(self.allow.as_deref()), rules(self.refuse.as_deref()));
        let policy = Policy::preset(self.policy.unwrap_or(Preset::Default));
        let policy = allow.iter().copied().fold(policy, Policy::allow);
        let policy = refuse.iter().copied().fold(policy, Policy::refuse);
        let policy = self.devices.into_iter().fold(policy, Policy::with_devices);
        let policy = self.fifos.into_iter().fold(policy, Policy::with_fifos);
        let policy = self.setid.into_iter().fold(policy, Policy::with_set_id);
        let policy = self.owners()?.into_iter().fold(policy, Policy::with_owners);
        // The choice of owners resets the verdict on ids that a map lacks, so it is set again.
        let unmapped = allow.iter().filter(|&&rule| rule == QuirkRule::OwnerUnmapped);
        let policy = unmapped.copied().fold(policy, Policy::allow);
        let policy = self.xattrs.into_iter().fold(policy, Policy::with_xattrs);
        let policy = self.links.into_iter().fold(policy, Policy::with_links);
        let policy = self.mtime.into_iter().fold(policy, Policy::with_mtime);
        let policy = self.epoch.into_iter().fold(policy, Policy::with_epoch);
        let policy = self.selinux_label.iter().cloned().fold(policy, Policy::with_selinux_label);
        Ok(if self.sync == Some(true) { policy.with_durability(Durability::Synced) } else { policy })
    }

    fn owners(&self) -> Result<Option<Owners>, String> {
        let map = match (&self.uid_map, &self.gid_map) {
            (None, None) => None,
            (Some(uids), Some(gids)) => {
                Some(OwnerMap { uids: id_map("uid-map", uids)?, gids: id_map("gid-map", gids)? })
            }
            _ => return Err("`uid-map` and `gid-map` belong together".to_owned()),
        };
        let has_map = map.is_some();
        let Some(kind) = self.owners.or(has_map.then_some(OwnersKind::Map)) else { return Ok(None) };
        Owners::new(kind, map).map(Some).ok_or_else(|| match has_map {
            true => "`uid-map` and `gid-map` go with `owners = \"map\"`".to_owned(),
            false => "`owners = \"map\"` needs `uid-map` and `gid-map`".to_owned(),
        })
    }
}

fn rules(ids: Option<&[RuleId]>) -> Vec<QuirkRule> {
    ids.unwrap_or_default().iter().map(|&RuleId(rule)| rule).collect()
}

fn id_map(key: &str, ranges: &[IdRange]) -> Result<IdMap, String> {
    IdMap::new(ranges.iter().copied()).map_err(|bad| format!("`{key}`: {bad}"))
}
