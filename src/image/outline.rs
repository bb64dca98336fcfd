//! Detects whether a `manifest.json` is the list that `docker save` writes.

use super::json::folded;

/// Scans JSON as a stream, and stores only one key.
///
/// It answers one question: is the first value a list in which an object has a string `Config` or a list `Layers`? A
/// layer may have its own `manifest.json`, of a web application for example. That is an object, or a list of other
/// values.
///
/// It is more tolerant than any JSON parser, on purpose. A file that Docker accepts as an image must not pass as a
/// layer because our own parser is stricter. Go ignores bytes after the first value, uses the last of two equal keys,
/// repairs invalid UTF-8, and ignores the case of keys. So the text need not be well-formed here. A list that is
/// damaged after its first key is still a list.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    state: State,
    /// Lists and objects that are open.
    depth: u64,
    /// Whether the element of the list that is open is an object.
    in_object: bool,
    /// The key as written, truncated to the longest length that can match.
    key: Vec<u8>,
    listed: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the list.
    #[default]
    Before,
    /// Between texts, with the key whose value is still to come, or without.
    Between { keyed: bool },
    /// In a text, behind a backslash or not.
    Text { escaped: bool },
    /// The value of the key comes next.
    Value,
    /// The answer is known.
    Done,
}

impl Outline {
    /// Six letters, each written as `\uXXXX`.
    const LONGEST_KEY: usize = 36;

    /// Scans the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.state == State::Done {
                return;
            }
            self.state = self.next(byte);
        }
    }

    /// Whether the text so far is a list of images.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed
    }

    fn next(&mut self, byte: u8) -> State {
        let is_blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match (self.state, byte) {
            // A byte order mark: not all readers refuse it.
            (State::Before, 0xef | 0xbb | 0xbf) => State::Before,
            (State::Before, _) if is_blank => State::Before,
            (State::Before, b'[') => self.open(byte),
            (State::Before | State::Done, _) => State::Done,

            (State::Text { escaped: false }, b'"') => State::Between { keyed: self.is_at_key() },
            (State::Text { escaped }, _) => {
                // One byte more, so that a longer key is not taken for its beginning.
                if self.is_at_key() && self.key.len() <= Self::LONGEST_KEY {
                    self.key.push(byte);
                }
                State::Text { escaped: !escaped && byte == b'\\' }
            }

            (state @ (State::Between { .. } | State::Value), _) if is_blank => state,
            (State::Between { keyed: true }, b':') => State::Value,
            (State::Value, b'"' | b'[') if self.is_evidence(byte) => {
                self.listed = true;
                State::Done
            }
            (State::Between { .. } | State::Value, b'"') => {
                self.key.clear();
                State::Text { escaped: false }
            }
            (State::Between { .. } | State::Value, b'[' | b'{') => self.open(byte),
            (State::Between { .. } | State::Value, b']' | b'}') => {
                self.depth = self.depth.saturating_sub(1);
                // Go takes the first value, whatever follows.
                if self.depth == 0 { State::Done } else { State::Between { keyed: false } }
            }
            (State::Between { .. } | State::Value, _) => State::Between { keyed: false },
        }
    }

    fn open(&mut self, bracket: u8) -> State {
        self.depth += 1;
        if self.depth == 2 {
            self.in_object = bracket == b'{';
        }
        State::Between { keyed: false }
    }

    /// Whether a string at this point may be a key of an element.
    fn is_at_key(&self) -> bool {
        self.depth == 2 && self.in_object
    }

    /// Whether the key, with a value that begins with this byte, is one of `docker save`.
    fn is_evidence(&self, first: u8) -> bool {
        let quoted = [b"\"", &self.key[..], b"\""].concat();
        let Ok(key) = serde_json::from_slice::<String>(&quoted) else { return false };
        match folded(&key).as_str() {
            "config" => first == b'"',
            "layers" => first == b'[',
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_listed(bytes: &[u8]) -> bool {
        let mut whole = Outline::default();
        whole.feed(bytes);
        let mut pieces = Outline::default();
        bytes.iter().for_each(|&byte| pieces.feed(&[byte]));
        assert_eq!(whole.is_listed(), pieces.is_listed(), "{}", bytes.escape_ascii());
        whole.is_listed()
    }

    #[test]
    fn what_any_reader_takes_for_the_list_of_docker_save_is_one() {
        let listed: &[&[u8]] = &[
            br#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l.tar"]}]"#,
            br#"[{"Config":"c"}]"#,
            br#"[{"Layers":[]}]"#,
            b"\xef\xbb\xbf \r\n\t[ { \"Config\" : \"c\" } ]",
            // As Go compares keys.
            br#"[{"config":"c"}]"#,
            br#"[{"LAYERS":[]}]"#,
            "[{\"layer\u{17f}\":[]}]".as_bytes(),
            br#"[{"\u0043onfi\u0067":"c"}]"#,
            br#"[{"\u004c\u0061\u0079\u0065\u0072\u0073":[]}]"#,
            // Behind much else.
            br#"[null, 7, "[{", {"a":{"b":[{}]},"x\"":"}]","Config":"c"}]"#,
            br#"[{},{"Parent":"","Config":"c"}]"#,
            br#"[{"Config":7,"Config":"c"}]"#,
            // Cut off or damaged, but not before it shows.
            br#"[{"Config":"c","Layers":["#,
            br#"[{"Config":"c"}] and more"#,
            b"[{\"\xff\xfe\":1,\"Config\":\"\xff\"",
            br#"[{"\ud800":NaN,"Config":"c"}]"#,
        ];
        for text in listed {
            assert!(is_listed(text), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn other_documents_of_that_name_are_none() {
        let others: &[&[u8]] = &[
            b"",
            b"[]",
            b"null",
            b"[{}]",
            br#"{"Config":"c","Layers":[]}"#,
            br#"{"name":"web","icons":[{"src":"i.png","Config":"c"}]}"#,
            br#"[["Config","c"],{"a":{"Config":"c"}},[{"Config":"c"}]]"#,
            br#"[{"Config":{"a":1},"layers":7}]"#,
            br#"[{"a":"Config","b":"c"}]"#,
            br#"[{"Configuration":"c"}]"#,
            br#"[{"a":"Config\":\"c"}]"#,
            br#"[] [{"Config":"c"}]"#,
            br#"x[{"Config":"c"}]"#,
            br#""[{\"Config\":\"c\"}]""#,
            &[b"[{\"", &b"\\u0043onfig"[..], &b"\\u0020".repeat(9), b"\":\"c\"}]"].concat(),
        ];
        for text in others {
            assert!(!is_listed(text), "{}", text.escape_ascii());
        }
    }
}
