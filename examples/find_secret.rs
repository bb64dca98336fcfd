//! Finds text in the files of an image that upper layers hid: a key that was deleted in a later layer, for example.
//!
//! ```sh
//! cargo run --release --example find_secret -- app.oci.tar '-----BEGIN [A-Z ]*PRIVATE KEY-----' 'AKIA[0-9A-Z]{16}'
//! ```
//!
//! A pattern is a regular expression. Prints the first match in each file. A match longer than 4 KiB may be missed. The
//! exit code is 1 for a match and also for an error.

#![allow(clippy::disallowed_methods, reason = "opens the image that its user names")]

use cap_std::ambient_authority;
use layercage::error::Escaped;
use layercage::merged::Hidden;
use layercage::policy::Devices;
use layercage::{Image, Policy, Selector};
use regex::bytes::{Regex, RegexBuilder};
use std::error::Error;
use std::io::{self, Read, Write};
use std::process::ExitCode;

/// The longest match that is found wherever it is.
const LONGEST: usize = 4 << 10;
/// Bytes that are searched at once.
const WINDOW: u64 = 256 << 10;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let path = arguments.next().ok_or("usage: find_secret IMAGE PATTERN...")?;
    let patterns: Vec<_> = arguments.map(|pattern| format!("(?:{})", pattern.to_string_lossy())).collect();
    // Files are bytes and not text.
    let pattern = RegexBuilder::new(&patterns.join("|")).unicode(false).build()?;

    let selected = Image::open_ambient(path, ambient_authority())?.select(&Selector::host())?;
    let tree = selected.merge(&Policy::default().with_devices(Devices::Skip))?;
    let mut found = Vec::new();
    // A file that still has a path in the tree is not only in a lower layer.
    let is_gone = |hidden: Hidden<'_>| hidden.link_count() == 0;
    tree.read_hidden(&selected, is_gone, |hidden, content| {
        found.extend(find(&pattern, content)?.map(|text| (hidden, text)));
        Ok(())
    })?;

    // Only now, every layer that was searched is verified.
    let mut out = io::stdout().lock();
    for (hidden, text) in &found {
        let (layer, how, by) = (hidden.layer(), hidden.how(), hidden.hidden_by());
        writeln!(out, "{} of layer {layer}, {how} by layer {by}: {}", hidden.path(), Escaped::new(text))?;
    }
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The first match in a file, without all of the file in memory.
fn find(pattern: &Regex, content: &mut dyn Read) -> io::Result<Option<Vec<u8>>> {
    let mut window = Vec::new();
    loop {
        // A match may begin at the end of the last window.
        window.drain(..window.len().saturating_sub(LONGEST));
        let length = content.take(WINDOW).read_to_end(&mut window)?;
        if let Some(text) = pattern.find(&window) {
            return Ok(Some(text.as_bytes().to_vec()));
        }
        if length == 0 {
            return Ok(None);
        }
    }
}
