//! What layercage makes of an archive under its default policy.

use super::item::{Attributes, Item, Kind, sha256};
use layercage::audit::{Audit, Finding, Observer};
use layercage::blob::LayerStream;
use layercage::policy::{Devices, Verdict};
use layercage::rules::{Limit, Rule};
use layercage::tar::{Component, EndMark, Entry, EntryKind, Source, TarReader};
use layercage::{Digest, Error, Expected, Layer, Limits, Policy};
use std::collections::BTreeSet;
use std::io::Read;

/// The largest file that is compared: a hole costs a peer as much time as content does.
pub(crate) const LARGEST_FILE: u64 = 1 << 20;

/// An entry, and the header blocks and the content that it was read from.
pub(crate) struct Seen<'a> {
    pub(crate) item: Item,
    pub(crate) entry: Entry,
    pub(crate) bytes: &'a [u8],
}

/// The policy that is compared: the default one, but that devices are made and not refused, so that they are compared.
pub(crate) fn policy() -> Policy {
    Policy::default().with_devices(Devices::Create)
}

pub(crate) fn limits() -> Limits {
    Limits::default().with(Limit::FileBytes, LARGEST_FILE)
}

/// The entries of a plain tar, or the rule by which it is refused. Whatever its end is, a digest says that it is whole.
pub(crate) fn read(archive: &[u8]) -> Result<Vec<Seen<'_>>, &'static str> {
    judge(archive)?;
    let mut reader = TarReader::new(archive, &limits()).with_end_mark(EndMark::Optional);
    let mut read: Vec<(Entry, Item)> = Vec::new();
    while let Some(entry) = reader.next_entry().map_err(|error| rule(&error))? {
        let content = content(&entry, &mut reader.source()).map_err(|error| rule(&error))?;
        let item = item(&entry, &content);
        if item.kind == Kind::HardLink && item.target.is_empty() {
            // What every tree says, and no byte of the archive.
            return Err("hard-link-to-directory");
        }
        read.push((entry, item));
    }
    let ends: Vec<_> = read.iter().skip(1).map(|(entry, _)| entry.offset).chain([archive.len() as u64]).collect();
    let all = read.into_iter().zip(ends).map(|((entry, item), end)| {
        let bytes = &archive[usize::try_from(entry.offset).unwrap()..usize::try_from(end).unwrap()];
        Seen { item, entry, bytes }
    });
    Ok(all.collect())
}

/// The plain tar of a layer that is compressed, perhaps; `None` where the compression is broken.
pub(crate) fn unpacked(layer: &[u8]) -> Option<Vec<u8>> {
    let mut stream = LayerStream::open(layer, Expected::unchecked(), &Limits::default()).ok()?;
    let mut archive = Vec::new();
    stream.read_to_end(&mut archive).ok()?;
    stream.finish().ok()?;
    Some(archive)
}

/// What is odd about an archive that we take, by the ids of rules; and two forms that no rule of the reader is about.
pub(crate) fn forms(archive: &[u8], seen: &[Seen]) -> BTreeSet<&'static str> {
    let mut forms = findings(archive).noted;
    for Seen { item, .. } in seen {
        let last = item.name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        forms.extend((item.kind == Kind::HardLink && item.target == item.name).then_some("a hard link to itself"));
        forms.extend((last.len() > Component::LONGEST).then_some("a whiteout of more than 255 bytes"));
    }
    forms
}

fn judge(archive: &[u8]) -> Result<(), &'static str> {
    findings(archive).refused.map_or(Ok(()), Err)
}

fn findings(archive: &[u8]) -> Findings {
    let diff_id: Digest = format!("sha256:{}", sha256(archive)).parse().unwrap();
    let mut findings = Findings { policy: policy(), refused: None, noted: BTreeSet::new() };
    Audit::new(limits())
        .layer(Layer::new(archive).expecting(Expected::unchecked().with_diff_id(diff_id)), &mut findings)
        .unwrap();
    findings
}

struct Findings {
    policy: Policy,
    /// The first rule that the policy refuses by.
    refused: Option<&'static str>,
    noted: BTreeSet<&'static str>,
}

impl Observer for Findings {
    fn finding(&mut self, finding: &Finding) {
        let verdict = match &finding.rule {
            Rule::Violation(_) => Verdict::Refuse,
            Rule::Quirk(quirk) => self.policy.verdict(quirk.rule()),
        };
        let id = finding.rule.id();
        match verdict {
            Verdict::Refuse => _ = self.refused.get_or_insert(id),
            Verdict::Note => _ = self.noted.insert(id),
            _ => (),
        }
    }
}

fn rule(error: &Error) -> &'static str {
    error.rule_id().unwrap_or_else(|| panic!("the archive is not to blame: {error}"))
}

/// The whole content of a file, its holes filled.
fn content(entry: &Entry, source: &mut impl Source) -> Result<Vec<u8>, Error> {
    let mut stored = Vec::new();
    loop {
        let chunk = source.chunk()?;
        let bytes = chunk.len();
        if bytes == 0 {
            break;
        }
        stored.extend_from_slice(chunk);
        source.consume(bytes);
    }
    let EntryKind::File { size, sparse: Some(map) } = &entry.kind else { return Ok(stored) };
    let mut content = vec![0; usize::try_from(*size).unwrap()];
    let mut rest = &stored[..];
    for segment in map.segments() {
        let (offset, length) = (usize::try_from(segment.offset).unwrap(), usize::try_from(segment.length).unwrap());
        let (data, behind) = rest.split_at(length);
        content[offset..offset + length].copy_from_slice(data);
        rest = behind;
    }
    Ok(content)
}

fn item(entry: &Entry, content: &[u8]) -> Item {
    let name = entry.path.as_bytes();
    let metadata = &entry.metadata;
    let attributes = Attributes {
        mode: Some(metadata.mode),
        owner: Some((metadata.uid.into(), metadata.gid.into())),
        seconds: Some(metadata.mtime.seconds()),
        nanoseconds: Some(metadata.mtime.nanoseconds()),
    };
    let item = match &entry.kind {
        EntryKind::File { .. } => Item::file(name, content),
        EntryKind::HardLink { target } => Item::new(name, Kind::HardLink).with_target(target),
        EntryKind::Symlink { target } => Item::new(name, Kind::Symlink).with_target(target.as_bytes()),
        EntryKind::Directory => Item::new(name, Kind::Directory),
        EntryKind::Fifo => Item::new(name, Kind::Fifo),
        EntryKind::Device(device) => {
            Item::new(name, device.kind.into()).with_device(device.major.into(), device.minor.into())
        }
    };
    item.with_attributes(attributes)
}
