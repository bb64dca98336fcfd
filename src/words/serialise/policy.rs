//! A policy as data: an object of words, as the options of the command have them.

use crate::words::{IdMap, OwnerMap, Owners, Policy, QuirkRule};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

/// `preset`, each matter that was decided by its own name, and in `rules` the verdicts decided one by one.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Data {
    preset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fifos: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    setid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owners: Option<String>,
    /// Only where `owners` is `map`.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid_map: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid_map: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    xattrs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<String>,
    rules: BTreeMap<String, String>,
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let choices = &self.choices;
        let ranges = |map: &IdMap| map.ranges().iter().map(ToString::to_string).collect();
        let (uid_map, gid_map) = match &choices.owners {
            Some(Owners::Map(OwnerMap { uids, gids })) => (Some(ranges(uids)), Some(ranges(gids))),
            _ => (None, None),
        };
        Data {
            preset: Some(self.preset.to_string()),
            devices: text(choices.devices),
            fifos: text(choices.fifos),
            setid: text(choices.set_id),
            links: text(choices.links),
            owners: choices.owners.as_ref().map(|owners| owners.word().to_owned()),
            uid_map,
            gid_map,
            xattrs: text(choices.xattrs),
            mtime: text(choices.mtime),
            epoch: text(choices.epoch),
            durability: text(choices.durability),
            rules: self.verdicts.iter().map(|(rule, verdict)| (rule.row().id.into(), verdict.word().into())).collect(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let data = Data::deserialize(deserializer)?;
        let mut policy = Self { preset: word(data.preset)?.unwrap_or_default(), ..Self::default() };
        let choices = &mut policy.choices;
        choices.devices = word(data.devices)?;
        choices.fifos = word(data.fifos)?;
        choices.set_id = word(data.setid)?;
        choices.links = word(data.links)?;
        choices.owners = owners(data.owners.as_deref(), data.uid_map, data.gid_map)?;
        choices.xattrs = word(data.xattrs)?;
        choices.mtime = word(data.mtime)?;
        choices.epoch = word(data.epoch)?;
        choices.durability = word(data.durability)?;
        for (id, verdict) in data.rules {
            let rule = QuirkRule::ALL.iter().find(|rule| rule.row().id == id);
            let rule = rule.ok_or_else(|| D::Error::custom(format!("no quirk is called {id}")))?;
            policy.verdicts.extend(word(Some(verdict))?.map(|verdict| (*rule, verdict)));
        }
        Ok(policy)
    }
}

fn text(choice: Option<impl Display>) -> Option<String> {
    choice.map(|choice| choice.to_string())
}

fn word<T: FromStr, E: serde::de::Error>(text: Option<String>) -> Result<Option<T>, E> {
    let parse = |text: String| text.parse().map_err(|_| E::custom(format!("{text} is not one of the choices")));
    text.map(parse).transpose()
}

fn owners<E: serde::de::Error>(
    word: Option<&str>,
    uids: Option<Vec<String>>,
    gids: Option<Vec<String>>,
) -> Result<Option<Owners>, E> {
    let map = |ranges: Vec<String>| {
        let ranges: Result<Vec<_>, _> = ranges.iter().map(|range| range.parse()).collect();
        ranges.and_then(IdMap::new).map_err(E::custom)
    };
    match (word, uids, gids) {
        (Some("map"), Some(uids), Some(gids)) => Ok(Some(Owners::Map(OwnerMap { uids: map(uids)?, gids: map(gids)? }))),
        (Some("map"), ..) | (_, Some(_), _) | (_, _, Some(_)) => {
            Err(E::custom("uid_map and gid_map go with owners: map, and it with both"))
        }
        (None, None, None) => Ok(None),
        (Some("auto"), ..) => Ok(Some(Owners::Auto)),
        (Some("keep"), ..) => Ok(Some(Owners::Keep)),
        (Some("caller"), ..) => Ok(Some(Owners::Caller)),
        (Some("record"), ..) => Ok(Some(Owners::Record)),
        (Some(other), ..) => Err(E::custom(format!("{other} is not one of the choices"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Devices, Durability, Fifos, Links, Mtime, SetId, Timestamp, Xattrs};
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
            .with_mtime(Mtime::Clamp(Timestamp { seconds: -2, nanoseconds: 500_000_000 }))
            .with_epoch(Timestamp { seconds: 7, nanoseconds: 0 })
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
            "rules": {"ragged-end": "refuse"},
        });
        assert_eq!(data, expected);
        assert_eq!(from_str::<Policy>(&data.to_string()).unwrap(), policy);
        let plain = to_value(Policy::default().with_owners(Owners::Record)).unwrap();
        assert_eq!(plain, json!({"preset": "default", "owners": "record", "rules": {}}));
        assert_eq!(from_str::<Policy>("{}").unwrap(), Policy::default());
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
