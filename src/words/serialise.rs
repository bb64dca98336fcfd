//! The words as data for machines: the schema that `--json` prints, described in docs/json.md.

use super::{
    Devices, Durability, Error, Escaped, Fault, Finding, Limit, Limits, Note, Policy, Position, Preset, QuirkRule,
    Report, Rule, Verdict,
};
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;
use std::fmt;

impl Serialize for Escaped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.unquoted())
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "finding")?;
        place(&mut map, &self.position)?;
        rule(&mut map, &self.rule)?;
        map.end()
    }
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "note")?;
        place(&mut map, &self.position)?;
        rule(&mut map, &Rule::Quirk(self.quirk.clone()))?;
        map.end()
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "report")?;
        map.serialize_entry("entries", &self.entries)?;
        map.serialize_entry("bytes_written", &self.bytes_written)?;
        map.serialize_entry("counts", &self.counts().collect::<BTreeMap<_, _>>())?;
        map.serialize_entry("notes", self.notes())?;
        map.end()
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "error")?;
        place(&mut map, self.position())?;
        map.serialize_entry("exit_code", &self.blame().exit_code())?;
        match self.kind() {
            Fault::Refused(refused) => rule(&mut map, refused)?,
            fault => map.serialize_entry("message", &fault.to_string())?,
        }
        if let Some(help) = self.help() {
            map.serialize_entry("help", help)?;
        }
        map.end()
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        place(&mut map, self)?;
        map.end()
    }
}

fn place<M: SerializeMap>(map: &mut M, position: &Position) -> Result<(), M::Error> {
    let Position { layer, entry, offset, path, blob } = position;
    if let Some(layer) = layer {
        map.serialize_entry("layer", &layer.number)?;
        map.serialize_entry("layers", &layer.of)?;
    }
    if let Some(blob) = blob {
        map.serialize_entry("blob", &blob.to_string())?;
    }
    if let Some(entry) = entry {
        map.serialize_entry("entry", entry)?;
    }
    if let Some(offset) = offset {
        map.serialize_entry("offset", offset)?;
    }
    match path {
        Some(path) => map.serialize_entry("path", path),
        None => Ok(()),
    }
}

fn rule<M: SerializeMap>(map: &mut M, rule: &Rule) -> Result<(), M::Error> {
    map.serialize_entry("rule", rule.id())?;
    map.serialize_entry("kind", if matches!(rule, Rule::Quirk(_)) { "quirk" } else { "violation" })?;
    map.serialize_entry("default", rule.verdict(Preset::Default).word())?;
    map.serialize_entry("message", &rule.to_string())?;
    map.serialize_entry("data", &rule.data().into_iter().collect::<BTreeMap<_, _>>())
}

/// An object: a number for each limit by its id. What is not named has its default.
impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Limit::ALL.iter().map(|&limit| (limit.id(), self.most(limit))))
    }
}

impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amounts = BTreeMap::<String, u64>::deserialize(deserializer)?;
        amounts.into_iter().try_fold(Self::default(), |limits, (id, most)| {
            let limit = Limit::ALL.iter().find(|limit| limit.id() == id);
            limit
                .map(|&limit| limits.with(limit, most))
                .ok_or_else(|| D::Error::custom(format!("no limit is called {id}")))
        })
    }
}

/// An object: `preset`, `devices` where they were decided, and in `rules` the verdicts decided one by one.
impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("preset", &self.preset.to_string())?;
        if let Some(devices) = self.devices {
            map.serialize_entry("devices", devices.word())?;
        }
        if let Some(durability) = self.durability {
            map.serialize_entry("durability", durability.word())?;
        }
        let rules = self.verdicts.iter().map(|(rule, verdict)| (rule.row().id, verdict.word()));
        map.serialize_entry("rules", &rules.collect::<BTreeMap<_, _>>())?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PolicyVisitor)
    }
}

struct PolicyVisitor;

impl<'de> Visitor<'de> for PolicyVisitor {
    type Value = Policy;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy: preset, devices and rules")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Policy, A::Error> {
        let mut policy = Policy::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "preset" => policy.preset = word(&map.next_value::<String>()?)?,
                "devices" => policy.devices = Some(word::<Devices, _>(&map.next_value::<String>()?)?),
                "durability" => policy.durability = Some(word::<Durability, _>(&map.next_value::<String>()?)?),
                "rules" => {
                    for (id, verdict) in map.next_value::<BTreeMap<String, String>>()? {
                        let rule = QuirkRule::ALL.iter().find(|rule| rule.row().id == id);
                        let rule = rule.ok_or_else(|| A::Error::custom(format!("no quirk is called {id}")))?;
                        policy.verdicts.insert(*rule, word::<Verdict, _>(&verdict)?);
                    }
                }
                _ => return Err(A::Error::unknown_field(&key, &["preset", "devices", "durability", "rules"])),
            }
        }
        Ok(policy)
    }
}

fn word<T: std::str::FromStr, E: serde::de::Error>(text: &str) -> Result<T, E> {
    text.parse().map_err(|_| E::custom(format!("{text} is not one of the choices")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_str, json, to_value};

    #[test]
    fn policies_and_limits_come_back_as_they_went() {
        let policy =
            Policy::compatible().devices(Devices::Create).durability(Durability::Synced).refuse(QuirkRule::RaggedEnd);
        let text = to_value(&policy).unwrap();
        assert_eq!(
            text,
            json!({"preset": "compatible", "devices": "create", "durability": "synced", "rules": {"ragged-end": "refuse"}})
        );
        assert_eq!(from_str::<Policy>(&text.to_string()).unwrap(), policy);
        assert_eq!(from_str::<Policy>("{}").unwrap(), Policy::default());
        let limits = Limits::default().with(Limit::Entries, 7);
        assert_eq!(from_str::<Limits>(&to_value(&limits).unwrap().to_string()).unwrap(), limits);
        assert_eq!(from_str::<Limits>(r#"{"entries": 7}"#).unwrap(), limits);
    }

    #[test]
    fn what_is_not_known_is_not_taken() {
        for text in [
            r#"{"preset":"lax"}"#,
            r#"{"rules":{"name-climbs":"note"}}"#,
            r#"{"rules":{"ragged-end":"maybe"}}"#,
            r#"{"x":1}"#,
        ] {
            assert!(from_str::<Policy>(text).is_err(), "{text}");
        }
        assert!(from_str::<Limits>(r#"{"depth":1}"#).is_err());
    }

    #[test]
    fn a_finding_has_its_place_and_its_data() {
        let quirk = super::super::Quirk::RaggedEnd { bytes: 3 };
        let position = Position { offset: Some(512), path: Some(Escaped::new(b"a\"\xff")), ..Position::default() };
        let finding = Finding { rule: Rule::Quirk(quirk), position };
        let value = to_value(&finding).unwrap();
        assert_eq!(value["offset"], 512);
        assert_eq!(value["path"], r#"a\"\xff"#);
        assert_eq!(
            (&value["rule"], &value["default"], &value["data"]["bytes"]),
            (&json!("ragged-end"), &json!("note"), &json!("3"))
        );
    }
}
