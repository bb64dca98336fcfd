//! Extended attributes, capabilities and ACLs.

use super::build::tar;
use super::case::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    [names(), capabilities(), acls()].concat()
}

fn with(name: &'static str, sentence: &'static str, attribute: &str, value: &[u8]) -> Case {
    let key = format!("SCHILY.xattr.{attribute}");
    case(name, sentence, tar().pax(&[(&key, value)]).file("f", "hello").end()).then_file("f", "hello")
}

fn names() -> Vec<Case> {
    vec![
        with("xattr-of-a-user", "an attribute is a user's", "user.a", b"\0=\n").taken(),
        with("xattr-without-a-value", "an attribute's value is empty, which is not the same as none", "user.a", b"")
            .taken(),
        case(
            "xattr-of-libarchive",
            "an attribute is there in libarchive's own form alone, which others do not read",
            tar().pax(&[("LIBARCHIVE.xattr.user.a", b"MQ")]).file("f", "hello").end(),
        )
        .noted(&["xattr-dropped"])
        .then_file("f", "hello"),
        case("xattr-in-two-forms", "an attribute is there in libarchive's own form and in the common one", {
            let records: &[(&str, &[u8])] = &[("LIBARCHIVE.xattr.user.a%20b", b"MQ"), ("SCHILY.xattr.user.a b", b"1")];
            tar().pax(records).file("f", "hello").end()
        })
        .taken()
        .then_file("f", "hello"),
        case("xattr-of-libarchive-differs", "an attribute has one value for libarchive and another for others", {
            let records: &[(&str, &[u8])] = &[("SCHILY.xattr.user.a", b"1"), ("LIBARCHIVE.xattr.user.a", b"Mg")];
            tar().pax(records).file("f", "hello").end()
        })
        .noted(&["xattr-dropped"])
        .then_file("f", "hello"),
        with("xattr-name-escaped", "an attribute's name has `%3D`, which GNU tar takes for `=`", "user.a%3Db", b"v")
            .refused_unless_compatible(&["xattr-name-escaped"]),
        with("xattr-without-a-name", "an attribute has no name", "", b"v").refused("xattr-name"),
        with("xattr-with-a-nul-in-its-name", "an attribute has a NUL in its name", "user.a\0b", b"v")
            .refused("pax-record"),
        with(
            "xattr-with-a-name-of-256-bytes",
            "an attribute's name is longer than Linux takes",
            &format!("user.{}", "a".repeat(251)),
            b"v",
        )
        .refused("xattr-name"),
        with(
            "xattr-overlay-opaque",
            "an attribute makes a directory opaque to an overlay file system",
            "trusted.overlay.opaque",
            b"y",
        )
        .noted(&["xattr-dropped"]),
        with(
            "xattr-overlay-redirect",
            "an attribute makes an overlay file system look elsewhere",
            "user.overlay.redirect",
            b"/etc/shadow",
        )
        .noted(&["xattr-dropped"]),
        with(
            "xattr-override-stat",
            "an attribute tells a storage driver who owns a file, and that it is setuid",
            "user.containers.override_stat",
            b"0:0:4755",
        )
        .noted(&["xattr-dropped"]),
        with(
            "xattr-rootlesscontainers",
            "an attribute tells an engine who owns a file",
            "user.rootlesscontainers",
            b"\x08\x00",
        )
        .noted(&["xattr-dropped"]),
        with(
            "xattr-selinux",
            "an attribute is a label of the host's security module",
            "security.selinux",
            b"system_u:object_r:etc_t:s0\0",
        )
        .noted(&["xattr-dropped"]),
        with("xattr-ima", "an attribute is a measurement of the host's", "security.ima", b"\x04\x04")
            .noted(&["xattr-dropped"]),
        with("xattr-nfs4-acl", "an attribute is an ACL of a file system that this is not", "system.nfs4_acl", b"\0")
            .noted(&["xattr-dropped"]),
        with("xattr-of-no-namespace", "an attribute belongs to nobody that is known", "vendor.a", b"v")
            .noted(&["xattr-dropped"]),
        with(
            "xattr-beyond-64-kib",
            "an attribute's value is longer than Linux takes",
            "user.a",
            &[b'x'; (1 << 16) + 1],
        )
        .refused("xattr-value"),
        case("xattr-of-a-symlink", "a symbolic link has a user's attribute, which Linux does not allow", {
            tar().pax(&[("SCHILY.xattr.user.a", b"v")]).symlink("l", "t").end()
        })
        .taken()
        .then_symlink("l", "t"),
        case("xattr-of-a-fifo", "a named pipe has a user's attribute, which Linux does not allow", {
            tar().pax(&[("SCHILY.xattr.user.a", b"v")]).fifo("p").end()
        })
        .taken()
        .then("p", super::Fact::Fifo),
    ]
}

