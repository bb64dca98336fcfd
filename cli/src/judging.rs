//! The options for policy and limits.

use crate::id_maps::{Subordinate, maps_of_process};
use clap::Args;
use layercage::policy::{
    Devices, Fifos, IdMap, IdRange, Links, Mtime, OwnerMap, Owners, OwnersKind, Preset, SetId, Verdict, Xattrs,
};
use layercage::rules::{Limit, QuirkRule, ViolationRule};
use layercage::tar::Timestamp;
use layercage::{Limits, Policy};
use std::fmt::Display;

/// Parses the words of a choice.
macro_rules! words {
    ($choice:ty) => {
        clap::builder::TypedValueParser::try_map(
            clap::builder::PossibleValuesParser::new(<$choice>::ALL.iter().map(|choice| choice.name())),
            |word| word.parse::<$choice>(),
        )
    };
}
pub(crate) use words;

#[derive(Debug, Args)]
pub(crate) struct Judging {
    /// The preset: `default` accepts quirks that real images are known to have, `compatible` also most that containerd
    /// accepts, `paranoid` refuses everything that deserves a note.
    #[arg(long, default_value = "default", value_name = "POLICY", value_parser = words!(Preset))]
    policy: Preset,
    /// How device nodes are handled; the default is `refuse`, or `skip` with `--policy compatible`.
    #[arg(long, value_name = "CHOICE", value_parser = words!(Devices))]
    devices: Option<Devices>,
    /// How named pipes are handled; the default is `create`.
    #[arg(long, value_name = "CHOICE", value_parser = words!(Fifos))]
    fifos: Option<Fifos>,
    /// How setuid, setgid and sticky bits are handled; the default is `keep`.
    #[arg(long, value_name = "CHOICE", value_parser = words!(SetId))]
    setid: Option<SetId>,
    /// The owner of files: the owner in the layer if privileges allow it, otherwise you (`auto`, the default); always the
    /// owner in the layer (`keep`); you (`caller`); an id from a map (`map`); or you, with the owner in the layer stored
    /// in an attribute that fuse-overlayfs reads (`record`).
    #[arg(long, value_name = "CHOICE", value_parser = words!(OwnersKind))]
    owners: Option<OwnersKind>,
    /// A range of user ids for `--owners map`, as in `/proc/self/uid_map` but with colons: the first id in the layer, the
    /// id that it is mapped to, and the count. May be repeated.
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", requires = "gid_map")]
    uid_map: Vec<IdRange>,
    /// A range of group ids for `--owners map`. May be repeated.
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", requires = "uid_map")]
    gid_map: Vec<IdRange>,
    /// Take the maps for `--owners map` from a process: `/proc/PID/uid_map` and `gid_map`. Files then belong to the ids that
    /// its user namespace shows as those of the layer.
    #[arg(long, value_name = "PID", conflicts_with_all = ["uid_map", "gid_map"])]
    map_from: Option<u32>,
    /// Make the maps for `--owners map` of the ids that `/etc/subuid` and `/etc/subgid` give to you (`auto`) or to another
    /// user (`auto=USER`): for a container in a user namespace. For other users than root, id 0 is the user's own.
    #[arg(long, value_name = "auto[=USER]", conflicts_with_all = ["uid_map", "gid_map", "map_from"])]
    userns: Option<Subordinate>,
    /// Which extended attributes are set: those that a layer may write (`safe`, the default), all (`all`) or none
    /// (`none`). `refuse` refuses attributes that a layer may not write; `require` refuses those that cannot be set.
    #[arg(long, value_name = "CHOICE", value_parser = words!(Xattrs))]
    xattrs: Option<Xattrs>,
    /// How symbolic links in the parents of a name are handled: followed inside the root (`follow`), also followed but
    /// stopped at the root if they lead above it (`clamp`), or refused (`refuse`).
    #[arg(long, value_name = "CHOICE", value_parser = words!(Links))]
    links: Option<Links>,
    /// How modification times are handled: `keep`, or `clamp=SECONDS` to lower later times to this one.
    #[arg(long, value_name = "CHOICE")]
    mtime: Option<Mtime>,
    /// The time of directories that no entry lists, in seconds since 1970.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    epoch: Option<Timestamp>,
    /// Let a quirk pass with a note, whatever the policy says; `layercage rules` lists them.
    #[arg(long, value_name = "RULE", value_parser = parse_rule)]
    allow: Vec<QuirkRule>,
    /// Refuse a quirk, whatever the policy says.
    #[arg(long, value_name = "RULE", value_parser = parse_rule)]
    refuse: Vec<QuirkRule>,
    /// Change a limit; `layercage rules` lists them. `off` removes it.
    #[arg(long, value_name = "NAME=AMOUNT", value_parser = parse_limit)]
    limit: Vec<(Limit, u64)>,
}

