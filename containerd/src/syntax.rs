//! Errors of TOML files, each in one line.

use toml::de::Error;

/// Why a text is not TOML, with its position.
pub(crate) fn malformed(text: &str, error: &Error) -> String {
    let message = message(error);
    match error.span().and_then(|span| text.get(..span.start)) {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            format!("line {line}, column {column}: {message}")
        }
        None => message,
    }
}

/// Why a table has other keys or values than it may have, with the key.
pub(crate) fn unexpected(place: &[&str], error: &Error) -> String {
    let message = message(error).replace("unknown field", "unknown key");
    // The parser has no other form of the key: it is the last line of its text.
    let text = error.to_string();
    let key = text.lines().last().and_then(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    let keys: Vec<_> = place.iter().copied().chain(key).collect();
    match keys.is_empty() {
        true => message,
        false => format!("`{}`: {message}", keys.join(".")),
    }
}

fn message(error: &Error) -> String {
    error.message().split_whitespace().collect::<Vec<_>>().join(" ")
}