/// A capability: a revision, and sets of which the first one has `CAP_CHOWN`.
fn capability(revision: u8, words: usize) -> Vec<u8> {
    let mut value = vec![1, 0, 0, revision];
    value.extend([1, 0, 0, 0].into_iter().chain([0; 64]).take(4 * words));
    value
}

fn capabilities() -> Vec<Case> {
    let capability =
        |name, sentence, revision, words| with(name, sentence, "security.capability", &capability(revision, words));
    vec![
        capability("capability-2", "a file has a capability of revision 2", 2, 4).taken(),
        capability("capability-1", "a file has a capability of revision 1, which kernels take no longer", 1, 2).taken(),
        capability("capability-3", "a file has a capability of revision 3, which a user namespace has set", 3, 5)
            .taken(),
        capability("capability-too-short", "a capability is shorter than its revision says", 2, 3)
            .refused("xattr-value"),
        capability("capability-too-long", "a capability is longer than its revision says", 2, 5).refused("xattr-value"),
        capability("capability-of-another-revision", "a capability has a revision to come", 4, 5)
            .refused("xattr-value"),
        with("capability-of-nothing", "a capability is empty", "security.capability", b"").refused("xattr-value"),
    ]
}

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NOBODY: u32 = u32::MAX;

fn acl(version: u32, entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = version.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes()).chain(id.to_le_bytes()));
    }
    value
}

fn acls() -> Vec<Case> {
    let access = |name, sentence, value: Vec<u8>| with(name, sentence, "system.posix_acl_access", &value);
    let owner = (USER_OBJ, 6, NOBODY);
    let group = (GROUP_OBJ, 4, NOBODY);
    let mask = (MASK, 7, NOBODY);
    let other = (OTHER, 4, NOBODY);
    let named = (USER, 7, 1000);
    vec![
        access("acl-minimal", "an ACL says what a mode says", acl(2, &[owner, group, other])).taken(),
        access("acl-with-a-user", "an ACL has a user of its own", acl(2, &[owner, named, group, mask, other])).taken(),
        access("acl-without-a-mask", "an ACL has a user and no mask", acl(2, &[owner, named, group, other]))
            .refused("xattr-value"),
        access("acl-out-of-order", "an ACL's entries are out of order", acl(2, &[group, owner, other]))
            .refused("xattr-value"),
        access("acl-with-more-permissions", "an ACL gives a permission that there is not", {
            acl(2, &[(USER_OBJ, 15, NOBODY), group, other])
        })
        .refused("xattr-value"),
        access("acl-of-another-version", "an ACL has a version to come", acl(3, &[owner, group, other]))
            .refused("xattr-value"),
        access("acl-cut", "an ACL ends within an entry", {
            let mut value = acl(2, &[owner, group, other]);
            value.pop();
            value
        })
        .refused("xattr-value"),
        access("acl-of-nothing", "an ACL is empty", Vec::new()).refused("xattr-value"),
        with(
            "acl-of-new-files-on-a-file",
            "a file has the ACL that a directory gives to new files",
            "system.posix_acl_default",
            &acl(2, &[owner, group, other]),
        )
        .taken(),
        case("acl-of-a-symlink", "a symbolic link has an ACL, which Linux does not allow", {
            let value = acl(2, &[owner, group, other]);
            tar().pax(&[("SCHILY.xattr.system.posix_acl_access", &value)]).symlink("l", "t").end()
        })
        .taken()
        .then_symlink("l", "t"),
        case("acl-of-new-files", "a directory has an ACL for new files", {
            let value = acl(2, &[owner, named, group, mask, other]);
            tar().pax(&[("SCHILY.xattr.system.posix_acl_default", &value)]).directory("d").file("d/f", "hello").end()
        })
        .taken()
        .then_file("d/f", "hello"),
        access("acl-beyond-64-kib", "an ACL has more users than Linux takes", {
            let users = (0..9_000).map(|id| (USER, 7, id));
            acl(2, &[owner].into_iter().chain(users).chain([group, mask, other]).collect::<Vec<_>>())
        })
        .refused("xattr-value"),
    ]
}
