//! The record of a layer: what it was made from.

use super::root::damaged;
use crate::words::{Digest, Error, Skippable};
use std::fmt::Write;

/// The name of the record, beside the layer.
pub(super) const RECORD: &[u8] = b"layer";

/// The largest record: the names of skipped entries have a limit of 16 MiB, and are written as digits.
pub(super) const MOST: usize = 64 << 20;

const FIRST: &str = "layercage overlay layer 1";
const LAST: &str = "end";

/// What a layer was made from. Another layer can be made from the same blob under another policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) diff_id: Digest,
    /// The digest of everything that decides what a layer becomes: the policy, the format, the privileges.
    pub(crate) policy: Digest,
    /// The boot in which it was written, if it was not written to the disk.
    pub(crate) boot: Option<String>,
    /// The devices and pipes that were skipped in this layer and in lower ones, by path. Hard links to them are skipped,
    /// too.
    pub(crate) skipped: Vec<(Box<[u8]>, Skippable)>,
}

impl Record {
    pub(super) fn write(&self) -> String {
        let mut text = format!("{FIRST}\ndiff-id {}\npolicy {}\n", self.diff_id, self.policy);
        if let Some(boot) = &self.boot {
            text.push_str(&format!("boot {boot}\n"));
        }
        for (path, skippable) in &self.skipped {
            text.push_str("skipped ");
            text.push_str(word(*skippable));
            text.push(' ');
            for byte in path {
                let _ = write!(text, "{byte:02x}");
            }
            text.push('\n');
        }
        text.push_str(LAST);
        text.push('\n');
        text
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        std::str::from_utf8(bytes).ok().and_then(parse).ok_or_else(|| damaged(RECORD))
    }
}

fn parse(text: &str) -> Option<Record> {
    let mut lines = text.strip_suffix('\n')?.split('\n').peekable();
    if lines.next()? != FIRST {
        return None;
    }
    let diff_id = lines.next()?.strip_prefix("diff-id ")?.parse().ok()?;
    let policy = lines.next()?.strip_prefix("policy ")?.parse().ok()?;
    let boot = lines.next_if(|line| line.starts_with("boot ")).map(|line| line.split_at(5).1.to_owned());
    let mut skipped = Vec::new();
    loop {
        let line = lines.next()?;
        if line == LAST {
            return lines.next().is_none().then_some(Record { diff_id, policy, boot, skipped });
        }
        let (kind, path) = line.strip_prefix("skipped ")?.split_once(' ')?;
        let skippable = ALL.into_iter().find(|&skippable| word(skippable) == kind)?;
        skipped.push((from_hex(path)?, skippable));
    }
}

const ALL: [Skippable; 3] = [Skippable::Device, Skippable::DeviceZero, Skippable::Fifo];

fn word(skippable: Skippable) -> &'static str {
    match skippable {
        Skippable::Device => "device",
        Skippable::DeviceZero => "device-zero",
        Skippable::Fifo => "fifo",
    }
}

fn from_hex(digits: &str) -> Option<Box<[u8]>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_a_part_of_one_is_none() {
        for (boot, skipped) in [
            (None, vec![]),
            (Some("7f3a".to_owned()), vec![(b"dev/a b\n\xff"[..].into(), Skippable::Device)]),
            (None, vec![(b"p"[..].into(), Skippable::Fifo), (b"z"[..].into(), Skippable::DeviceZero)]),
        ] {
            let record = Record { diff_id: Digest::Sha256([7; 32]), policy: Digest::Sha512([9; 64]), boot, skipped };
            let text = record.write();
            assert_eq!(Record::parse(text.as_bytes()).unwrap(), record);
            for end in 0..text.len() {
                assert!(Record::parse(&text.as_bytes()[..end]).is_err(), "{end}");
            }
            assert!(Record::parse(format!("{text}more\n").as_bytes()).is_err());
        }
    }
}
