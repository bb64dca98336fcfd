//! The keys of PAX records, and how we handle each of them.

/// The meaning of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Path,
    Target,
    Size,
    Uid,
    Gid,
    Mtime,
    OtherTime,
    /// The name of a user or group. Layers use numeric ids.
    OwnerName,
    Xattr(&'a [u8]),
    /// bsdtar's own form of an attribute, with its name and value encoded.
    ForeignXattr(&'a [u8]),
    /// An access control list, which is not applied.
    Acl,
    /// A record about holes: the key without its common prefix.
    Sparse(&'a [u8]),
    StarSparse,
    /// A key of another reader that changes the entry, or where it goes.
    Foreign,
    /// The encoding of names in the records. Names are bytes here, so in an `x` header it changes nothing. In a global
    /// header it would change how other readers decode the names of all entries behind it.
    Encoding,
    /// A volume label. In an `x` header it changes the entry. In a global header it is a comment.
    Label,
    /// An attribute that some readers apply. Layers do not have it.
    Attribute,
    /// A known key that changes nothing in the tree.
    Harmless,
    Unknown,
}

impl<'a> Key<'a> {
    pub(super) fn of(key: &'a [u8]) -> Self {
        // The most frequent keys.
        match key {
            b"path" => return Self::Path,
            b"linkpath" => return Self::Target,
            b"size" => return Self::Size,
            b"uid" => return Self::Uid,
            b"gid" => return Self::Gid,
            b"mtime" => return Self::Mtime,
            b"atime" | b"ctime" => return Self::OtherTime,
            b"uname" | b"gname" => return Self::OwnerName,
            _ => (),
        }
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            return Self::Xattr(name);
        }
        if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            return Self::ForeignXattr(name);
        }
        if let Some(rest) = key.strip_prefix(b"GNU.sparse.") {
            return Self::Sparse(rest);
        }
        match key {
            b"comment" | b"charset" | b"LIBARCHIVE.creationtime" => Self::Harmless,
            b"hdrcharset" => Self::Encoding,
            b"SCHILY.dev" | b"SCHILY.ino" | b"SCHILY.nlink" => Self::Harmless,
            _ if key.starts_with(b"MSWINDOWS.") => Self::Harmless,
            _ if key.starts_with(b"SCHILY.acl.") => Self::Acl,
            b"SCHILY.fflags" | b"RHT.security.selinux" | b"LIBARCHIVE.symlinktype" => Self::Attribute,
            b"SCHILY.realsize" => Self::StarSparse,
            // star reads the entry's type from these. Commons Compress reads a map of holes from the content, and may
            // then read content as headers.
            b"SCHILY.filetype" | b"SCHILY.tarfiletype" => Self::Foreign,
            // A file of another volume (star), and the names in a directory: a restore removes all others.
            b"SCHILY.offset" | b"SCHILY.dir" | b"SCHILY.dino" | b"GNU.dumpdir" => Self::Foreign,
            b"SUN.holesdata" => Self::Foreign,
            b"SCHILY.devmajor" | b"SCHILY.devminor" | b"SCHILY.devminorbits" => Self::Foreign,
            b"SUN.devmajor" | b"SUN.devminor" | b"devmajor" | b"devminor" => Self::Foreign,
            // .NET sets the mode from this record.
            b"mode" => Self::Foreign,
            b"GNU.volume.label" => Self::Label,
            _ if key.starts_with(b"GNU.volume.") => Self::Foreign,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The handling of a key, in the words of the page.
    fn verdict(key: &str) -> &'static str {
        match Key::of(key.as_bytes()) {
            Key::Path | Key::Target | Key::Size | Key::Uid | Key::Gid | Key::Mtime | Key::Xattr(_) => "applied",
            Key::Sparse(_) => "holes",
            Key::ForeignXattr(_) => "twin",
            Key::OtherTime | Key::OwnerName | Key::Harmless | Key::Encoding => "no effect",
            Key::Acl => "`acl-dropped`",
            Key::Attribute | Key::Unknown => "`pax-unknown-key`",
            Key::StarSparse => "`sparse`",
            Key::Foreign | Key::Label => "`pax-foreign-key`",
        }
    }

    #[test]
    fn every_key_of_the_page_is_judged_as_the_page_says() {
        let page = include_str!("../../../docs/pax-keys.md");
        let rows: Vec<Vec<_>> = page
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert!(rows.len() > 20, "the page has its table");
        for row in rows {
            let [keys, said, readers] = row[..] else { panic!("{row:?}") };
            assert!(!readers.is_empty(), "{keys} has no reader");
            for key in keys.split(", ") {
                let key = key.trim_matches('`').replace('*', "user.x");
                assert_eq!(verdict(&key), said, "{key}");
            }
        }
    }

    /// The page lists every key that the code knows.
    #[test]
    fn every_key_of_the_code_is_on_the_page() {
        let (code, _) = include_str!("keys.rs").split_once("#[cfg(test)]").unwrap();
        let page = include_str!("../../../docs/pax-keys.md");
        let keys: Vec<_> = code.split("b\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(keys.len() > 30, "{keys:?}");
        for key in keys {
            let key = if key.ends_with('.') { format!("`{key}*`") } else { format!("`{key}`") };
            assert!(page.contains(&key), "docs/pax-keys.md lacks {key}");
        }
    }
}
