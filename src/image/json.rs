//! Strict JSON, which all readers read alike.
//!
//! If an object has a key twice, some readers use the first value and others the last. If a key is spelt `Layers`, Go's
//! readers accept it for `layers`, and others ignore it. Either way two tools can see two different images. So both are
//! refused in every object that is read. Unknown keys are ignored.

use crate::words::{Escaped, JsonProblem, Limit, Limits, Violation};
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor,
};
use std::collections::HashSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::sync::Arc;

/// Refuses a document of more values than [`Limit::DocumentValues`], before anything is kept of it.
///
/// A value may take three bytes of text (`"",`) and fifty of memory. Thus a limit on the text is not enough. Counts the
/// starts of lists and objects, and the separators of their items. In a malformed document the count is arbitrary, but
/// a parser sees no more values than this before it fails.
pub(super) fn check_values(bytes: &[u8], limits: &Limits) -> Result<(), Violation> {
    let (mut values, mut in_text, mut escaped) = (1, false, false);
    for &byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => values += 1,
            _ => {}
        }
    }
    limits.check(Limit::DocumentValues, values)
}

/// Reads a whole document.
///
/// # Errors
///
/// [`Violation::Json`] for anything that is not one JSON value of this type and then the end.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Violation> {
    // serde_json does not check the text of ignored values, and Go's readers repair text that is not UTF-8.
    let text = std::str::from_utf8(bytes).map_err(problem)?;
    serde_json::from_str(text).map_err(|error| problem(Malformed(error)))
}

/// The violation of a document.
pub(super) fn problem(error: impl std::error::Error + Send + Sync + 'static) -> Violation {
    Violation::Json { problem: JsonProblem(Arc::new(error)) }
}

/// A document that is well-formed JSON, but ambiguous or contradictory.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Confusing(pub(super) &'static str);

/// The message of the parser. It may quote the document, so it is cut and escaped.
#[derive(Debug)]
struct Malformed(serde_json::Error);

impl Malformed {
    const SHOWN: usize = 300;
}

impl Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        for character in text.chars().take(Self::SHOWN) {
            match character {
                ' '..='~' => write!(f, "{character}")?,
                _ => write!(f, "{}", character.escape_unicode())?,
            }
        }
        if text.chars().nth(Self::SHOWN).is_none() {
            return Ok(());
        }
        write!(f, "… at line {} column {}", self.0.line(), self.0.column())
    }
}

impl std::error::Error for Malformed {}

/// Implements `Deserialize` by the derived function, for objects in which each key occurs once and in its exact
/// spelling.
///
/// A type derives with `#[serde(remote = "Self")]` and implements the trait with [`strict!`], so that it is
/// read strictly wherever it stands.
pub(super) struct Strict<D>(pub(super) D);

macro_rules! strict {
    ($($type:ty),+) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // The derived function, which is inherent and so comes before the trait's.
                <$type>::deserialize($crate::image::json::Strict(deserializer))
            }
        }
    )+};
}
pub(super) use strict;

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Object { known, visitor })
    }

    /// Structs alone are read this way.
    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, D::Error> {
        Err(D::Error::custom("an object was expected"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Takes an object and nothing else: derived visitors take an array of the values as well.
struct Object<V> {
    known: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Object<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<V::Value, M::Error> {
        self.visitor.visit_map(Members { map, known: self.known, seen: HashSet::new() })
    }
}

/// The members of an object, with their keys checked.
struct Members<M> {
    map: M,
    known: &'static [&'static str],
    seen: HashSet<String>,
}

impl<'de, M: MapAccess<'de>> MapAccess<'de> for Members<M> {
    type Error = M::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, M::Error> {
        let Some(key) = self.map.next_key::<String>()? else { return Ok(None) };
        if let Some(known) = self.known.iter().find(|known| **known != key && folded(known) == folded(&key)) {
            let key = Escaped::new(key.as_bytes());
            return Err(M::Error::custom(format_args!("the key {key}, which some readers take for `{known}`")));
        }
        let value = seed.deserialize(key.as_str().into_deserializer())?;
        once(&mut self.seen, key)?;
        Ok(Some(value))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, M::Error> {
        self.map.next_value_seed(seed)
    }
}

fn once<E: Error>(seen: &mut HashSet<String>, key: String) -> Result<(), E> {
    if seen.contains(&key) {
        return Err(twice(&key));
    }
    seen.insert(key);
    Ok(())
}

/// A key in the form in which Go's `encoding/json` compares keys. Two letters outside of ASCII fold to ASCII letters.
pub(super) fn folded(key: &str) -> String {
    key.chars()
        .map(|character| match character {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            character => character.to_ascii_lowercase(),
        })
        .collect()
}

/// Reads an object with unique keys. `null` is an empty object.
pub(super) fn unique<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, V>, D::Error> {
    deserializer.deserialize_any(Unique(PhantomData))
}

/// The visitor of [`unique`].
struct Unique<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Unique<V> {
    type Value = BTreeMap<String, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut members = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, V>()? {
            match members.entry(key) {
                Entry::Occupied(known) => return Err(twice(known.key())),
                Entry::Vacant(free) => free.insert(value),
            };
        }
        Ok(members)
    }
}

/// The error for a key that an object has twice.
fn twice<E: Error>(key: &str) -> E {
    E::custom(format_args!("the key {} stands twice", Escaped::new(key.as_bytes())))
}

/// Reads a value for which Go's writers write `null` if it is missing.
pub(super) fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
