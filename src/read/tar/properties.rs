//! Properties of the reader for arbitrary archives.

use super::build::{Archive, Header};
use super::tests::{Read, drain, read_with};
use super::{EndMark, TarReader};
use crate::words::{EntryKind, Limits, Timestamp};
use proptest::prelude::*;
use std::io::{self, BufReader};

/// Blocks that may be part of a valid archive.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let flag = prop::sample::select(&b"\x000123456789xgLKSV"[..]);
    let name = prop::collection::vec(any::<u8>(), 0..100);
    let content = prop::collection::vec(any::<u8>(), 0..1200);
    prop_oneof![
        4 => (flag.clone(), name, content).prop_map(|(flag, name, content)| {
            Archive::default().with(Header::gnu(flag, &name), &content).cut()
        }),
        4 => (flag, "[a-z/.]{1,20}", "[a-z]{0,20}").prop_map(|(flag, name, content)| {
            Archive::default().with(Header::posix(flag, name.as_bytes()).target(b"t"), content.as_bytes()).cut()
        }),
        2 => ("[a-z]{1,8}", "[0-9]{0,4}").prop_map(|(key, value)| Archive::default().pax(&[(&key, value.as_bytes())]).cut()),
        2 => ("[a-z/]{1,20}", "[a-z]{0,600}").prop_map(|(name, content)| Archive::default().file(&name, content.as_bytes()).cut()),
        1 => prop::collection::vec(any::<u8>(), 0..600),
        1 => Just(vec![0; 512]),
    ]
}

fn archive() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(part(), 0..8).prop_map(|parts| parts.concat())
}

/// Returns at most this number of bytes in a call.
struct Slow<'a>(&'a [u8], usize);

impl io::Read for Slow<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(self.1);
        self.0.read(&mut out[..most])
    }
}

fn outline(read: &Read) -> Vec<String> {
    read.entries.iter().map(|entry| format!("{entry:?}")).chain(read.quirks.iter().map(|id| (*id).into())).collect()
}

proptest! {
    #[test]
    fn any_bytes_are_taken_or_refused(bytes in archive()) {
        if let Ok(read) = read_with(&bytes, &Limits::default(), true) {
            let mut before = None;
            for (entry, content) in &read.entries {
                prop_assert!(before < Some(entry.offset), "offsets grow");
                prop_assert_eq!(entry.offset % 512, 0);
                before = Some(entry.offset);
                let size = if let EntryKind::File { size, .. } = entry.kind { size } else { 0 };
                prop_assert_eq!(content.len() as u64, size);
            }
        }
    }

    #[test]
    fn bytes_read_alike_however_they_come(bytes in archive(), step in 1_usize..700, capacity in 1_usize..2000) {
        let whole = read_with(&bytes, &Limits::default(), true);
        let mut reader = TarReader::new(BufReader::with_capacity(capacity, Slow(&bytes, step)), &Limits::default()).with_end_mark(EndMark::Optional);
        let mut read = Read { entries: Vec::new(), quirks: Vec::new() };
        let error = loop {
            match reader.next_entry() {
                Ok(None) => break None,
                Err(error) => break Some(error),
                Ok(Some(entry)) => match drain(&mut reader.source()) {
                    Err(error) => break Some(error),
                    Ok(content) => {
                        read.quirks.extend(entry.quirks.iter().map(|quirk| quirk.id()));
                        read.entries.push((entry, content));
                    }
                },
            }
        };
        read.quirks.extend(reader.end_quirks().iter().map(|quirk| quirk.id()));
        match whole {
            Ok(whole) => prop_assert_eq!(outline(&whole), outline(&read)),
            Err(expected) => {
                prop_assert_eq!(Some(expected.kind().to_string()), error.map(|error| error.kind().to_string()));
                prop_assert_eq!(expected.position(), &reader.position());
            }
        }
    }

    #[test]
    fn what_the_tar_crate_writes_reads_back(
        files in prop::collection::vec(
            (prop::collection::vec("[a-zA-Z0-9_é-]{3,60}", 1..6), any::<u32>(), 0_u64..1 << 40, prop::collection::vec(any::<u8>(), 0..1500)),
            0..6,
        ),
        posix: bool,
    ) {
        // A name of 61 or 62 bytes that begins like a Windows program is refused: 7-Zip opens the archive as one.
        prop_assume!(!files.first().is_some_and(|(name, ..)| name[0].starts_with("MZ")));
        let mut builder = tar::Builder::new(Vec::new());
        for (name, id, time, content) in &files {
            let mut header = if posix { tar::Header::new_ustar() } else { tar::Header::new_gnu() };
            // Without a type, an entry is refused if its name is cut after a slash.
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(content.len() as u64);
            header.set_mode(id & 0o7777);
            header.set_uid((id / 2).into());
            header.set_gid((id / 3).into());
            header.set_mtime(*time);
            builder.append_data(&mut header, name.join("/"), &content[..]).unwrap();
        }
        let read = read_with(&builder.into_inner().unwrap(), &Limits::default(), false);
        let read = read.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&read.quirks[..], &[""; 0][..]);
        prop_assert_eq!(read.entries.len(), files.len());
        for ((entry, got), (name, id, time, content)) in read.entries.iter().zip(&files) {
            let name = name.join("/");
            prop_assert_eq!(entry.path.as_bytes(), name.as_bytes());
            prop_assert_eq!(got, content);
            let metadata = &entry.metadata;
            prop_assert_eq!((metadata.mode, metadata.uid, metadata.gid), (id & 0o7777, id / 2, id / 3));
            prop_assert_eq!(metadata.mtime, Timestamp::of_seconds(time.cast_signed()));
        }
    }
}
