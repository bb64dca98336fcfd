//! The words as data for machines: the schema that `--json` prints, described in docs/json.md.

mod bytes;
mod change;
mod policy;

pub(crate) use bytes::put_bytes;
use bytes::put_escaped;
use bytes::put_list;
pub(crate) use change::put_attributes;

use super::{
    Digest, Error, Finding, IdRange, Limit, Limits, Mtime, Note, Position, Preset, Remedy, Report, Rule, SelinuxLabel,
    Timestamp, from_text,
};
use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;
use std::fmt::{self, Display};

/// The text: `sha256:…`.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// The text: seconds with nine digits after the point. A whole number of seconds is read, too.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.is_human_readable() {
            true => deserializer.deserialize_any(TimeOrSeconds),
            // Other formats may not say what comes: they have what was written.
            false => from_text(deserializer),
        }
    }
}

struct TimeOrSeconds;

impl Visitor<'_> for TimeOrSeconds {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of seconds since 1970: an integer, or a text with at most nine digits after a point")
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Timestamp, E> {
        Ok(Timestamp::of_seconds(seconds))
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Timestamp, E> {
        let seconds = i64::try_from(seconds).map_err(|_| E::invalid_value(Unexpected::Unsigned(seconds), &self))?;
        self.visit_i64(seconds)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        from_text(text.into_deserializer())
    }
}

/// `keep`, or `clamp=` and a time.
impl Serialize for Mtime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mtime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl Serialize for SelinuxLabel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SelinuxLabel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

/// `INSIDE:OUTSIDE:COUNT`.
impl Serialize for IdRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IdRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "finding")?;
        place(&mut map, &self.position)?;
        rule(&mut map, &self.rule, &self.rule)?;
        map.end()
    }
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "note")?;
        place(&mut map, &self.position)?;
        rule(&mut map, &Rule::Quirk(self.quirk.clone()), &self.quirk.noted())?;
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

#[cfg(feature = "sandbox")]
impl Serialize for super::SandboxStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("forbidden", &self.forbidden)?;
        map.serialize_entry("capabilities", &self.capabilities)?;
        map.end()
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "error")?;
        place(&mut map, self.position())?;
        map.serialize_entry("blame", &self.blame())?;
        match self.rule() {
            Some(refused) => rule(&mut map, refused, refused)?,
            None => map.serialize_entry("message", &self.message())?,
        }
        if let Some(advice) = self.advice() {
            map.serialize_entry("advice", advice)?;
        }
        let remedies = self.remedies();
        if !remedies.is_empty() {
            map.serialize_entry("remedies", &remedies)?;
        }
        map.end()
    }
}

/// An object: its `remedy`, and what that is about.
impl Serialize for Remedy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut choose = |option: &str, choice: &str| {
            map.serialize_entry("remedy", "choose")?;
            map.serialize_entry("option", option)?;
            map.serialize_entry("choice", choice)
        };
        match self {
            Self::Devices(choice) => choose("devices", choice.name())?,
            Self::Fifos(choice) => choose("fifos", choice.name())?,
            Self::SetId(choice) => choose("setid", choice.name())?,
            Self::Links(choice) => choose("links", choice.name())?,
            Self::Xattrs(choice) => choose("xattrs", choice.name())?,
            Self::Owners(choice) => choose("owners", choice.name())?,
            Self::Allow(rule) => {
                map.serialize_entry("remedy", "allow")?;
                map.serialize_entry("rule", rule)?;
            }
            Self::Raise { limit, at_least } => {
                map.serialize_entry("remedy", "raise")?;
                map.serialize_entry("limit", limit)?;
                map.serialize_entry("at_least", at_least)?;
            }
            Self::Select(by) => {
                map.serialize_entry("remedy", "select")?;
                map.serialize_entry("by", by)?;
            }
            Self::MapId => map.serialize_entry("remedy", "map-id")?,
            Self::ClampTimes => map.serialize_entry("remedy", "clamp-times")?,
            Self::ExpectDigest => map.serialize_entry("remedy", "expect-digest")?,
            Self::UnpackImage => map.serialize_entry("remedy", "unpack-image")?,
            Self::ApplyLayer => map.serialize_entry("remedy", "apply-layer")?,
            Self::ApplyAsLayer => map.serialize_entry("remedy", "apply-as-layer")?,
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
        map.serialize_entry("blob", blob)?;
    }
    if let Some(entry) = entry {
        map.serialize_entry("entry", entry)?;
    }
    if let Some(offset) = offset {
        map.serialize_entry("offset", offset)?;
    }
    match path {
        Some(path) => put_escaped(map, "path", path),
        None => Ok(()),
    }
}

