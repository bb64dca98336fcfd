//! Compares two members of an archive that have the same name.

use super::blob::BlobReader;
use super::member::{Member, Place};
use crate::words::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

/// Whether two members have the same type and content, so that every reader gets the same one.
pub(super) fn is_same_member(one: &Member, other: &Member, archive: &Arc<File>, name: &[u8]) -> Result<bool, Error> {
    let (Member::File(one), Member::File(other)) = (one, other) else {
        return Ok(one == other && *one != Member::Other);
    };
    if one == other {
        return Ok(true);
    }
    match (&one.map, &other.map) {
        _ if one.size != other.size => Ok(false),
        // Only stored bytes are compared: two files of a few stored bytes may have 2^60 bytes of holes each.
        (Some(map), Some(other_map)) => {
            Ok(map == other_map && has_same_bytes(stored(one, archive), stored(other, archive), name)?)
        }
        // One of them has no holes, so both are at most as large as the archive.
        _ => has_same_bytes(one.reader(archive), other.reader(archive), name),
    }
}

fn stored(place: &Place, archive: &Arc<File>) -> BlobReader {
    BlobReader::new(Arc::clone(archive), place.at, place.stored())
}

fn has_same_bytes(one: BlobReader, other: BlobReader, name: &[u8]) -> Result<bool, Error> {
    let reader = |reader| BufReader::with_capacity(64 << 10, reader);
    let (mut one, mut other) = (reader(one), reader(other));
    loop {
        let failed = |error| Error::system("pread64", name, error);
        let (left, right) = (one.fill_buf().map_err(failed)?, other.fill_buf().map_err(failed)?);
        let both = left.len().min(right.len());
        if left.get(..both) != right.get(..both) {
            return Ok(false);
        }
        if both == 0 {
            return Ok(left.len() == right.len());
        }
        one.consume(both);
        other.consume(both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{EntryKind, Segment, SparseMap};
    use std::io::Write;

    #[test]
    fn members_are_compared_by_their_bytes_and_holes_cost_nothing() {
        let mut archive = tempfile::tempfile().unwrap();
        archive.write_all(b"abab\0\0xb\0\0").unwrap();
        let archive = Arc::new(archive);
        let sparse = |at, size| {
            let segments = vec![Segment { offset: 0, length: 2 }, Segment { offset: size, length: 0 }];
            let map = SparseMap::new(segments, size, 2).unwrap();
            Member::of(EntryKind::File { size, sparse: Some(map) }, at)
        };
        let plain = |at, size| Member::of(EntryKind::File { size, sparse: None }, at);
        for (one, other, expected) in [
            (plain(0, 2), plain(2, 2), true),
            (plain(0, 2), plain(0, 3), false),
            (plain(2, 4), plain(6, 4), false),
            (sparse(0, 4), plain(2, 4), true),
            (sparse(0, 4), plain(6, 4), false),
            (sparse(6, 4), plain(6, 4), true),
            (sparse(0, 1 << 60), sparse(2, 1 << 60), true),
            (sparse(0, 1 << 60), sparse(6, 1 << 60), false),
            (sparse(0, 1 << 60), sparse(2, 1 << 59), false),
            (Member::Directory, Member::Directory, true),
            (Member::Directory, plain(0, 2), false),
            (Member::Other, Member::Other, false),
        ] {
            assert_eq!(is_same_member(&one, &other, &archive, b"").unwrap(), expected, "{one:?} {other:?}");
            assert_eq!(is_same_member(&other, &one, &archive, b"").unwrap(), expected, "{other:?} {one:?}");
        }
    }
}
