//! JSON as it is printed: an object per line.

use layercage::error::Escaped;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Map, Serializer, Value, json};
use std::io::{self, Write};

/// Bytes as members of an object: the text as the member `key`, and their hexadecimal digits if they are not UTF-8.
pub(crate) fn members(key: &str, bytes: &[u8]) -> Map<String, Value> {
    match json!(Escaped::whole(bytes).members(key)) {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// An object as a line.
pub(crate) fn line(object: &Value) -> Vec<u8> {
    let mut line = Vec::new();
    // Values are always JSON, and memory takes everything.
    let _ = object.serialize(&mut Serializer::with_formatter(&mut line, Unseen));
    line.push(b'\n');
    line
}

/// Writes characters that control a terminal or that are not visible as `\u` and their number, which JSON may do with any
/// character. JSON itself demands it for control characters below U+0020 only.
struct Unseen;

impl Formatter for Unseen {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, unseen)) = rest.char_indices().find(|(_, char)| is_unseen(*char)) {
            let (before, from) = rest.split_at(at);
            CompactFormatter.write_string_fragment(writer, before)?;
            unseen.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            rest = from.get(unseen.len_utf8()..).unwrap_or_default();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

/// Whether a character is a control character, or one that changes how others are shown: the direction of the text, line
/// ends, marks without width, and tags.
fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_same_text_to_a_reader_and_cannot_control_a_terminal() {
        for (text, printed) in [
            ("a\u{fc}\u{6f22}", "a\u{fc}\u{6f22}"),
            ("\u{1b}[31m\u{7f}\u{9b}31m", r"\u001b[31m\u007f\u009b31m"),
            ("a\u{202e}b\u{2028}", r"a\u202eb\u2028"),
            ("\u{e0041}x\\", r"\udb40\udc41x\\"),
            ("\n\"", r#"\n\""#),
        ] {
            let object = json!({"n": text, "list": [text]});
            let line = String::from_utf8(line(&object)).unwrap();
            assert_eq!(line, format!("{{\"list\":[\"{printed}\"],\"n\":\"{printed}\"}}\n"));
            assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), object);
        }
    }
}
