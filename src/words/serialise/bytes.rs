//! Bytes of archives as members of JSON objects. Every name, target and value of an archive is written here.

use crate::words::Escaped;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;

/// Writes bytes as the member `key`. If they are not UTF-8, the text has U+FFFD in place of what is not, and the member
/// `key_hex` has the bytes.
pub(crate) fn put_bytes<M: SerializeMap>(map: &mut M, key: &str, bytes: &[u8]) -> Result<(), M::Error> {
    let text = String::from_utf8_lossy(bytes);
    map.serialize_entry(key, &text)?;
    match text {
        Cow::Borrowed(_) => Ok(()),
        Cow::Owned(_) => map.serialize_entry(&format!("{key}_hex"), &hex(bytes)),
    }
}

/// Writes a list of bytes as the member `key`. If one of them is not UTF-8, the member `key_hex` has them all.
pub(super) fn put_list<'b, M: SerializeMap>(
    map: &mut M,
    key: &str,
    list: impl Iterator<Item = &'b [u8]> + Clone,
) -> Result<(), M::Error> {
    let texts: Vec<_> = list.clone().map(String::from_utf8_lossy).collect();
    map.serialize_entry(key, &texts)?;
    match texts.iter().any(|text| matches!(text, Cow::Owned(_))) {
        true => map.serialize_entry(&format!("{key}_hex"), &list.map(hex).collect::<Vec<_>>()),
        false => Ok(()),
    }
}

/// The same as [`put_bytes`]. If only the first bytes were kept, the member `key_cut` is true.
pub(super) fn put_escaped<M: SerializeMap>(map: &mut M, key: &str, escaped: &Escaped) -> Result<(), M::Error> {
    if !escaped.is_cut() {
        return put_bytes(map, key, escaped.bytes());
    }
    put_bytes(map, key, without_half_character(escaped.bytes()))?;
    map.serialize_entry(&format!("{key}_cut"), &true)
}

/// The bytes without the first bytes of a character at the end, whose other bytes were cut off.
fn without_half_character(bytes: &[u8]) -> &[u8] {
    let last = bytes.utf8_chunks().last().map(|chunk| chunk.invalid()).unwrap_or_default();
    match std::str::from_utf8(last) {
        // No length means that the text ended too early.
        Err(error) if error.error_len().is_none() => bytes.strip_suffix(last).unwrap_or(bytes),
        _ => bytes,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Escaped {
    /// The bytes as members of a JSON object. `KEY` is the text, not escaped. If the bytes are not UTF-8, `KEY_hex` has them
    /// in hexadecimal digits, and the text has U+FFFD in place of what is not UTF-8. If only the first bytes were kept,
    /// `KEY_cut` is true.
    ///
    /// ```
    /// # use layercage::error::Escaped;
    /// let members = serde_json::to_value(Escaped::whole(b"a\xff").members("path"))?;
    /// assert_eq!(members, serde_json::json!({"path": "a\u{fffd}", "path_hex": "61ff"}));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn members<'m>(&'m self, key: &'m str) -> impl Serialize + use<'m> {
        Members { key, bytes: self }
    }
}

/// An object of the members of some bytes.
struct Members<'m> {
    key: &'m str,
    bytes: &'m Escaped,
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        put_escaped(&mut map, self.key, self.bytes)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, to_value};

    #[test]
    fn a_name_is_its_text_and_has_its_bytes_beside_it_if_it_is_no_text() {
        for (bytes, expected) in [
            (&b"a/b"[..], json!({"n": "a/b"})),
            (b"", json!({"n": ""})),
            (b"\"\\\x1b\n", json!({"n": "\"\\\u{1b}\n"})),
            ("\u{fc}\u{202e}\u{fffd}".as_bytes(), json!({"n": "\u{fc}\u{202e}\u{fffd}"})),
            (b"\xc3", json!({"n": "\u{fffd}", "n_hex": "c3"})),
            (b"a\xff\xfeb", json!({"n": "a\u{fffd}\u{fffd}b", "n_hex": "61fffe62"})),
        ] {
            assert_eq!(to_value(Escaped::whole(bytes).members("n")).unwrap(), expected, "{}", Escaped::new(bytes));
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_says_so() {
        let members = |bytes: &[u8]| to_value(Escaped::new(bytes).members("n")).unwrap();
        let fits = "a".repeat(Escaped::KEPT);
        assert_eq!(members(fits.as_bytes()), json!({"n": fits}));
        let umlauts = format!("a{}", "\u{fc}".repeat(Escaped::KEPT));
        assert_eq!(members(umlauts.as_bytes()), json!({"n": umlauts.get(..Escaped::KEPT - 1), "n_cut": true}));
        let no_text = members(&[b'\xff'; Escaped::KEPT + 1]);
        assert_eq!((&no_text["n_hex"], &no_text["n_cut"]), (&json!("ff".repeat(Escaped::KEPT)), &json!(true)));
        let whole = Escaped::whole(umlauts.as_bytes());
        assert_eq!(to_value(whole.members("n")).unwrap(), json!({"n": umlauts}));
    }
}
