//! The keys of PAX records, and what each of them is to us.

/// What a key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Path,
    Target,
    Size,
    Uid,
    Gid,
    Mtime,
    OtherTime,
    /// A user's or group's name; layers go by number.
    OwnerName,
    Xattr(&'a [u8]),
    /// bsdtar's own form of an attribute, with its name and value encoded.
    ForeignXattr(&'a [u8]),
    /// An access control list, which is not applied.
    Acl,
    /// A record about holes, without what all keys of these begin with.
    Sparse(&'a [u8]),
    StarSparse,
    /// Another reader's, for which it changes what the entry is or where it goes.
    Foreign,
    /// The label of a volume: beside an entry it makes another entry of it, in a global header it is a comment.
    Label,
    /// An attribute that some readers apply and that layers do not have.
    Attribute,
    /// Known, and changes nothing that is unpacked.
    Harmless,
    Unknown,
}

impl<'a> Key<'a> {
    pub(super) fn of(key: &'a [u8]) -> Self {
        // The few that nearly all records have.
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
            b"comment" | b"charset" | b"hdrcharset" | b"LIBARCHIVE.creationtime" => Self::Harmless,
            b"SCHILY.dev" | b"SCHILY.ino" | b"SCHILY.nlink" => Self::Harmless,
            _ if key.starts_with(b"MSWINDOWS.") => Self::Harmless,
            _ if key.starts_with(b"SCHILY.acl.") => Self::Acl,
            b"SCHILY.fflags" | b"RHT.security.selinux" | b"LIBARCHIVE.symlinktype" => Self::Attribute,
            b"SCHILY.realsize" => Self::StarSparse,
            // star takes a type from these, and Commons Compress a map of holes out of the content, which may be headers.
            b"SCHILY.filetype" | b"SCHILY.tarfiletype" => Self::Foreign,
            // star's part of a file of another volume, and the names that a directory had, others of which it removes.
            b"SCHILY.offset" | b"SCHILY.dir" | b"SCHILY.dino" | b"GNU.dumpdir" => Self::Foreign,
            b"SUN.holesdata" => Self::Foreign,
            b"SCHILY.devmajor" | b"SCHILY.devminor" | b"SCHILY.devminorbits" => Self::Foreign,
            b"SUN.devmajor" | b"SUN.devminor" | b"devmajor" | b"devminor" => Self::Foreign,
            // .NET changes the mode by a record.
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

    /// What comes of a key, in the words of the page.
    fn verdict(key: &str) -> &'static str {
        match Key::of(key.as_bytes()) {
            Key::Path | Key::Target | Key::Size | Key::Uid | Key::Gid | Key::Mtime | Key::Xattr(_) => "applied",
            Key::Sparse(_) => "holes",
            Key::ForeignXattr(_) => "twin",
            Key::OtherTime | Key::OwnerName | Key::Harmless => "no effect",
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

    /// Whatever the code treats in its own way, the page lists.
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