impl Judging {
    /// The policy that the options describe, or why they contradict each other.
    pub(crate) fn policy(&self) -> Result<Policy, String> {
        let policy = self.allow.iter().copied().fold(Policy::preset(self.policy), Policy::allow);
        let policy = self.refuse.iter().copied().fold(policy, Policy::refuse);
        let policy = self.devices.into_iter().fold(policy, Policy::with_devices);
        let policy = self.fifos.into_iter().fold(policy, Policy::with_fifos);
        let policy = self.setid.into_iter().fold(policy, Policy::with_set_id);
        let policy = self.owners()?.into_iter().fold(policy, Policy::with_owners);
        // The choice of owners resets the verdict on ids that a map lacks, so it is set again.
        let unmapped = self.allow.iter().filter(|&&rule| rule == QuirkRule::OwnerUnmapped);
        let policy = unmapped.copied().fold(policy, Policy::allow);
        let policy = self.xattrs.into_iter().fold(policy, Policy::with_xattrs);
        let policy = self.links.into_iter().fold(policy, Policy::with_links);
        let policy = self.mtime.into_iter().fold(policy, Policy::with_mtime);
        let policy = self.epoch.into_iter().fold(policy, Policy::with_epoch);
        // Options that contradict each other are an error: either choice would do what the user ruled out.
        let wanted = [("--allow", &self.allow, Verdict::Note), ("--refuse", &self.refuse, Verdict::Refuse)];
        for (option, rules, verdict) in wanted {
            if let Some(&rule) = rules.iter().find(|&&rule| policy.verdict(rule) != verdict) {
                let other = self.choice(rule).unwrap_or_else(|| match verdict {
                    Verdict::Refuse => format!("--allow {rule}"),
                    _ => format!("--refuse {rule}"),
                });
                let effect = match policy.verdict(rule) {
                    Verdict::Pass => "lets it pass without a note",
                    Verdict::Note => "lets it pass with a note",
                    Verdict::Refuse => "refuses it",
                };
                return Err(format!("`{option} {rule}` contradicts `{other}`, which {effect}: omit one of them"));
            }
        }
        Ok(policy)
    }

    /// The option with a choice that decides about a rule, if it is given.
    fn choice(&self, rule: QuirkRule) -> Option<String> {
        let option = |name: &str, choice: Option<&dyn Display>| choice.map(|choice| format!("--{name} {choice}"));
        match rule {
            QuirkRule::DeviceNode | QuirkRule::DeviceZero => option("devices", self.devices.as_ref().map(|c| c as _)),
            QuirkRule::Fifo => option("fifos", self.fifos.as_ref().map(|c| c as _)),
            QuirkRule::SetId => option("setid", self.setid.as_ref().map(|c| c as _)),
            QuirkRule::LinkParent | QuirkRule::LinkClimbs => option("links", self.links.as_ref().map(|c| c as _)),
            QuirkRule::XattrDropped | QuirkRule::XattrUnsupported => {
                option("xattrs", self.xattrs.as_ref().map(|c| c as _))
            }
            QuirkRule::OwnerToCaller | QuirkRule::OwnerUnmapped if self.map_option().is_some() => {
                self.map_option().map(str::to_owned)
            }
            QuirkRule::OwnerToCaller | QuirkRule::OwnerUnmapped => {
                option("owners", self.owners.as_ref().map(|c| c as _))
            }
            _ => None,
        }
    }

