//! A policy as data: an object of words, as the options of the command have them.

use crate::words::{
    Devices, Durability, Fifos, IdMap, IdRange, Links, Mtime, OwnerMap, Owners, OwnersKind, Policy, Preset, QuirkRule,
    SelinuxLabel, SetId, Timestamp, Verdict, Xattrs,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// `preset`, each choice that was made by its own name, and in `rules` the verdicts of single rules.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Data {
    preset: Preset,
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<Devices>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fifos: Option<Fifos>,
    #[serde(skip_serializing_if = "Option::is_none")]
    setid: Option<SetId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<Links>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owners: Option<OwnersKind>,
    /// Only where `owners` is `map`.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid_map: Option<Vec<IdRange>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid_map: Option<Vec<IdRange>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xattrs: Option<Xattrs>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<Mtime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<Durability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    selinux_label: Option<SelinuxLabel>,
    rules: BTreeMap<QuirkRule, Verdict>,
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let choices = &self.choices;
        let (uid_map, gid_map) = match &choices.owners {
            Some(Owners::Map(OwnerMap { uids, gids })) => (Some(uids.ranges().into()), Some(gids.ranges().into())),
            _ => (None, None),
        };
        Data {
            preset: self.preset,
            devices: choices.devices,
            fifos: choices.fifos,
            setid: choices.set_id,
            links: choices.links,
            owners: choices.owners.as_ref().map(Owners::kind),
            uid_map,
            gid_map,
            xattrs: choices.xattrs,
            mtime: choices.mtime,
            epoch: choices.epoch,
            durability: choices.durability,
            selinux_label: choices.selinux_label.clone(),
            rules: self.verdicts.clone(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data = Data::deserialize(deserializer)?;
        let mut policy = Self { preset: data.preset, verdicts: data.rules, ..Self::default() };
        let choices = &mut policy.choices;
        choices.devices = data.devices;
        choices.fifos = data.fifos;
        choices.set_id = data.setid;
        choices.links = data.links;
        choices.owners = owners(data.owners, data.uid_map, data.gid_map).map_err(D::Error::custom)?;
        choices.xattrs = data.xattrs;
        choices.mtime = data.mtime;
        choices.epoch = data.epoch;
        choices.durability = data.durability;
        choices.selinux_label = data.selinux_label;
        Ok(policy)
    }
}

fn owners(
    kind: Option<OwnersKind>,
    uids: Option<Vec<IdRange>>,
    gids: Option<Vec<IdRange>>,
) -> Result<Option<Owners>, String> {
    const MISSING: &str = "`owners` is `map`, which needs both `uid_map` and `gid_map`";
    const NEEDLESS: &str = "`uid_map` and `gid_map` are used only where `owners` is `map`";
    let given = uids.is_some() || gids.is_some();
    let map = |ranges: Vec<IdRange>| IdMap::new(ranges).map_err(|bad| bad.to_string());
    let map = match (kind, uids, gids) {
        (Some(OwnersKind::Map), Some(uids), Some(gids)) => Some(OwnerMap { uids: map(uids)?, gids: map(gids)? }),
        (Some(OwnersKind::Map), ..) => return Err(MISSING.to_owned()),
        _ if given => return Err(NEEDLESS.to_owned()),
        _ => None,
    };
    Ok(kind.and_then(|kind| Owners::new(kind, map)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_str, json, to_value};

    #[test]
    fn policies_come_back_as_they_went() {
        let ids = |text: &str| IdMap::new([text.parse().unwrap()]).unwrap();
        let policy = Policy::compatible()
            .with_devices(Devices::Create)
            .with_fifos(Fifos::Skip)
            .with_set_id(SetId::Strip)
            .with_links(Links::Refuse)
            .with_owners(Owners::Map(OwnerMap { uids: ids("0:100000:65536"), gids: ids("0:200000:65536") }))
            .with_xattrs(Xattrs::Require)
            .with_mtime(Mtime::Clamp(Timestamp::known(-2, 500_000_000)))
            .with_epoch(Timestamp::of_seconds(7))
            .with_selinux_label("u:r:t:s0".parse().unwrap())
            .with_durability(Durability::Synced)
            .refuse(QuirkRule::RaggedEnd);
        let data = to_value(&policy).unwrap();
        let expected = json!({
            "preset": "compatible",
            "devices": "create",
            "fifos": "skip",
            "setid": "strip",
            "links": "refuse",
            "owners": "map",
            "uid_map": ["0:100000:65536"],
            "gid_map": ["0:200000:65536"],
            "xattrs": "require",
            "mtime": "clamp=-1.500000000",
            "epoch": "7.000000000",
            "durability": "synced",
            "selinux_label": "u:r:t:s0",
            "rules": {"ragged-end": "refuse"},
        });
        assert_eq!(data, expected);
        assert_eq!(from_str::<Policy>(&data.to_string()).unwrap(), policy);
        let plain = to_value(Policy::default().with_owners(Owners::Record)).unwrap();
        assert_eq!(plain, json!({"preset": "default", "owners": "record", "rules": {}}));
        assert_eq!(from_str::<Policy>("{}").unwrap(), Policy::default());
    }

    #[test]
    fn what_is_wrong_with_owners_is_a_sentence() {
        let said = |text: &str| from_str::<Policy>(text).unwrap_err().to_string();
        let range = r#""0:100000" is not a range of ids: expected INSIDE:OUTSIDE:COUNT, three decimal numbers"#;
        let text = said(r#"{"owners":"map","uid_map":["0:100000"],"gid_map":["0:0:1"]}"#);
        assert!(text.starts_with(range), "{text}");
        let missing = "`owners` is `map`, which needs both `uid_map` and `gid_map`";
        for text in [r#"{"owners":"map"}"#, r#"{"owners":"map","uid_map":["0:0:1"]}"#] {
            assert!(said(text).starts_with(missing), "{text}: {}", said(text));
        }
        let needless = "`uid_map` and `gid_map` are used only where `owners` is `map`";
        for text in [r#"{"owners":"keep","gid_map":["0:0:1"]}"#, r#"{"uid_map":["0:0:1"],"gid_map":["0:0:1"]}"#] {
            assert!(said(text).starts_with(needless), "{text}: {}", said(text));
        }
    }

    #[test]
    fn what_is_not_known_is_not_taken() {
        for text in [
            r#"{"preset":"lax"}"#,
            r#"{"rules":{"name-climbs":"note"}}"#,
            r#"{"rules":{"ragged-end":"maybe"}}"#,
            r#"{"x":1}"#,
            r#"{"fifos":"keep"}"#,
            r#"{"owners":"mine"}"#,
            r#"{"owners":"map"}"#,
            r#"{"owners":"map","uid_map":["0:0:1"]}"#,
            r#"{"owners":"map","uid_map":["0:0:1"],"gid_map":["0:0"]}"#,
            r#"{"owners":"keep","uid_map":["0:0:1"],"gid_map":["0:0:1"]}"#,
            r#"{"uid_map":["0:0:1"],"gid_map":["0:0:1"]}"#,
            r#"{"mtime":"clamp"}"#,
            r#"{"epoch":"today"}"#,
        ] {
            assert!(from_str::<Policy>(text).is_err(), "{text}");
        }
    }
}
