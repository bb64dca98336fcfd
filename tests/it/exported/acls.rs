//! ACLs in archives: as extended attributes, and as text.

use super::{audited, check, image, permissive};
use crate::support::layer::{Attributes, LayerBuilder};

const NONE: u32 = u32::MAX;

/// An ACL as Linux stores it: tags, permissions and ids.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0];
    for (tag, permissions, id) in entries {
        bytes.extend([tag.to_le_bytes(), permissions.to_le_bytes()].concat());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn acls_are_in_the_archive_as_attributes_and_as_text_and_neither_is_noted() {
    let access = acl(&[(1, 6, NONE), (2, 4, 1_000), (4, 0, NONE), (0x10, 4, NONE), (0x20, 0, NONE)]);
    let default = acl(&[(1, 7, NONE), (4, 5, NONE), (8, 7, 33), (0x10, 7, NONE), (0x20, 5, NONE)]);
    let with = |name, value| Attributes { mode: 0o640, xattrs: vec![(name, value)], ..Attributes::default() };
    let layer = LayerBuilder::new()
        .dir_with("d", &with("system.posix_acl_default", &default))
        .file_with("d/f", b"1", &with("system.posix_acl_access", &access))
        .hard_link("d/g", "d/f");
    let (_place, selected) = image(&[layer]);
    let tar = check(&selected, &permissive()).unwrap();
    let contains = |text: &str| tar.windows(text.len()).filter(|bytes| *bytes == text.as_bytes()).count();
    assert_eq!(contains("SCHILY.acl.access=user::rw-,user:1000:r--,group::---,mask::r--,other::---\n"), 1);
    assert_eq!(contains("SCHILY.acl.default=user::rwx,group::r-x,group:33:rwx,mask::rwx,other::r-x\n"), 1);
    assert_eq!(contains("SCHILY.xattr.system.posix_acl_"), 2);
}

#[test]
fn an_acl_in_text_is_noted_unless_the_attribute_and_the_mode_say_the_same() {
    let attribute = acl(&[(1, 6, NONE), (2, 4, 1_000), (4, 0, NONE), (0x10, 4, NONE), (0x20, 0, NONE)]);
    let text = "user::rw-,user:1000:r--,group::---,mask::r--,other::---";
    let other = text.replace("1000", "1001");
    for (sentence, mode, key, text, is_noted) in [
        ("the same", 0o640, "SCHILY.acl.access", text, false),
        ("another user", 0o640, "SCHILY.acl.access", &*other, true),
        ("another mode", 0o660, "SCHILY.acl.access", text, true),
        ("another key", 0o640, "SCHILY.acl.default", text, true),
        ("empty", 0o640, "SCHILY.acl.access", "", true),
    ] {
        let attributes =
            Attributes { mode, xattrs: vec![("system.posix_acl_access", &attribute)], ..Attributes::default() };
        let layer = LayerBuilder::new().record(key, text.as_bytes()).file_with("f", b"1", &attributes);
        let findings = audited(&layer.build()).findings;
        assert_eq!(
            findings.iter().any(|finding| finding.contains("[acl-dropped]")),
            is_noted,
            "{sentence}: {findings:?}"
        );
    }
    let layer = LayerBuilder::new().record("SCHILY.acl.access", text.as_bytes()).file("f", b"1");
    assert!(audited(&layer.build()).findings[0].contains("[acl-dropped]"), "no attribute");
}
