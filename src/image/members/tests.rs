//! Members found by their names, through links.

use super::*;
use crate::words::{EntryKind, LinkTarget, Segment, SparseMap};
use std::time::{Duration, Instant};

fn path(name: &str) -> EntryPath {
    EntryPath::parse(name.as_bytes(), &Limits::default()).unwrap()
}

fn members(held: &[(&str, EntryKind)]) -> Members {
    let archive = Arc::new(tempfile::tempfile().unwrap());
    let mut members = Members::default();
    for (at, (name, kind)) in held.iter().enumerate() {
        members.add(&path(name), Member::of(kind.clone(), at as u64), &Limits::default(), &archive).unwrap();
    }
    members
}

fn file() -> EntryKind {
    EntryKind::File { size: 1, sparse: None }
}

fn link(target: &str) -> EntryKind {
    EntryKind::Symlink { target: LinkTarget::parse(target.as_bytes()).unwrap() }
}

fn hard_link(target: &str) -> EntryKind {
    EntryKind::HardLink { target: target.into() }
}

/// Where the content of a file begins.
fn found(members: &Members, name: &str) -> Result<Option<u64>, Violation> {
    members.file(&path(name), &Limits::default()).map(|place| place.map(|place| place.at))
}

#[test]
fn a_hard_link_is_an_earlier_member_under_another_name() {
    let members = members(&[
        ("early", hard_link("a/file")),
        ("a/file", file()),
        ("x/same", hard_link("/a//./file")),
        ("again", hard_link("x/same")),
        ("a/link", link("file")),
        ("x/link", hard_link("a/link")),
        ("x/file", file()),
        ("to-directory", hard_link("d")),
        ("d", EntryKind::Directory),
        ("to-directory-now", hard_link("d/")),
        ("climbs", hard_link("../a/file")),
        ("below", hard_link("a/file/x")),
        ("a/file", hard_link("a/file")),
        ("pipe", EntryKind::Fifo),
        ("to-pipe", hard_link("pipe")),
    ]);
    let missing = |member: &str, target: &str| {
        let [member, target] = [member, target].map(|name| Escaped::new(name.as_bytes()));
        Err(Violation::MemberLinkMissing { member, target })
    };
    assert_eq!([found(&members, "x/same"), found(&members, "again")], [Ok(Some(1)), Ok(Some(1))]);
    assert_eq!(found(&members, "a/file"), Ok(Some(1)), "a link to itself, where the file is there");
    assert_eq!(found(&members, "x/link"), Ok(Some(6)), "a link to a symbolic link, which leads on from its own place");
    assert_eq!(found(&members, "early"), missing("early", "a/file"));
    assert_eq!(found(&members, "to-directory"), missing("to-directory", "d"));
    let directory = Violation::HardLinkToDirectory { target: Escaped::new(b"d/") };
    assert_eq!(found(&members, "to-directory-now"), Err(directory));
    assert_eq!(found(&members, "climbs").unwrap_err().id(), "hard-link-target");
    assert_eq!(found(&members, "below"), Err(not_regular(b"a/file")));
    assert_eq!(found(&members, "to-pipe"), Err(not_regular(b"to-pipe")));
}

#[test]
fn what_is_kept_of_members_counts_against_the_limit_on_names() {
    let archive = Arc::new(tempfile::tempfile().unwrap());
    let segments: Vec<_> = (0..10).map(|at| Segment { offset: at, length: 1 }).collect();
    let sparse = EntryKind::File { size: 10, sparse: Some(SparseMap::new(segments, 10, 10).unwrap()) };
    // A link to a sparse file shares its map. It counts all the same, as if it had its own.
    for (held, bytes) in [
        (vec![("a", sparse.clone())], 1 + 160),
        (vec![("a", sparse), ("b", hard_link("a"))], 1 + 160 + 1 + 1 + 160),
        (vec![("a", link("bcd")), ("b", hard_link("a"))], 1 + 3 + 1 + 1 + 3),
    ] {
        let add = |most| {
            let limits = Limits::default().with(Limit::ArchiveNameBytes, most);
            let mut members = Members::default();
            held.iter()
                .try_for_each(|(name, kind)| members.add(&path(name), Member::of(kind.clone(), 0), &limits, &archive))
        };
        assert!(add(bytes).is_ok() && add(bytes - 1).is_err(), "{held:?}");
    }
}

#[test]
fn a_name_is_refused_below_any_parent_that_is_no_directory() {
    let members = members(&[
        ("a", EntryKind::Directory),
        ("a/file", file()),
        ("a/link", link("b")),
        ("a/b/c", file()),
        ("ab/c", file()),
    ]);
    for name in ["a/file/x", "a/file/x/y/z", "a/link/x", "a/b/c/d"] {
        let parent = &name[..name.rfind(['x', 'd']).unwrap() - 1];
        assert_eq!(found(&members, name), Err(not_regular(parent.as_bytes())), "{name}");
    }
    for name in ["a/none", "a/none/x", "b/a/file", "file/x", "a/fil/e", "c"] {
        assert_eq!(found(&members, name), Ok(None), "{name}");
    }
    assert_eq!(found(&members, "a/b/c"), Ok(Some(3)));
    assert_eq!(found(&members, "ab/c"), Ok(Some(4)), "a parent that no entry lists");
}

#[test]
fn links_are_followed_alike_the_first_time_and_later() {
    let members = members(&[
        ("a/0", link("../b/1")),
        ("b/1", link("2")),
        ("b/2", link("../c")),
        ("c", file()),
        ("loop", link("a/../loop")),
        ("to-none", link("none")),
    ]);
    for _ in 0..2 {
        let through = |name, most| {
            members.existing_file(&path(name), &Limits::default().with(Limit::LinkHops, most)).map(|place| place.at)
        };
        assert_eq!(through("a/0", 3), Ok(3));
        assert_eq!(through("a/0", 2), Err(Violation::LinkLoop { hops: 2 }));
        assert_eq!(through("b/1", 2), Ok(3));
        assert!(matches!(through("loop", Limit::OFF), Err(Violation::LinkLoop { .. })));
        assert_eq!(through("to-none", 40), Err(Violation::MemberMissing { name: Escaped::new(b"none") }));
    }
}

#[test]
fn a_name_of_2048_components_is_found_in_time_that_grows_with_its_bytes() {
    let deep = |name: &str| format!("{}{name}", "a/".repeat(2_000));
    let chain = (0..39).map(|number| (deep(&format!("l{number}")), link(&format!("l{}", number + 1))));
    let held: Vec<_> = chain.chain([(deep("l39"), file())]).collect();
    let held: Vec<_> = held.iter().map(|(name, kind)| (name.as_str(), kind.clone())).collect();
    let members = members(&held);
    let start = Instant::now();
    for _ in 0..50 {
        members.existing_file(&path(&deep("l0")), &Limits::default()).unwrap();
    }
    // This took 2.6 seconds (optimised, and many more as tests are built) when each parent was hashed from its start.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