    /// The first option given that drops or adjusts what a layer has, rather than accept or refuse it.
    pub(crate) fn adjusting(&self) -> Option<String> {
        let given = [
            self.devices.filter(|&choice| choice == Devices::Skip).map(|choice| format!("--devices {choice}")),
            self.fifos.filter(|&choice| choice == Fifos::Skip).map(|choice| format!("--fifos {choice}")),
            self.setid.filter(|&choice| choice == SetId::Strip).map(|choice| format!("--setid {choice}")),
            self.owners.filter(|&choice| choice == OwnersKind::Map).map(|choice| format!("--owners {choice}")),
            self.map_option().map(str::to_owned),
            self.xattrs.filter(|&choice| choice == Xattrs::None).map(|choice| format!("--xattrs {choice}")),
            self.mtime.filter(|&choice| choice != Mtime::Keep).map(|choice| format!("--mtime {choice}")),
            self.epoch.map(|_| "--epoch".to_owned()),
        ];
        given.into_iter().flatten().next()
    }

    /// The option that gives the maps of owners.
    fn map_option(&self) -> Option<&'static str> {
        match () {
            () if self.map_from.is_some() => Some("--map-from"),
            () if self.userns.is_some() => Some("--userns"),
            () if !self.uid_map.is_empty() => Some("--uid-map"),
            () => None,
        }
    }

    /// The maps of owners, if an option gives them.
    fn owner_map(&self) -> Result<Option<OwnerMap>, String> {
        let map = |ranges: &[IdRange]| IdMap::new(ranges.iter().copied()).map_err(|bad| bad.to_string());
        match (self.map_from, &self.userns) {
            (Some(process), _) => maps_of_process(process).map(Some),
            (None, Some(subordinate)) => subordinate.maps().map(Some),
            (None, None) if self.uid_map.is_empty() => Ok(None),
            (None, None) => Ok(Some(OwnerMap { uids: map(&self.uid_map)?, gids: map(&self.gid_map)? })),
        }
    }

    /// A map without `--owners` means `--owners map`. No other choice takes a map.
    fn owners(&self) -> Result<Option<Owners>, String> {
        let map = self.owner_map()?;
        let has_map = map.is_some();
        let Some(kind) = self.owners.or(has_map.then_some(OwnersKind::Map)) else { return Ok(None) };
        Owners::new(kind, map).map(Some).ok_or_else(|| match has_map {
            true => "`--uid-map`, `--gid-map`, `--map-from` and `--userns` go with `--owners map`".to_owned(),
            false => "`--owners map` needs `--uid-map` and `--gid-map`, `--map-from` or `--userns`".to_owned(),
        })
    }

    /// Checks that the choice of owners has a meaning in an archive, which has no caller.
    pub(crate) fn require_owners(&self) -> Result<(), String> {
        match self.owners {
            Some(kind @ (OwnersKind::Caller | OwnersKind::Record)) => Err(format!(
                "`--owners {kind}` has no meaning in an archive, which has the owners of the layers; omit it, or map them \
                 with `--owners map`"
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        limits(&self.limit)
    }
}

pub(crate) fn limits(changed: &[(Limit, u64)]) -> Limits {
    changed.iter().fold(Limits::default(), |limits, &(limit, most)| limits.with(limit, most))
}

fn parse_rule(id: &str) -> Result<QuirkRule, String> {
    if id.parse::<ViolationRule>().is_ok() {
        return Err(format!(
            "this is a violation, which is refused under every policy; `layercage explain {id}` says more"
        ));
    }
    if id.parse::<Limit>().is_ok() {
        return Err(format!("this is a limit; `--limit {id}=AMOUNT` changes it"));
    }
    id.parse().map_err(|_| "no rule has this id; `layercage rules` lists all".to_owned())
}

pub(crate) fn parse_limit(text: &str) -> Result<(Limit, u64), String> {
    let (name, amount) = text.split_once('=').ok_or("NAME=AMOUNT is needed")?;
    let limit: Limit = name
        .parse()
        .map_err(|_| "no limit has this name; `layercage rules` lists all, with their defaults".to_owned())?;
    match amount {
        "off" => Ok((limit, Limit::OFF)),
        _ => amount.parse().map(|amount| (limit, amount)).map_err(|_| "a decimal number or `off` is needed".to_owned()),
    }
}