fn rule<M: SerializeMap>(map: &mut M, rule: &Rule, message: &dyn Display) -> Result<(), M::Error> {
    map.serialize_entry("rule", rule.id())?;
    map.serialize_entry("kind", if matches!(rule, Rule::Quirk(_)) { "quirk" } else { "violation" })?;
    map.serialize_entry("default", &rule.verdict(Preset::Default))?;
    map.serialize_entry("message", &message.to_string())?;
    map.serialize_entry("data", &Data(rule))
}

/// An object: what the sentence of a rule speaks of, by name.
struct Data<'r>(&'r Rule);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, datum) in self.0.named_data() {
            match datum.archive_bytes() {
                Some(bytes) => put_escaped(&mut map, name, bytes)?,
                None => map.serialize_entry(name, &datum.datum())?,
            }
        }
        map.end()
    }
}

/// An object: a number for each limit by its id. What is not named has its default.
impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Limit::ALL.iter().map(|&limit| (limit, self.most(limit))))
    }
}

impl<'de> Deserialize<'de> for Limits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let amounts = BTreeMap::<Limit, u64>::deserialize(deserializer)?;
        Ok(amounts.into_iter().fold(Self::default(), |limits, (limit, most)| limits.with(limit, most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Escaped, Violation};
    use serde_json::{from_str, json, to_value};

    #[test]
    fn limits_come_back_as_they_went() {
        let limits = Limits::default().with(Limit::Entries, 7);
        assert_eq!(from_str::<Limits>(&to_value(&limits).unwrap().to_string()).unwrap(), limits);
        assert_eq!(from_str::<Limits>(r#"{"entries": 7}"#).unwrap(), limits);
        assert!(from_str::<Limits>(r#"{"depth":1}"#).is_err());
    }

    #[test]
    fn a_time_is_read_from_a_text_or_from_whole_seconds() {
        let time = |text: &str| from_str::<Timestamp>(text);
        for (text, seconds) in [("0", 0), ("-2", -2), ("1700000000", 1_700_000_000), (r#""-2""#, -2)] {
            assert_eq!(time(text).unwrap(), Timestamp::of_seconds(seconds), "{text}");
        }
        let epoch = from_str::<crate::Policy>(r#"{"epoch": 7}"#).unwrap().epoch();
        assert_eq!(epoch, Timestamp::of_seconds(7));
        for text in ["18446744073709551615", "0.5", "null", "[0]"] {
            let error = time(text).unwrap_err().to_string();
            assert!(error.contains("expected a number of seconds since 1970"), "{text}: {error}");
        }
        let error = time(r#""today""#).unwrap_err().to_string();
        assert!(error.starts_with(r#""today" is not a time: expected "#), "{error}");
    }

    #[test]
    fn a_finding_has_its_place_and_its_data() {
        let quirk = super::super::Quirk::RaggedEnd { bytes: 3 };
        let position = Position { offset: Some(512), path: Some(Escaped::new(b"a\"\xff")), ..Position::default() };
        let target = Violation::HardLinkMissing { target: Escaped::new(b"b\xff") };
        let target = to_value(Finding { rule: Rule::Violation(target), position: position.clone() }).unwrap();
        assert_eq!(target["data"], json!({"target": "b\u{fffd}", "target_hex": "62ff"}));
        let finding = Finding { rule: Rule::Quirk(quirk), position };
        let value = to_value(&finding).unwrap();
        assert_eq!(value["offset"], 512);
        assert_eq!((&value["path"], &value["path_hex"]), (&json!("a\"\u{fffd}"), &json!("6122ff")));
        assert_eq!(
            (&value["rule"], &value["default"], &value["data"]["bytes"]),
            (&json!("ragged-end"), &json!("note"), &json!("3"))
        );
    }
}
