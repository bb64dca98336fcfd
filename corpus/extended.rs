//! Extended headers: GNU long names, PAX records, and global ones.

use super::build::{Header, base_256, pax_records, tar};
use super::case::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    [long_names(), records(), repeated(), sizes(), globals()].concat()
}

fn long_names() -> Vec<Case> {
    vec![
        case("long-name-without-a-nul", "a GNU long name ends without its NUL", {
            tar().long_name("name").file("f", "hello").end()
        })
        .taken()
        .then_file("name", "hello"),
        case("long-name-with-many-nuls", "a GNU long name ends in many NULs", {
            tar().long_name("name\0\0\0").file("f", "hello").end()
        })
        .taken()
        .then_file("name", "hello"),
        case("long-name-with-a-tail", "a GNU long name has another one behind its NUL", {
            tar().long_name("name\0/etc/shadow").file("f", "hello").end()
        })
        .refused_unless_compatible(&["long-name-trailing"])
        .then_file("name", "hello"),
        case("long-name-that-goes-on", "a GNU long name goes on in what fills its block, where Python reads on", {
            tar().header(Header::gnu(b'L', "././@LongLink").size(4)).padded(b"name/etc").file("f", "hello").end()
        })
        .refused_unless_compatible(&["long-name-trailing"])
        .then_file("name", "hello"),
        case("long-name-and-pax-disagree", "a GNU long name and a PAX record give two names", {
            tar().pax(&[("path", b"pax")]).long_name("gnu\0").file("f", "hello").end()
        })
        .refused_unless_compatible(&["path-disagrees"])
        .then_file("gnu", "hello"),
        case("long-link-and-pax-disagree", "a GNU long link and a PAX record give two targets", {
            tar().long_link("gnu\0").pax(&[("linkpath", b"pax")]).symlink("l", "header").end()
        })
        .refused_unless_compatible(&["path-disagrees"])
        .then_symlink("l", "gnu"),
        case("long-name-and-pax-agree", "a GNU long name and a PAX record say the same", {
            tar().pax(&[("path", b"name")]).long_name("name\0").file("f", "hello").end()
        })
        .taken()
        .then_file("name", "hello"),
        case("long-name-of-nothing", "a GNU long name has no entry after it", tar().long_name("name\0").end())
            .refused_unless_compatible(&["extended-header-alone"]),
        case("long-name-twice", "an entry has two GNU long names", {
            tar().long_name("first\0").long_name("second\0").file("f", "hello").end()
        })
        .refused_unless_compatible(&["extended-header-twice"])
        .then_file("second", "hello"),
        case("long-name-of-a-long-name", "a PAX record gives a GNU long name a size, which is not for it", {
            tar().pax(&[("size", b"4")]).long_name("name\0").file("f", "data").end()
        })
        .taken()
        .then_file("name", "data"),
    ]
}

fn records() -> Vec<Case> {
    let raw = |name, sentence, content: &[u8]| case(name, sentence, tar().raw_pax(content).file("f", "").end());
    vec![
        raw("record-too-short", "a PAX record is longer than its length says", b"8 path=a\n").refused("pax-record"),
        raw("record-too-long", "a PAX record's length goes beyond the header", b"99 path=a\n").refused("pax-record"),
        raw(
            "record-of-zero-bytes",
            "a PAX record's length is zero, on which a reader turns in a circle",
            b"0 path=a\n",
        )
        .refused("pax-record"),
        raw("record-with-a-leading-zero", "a PAX record's length has a zero in front", b"010 path=a\n")
            .refused("pax-record"),
        raw("record-with-a-sign", "a PAX record's length has a plus", b"+10 path=a\n").refused("pax-record"),
        raw("record-with-a-blank", "a PAX record's length has a blank in front", b" 10 path=a\n").refused("pax-record"),
        raw("record-of-a-huge-length", "a PAX record's length has more than 64 bits", {
            b"99999999999999999999999999999999 path=a\n"
        })
        .seen("CVE-2006-0300")
        .refused("pax-record"),
        raw("record-without-a-newline", "a PAX record does not end in a newline", b"9 path=ab").refused("pax-record"),
        raw("record-without-an-equals-sign", "a PAX record has no value", b"6 abc\n").refused("pax-record"),
        raw("record-without-a-key", "a PAX record has no key", b"6 =ab\n").refused("pax-record"),
        raw("record-without-a-length", "a PAX record has no length", b"path=a\n").refused("pax-record"),
        case("record-with-a-blank-before-its-key", "a PAX key has a blank in front, which GNU tar passes over", {
            tar().pax(&[(" path", b"evil")]).file("f", "hello").end()
        })
        .refused("pax-record"),
        case("record-with-a-tab-before-its-key", "a PAX key has a tab in front, which GNU tar passes over", {
            tar().pax(&[("\tlinkpath", b"evil")]).symlink("l", "good").end()
        })
        .refused("pax-record"),
        case("record-with-a-nul-in-its-key", "a PAX key has a NUL, from which on libarchive reads no records", {
            tar().pax(&[("a\0b", b"1"), ("path", b"real")]).file("f", "hello").end()
        })
        .refused("pax-record"),
        raw("records-with-zeros-behind", "NULs follow the last PAX record", b"9 path=a\n\0\0\0").refused("pax-padding"),
        case(
            "records-behind-their-header",
            "a PAX record stands in what fills the header's block, where Python reads on",
            {
                let records = b"9 path=a\n9 path=b\n";
                tar().header(Header::posix(b'x', "PaxHeaders/0").size(9)).padded(records).file("f", "").end()
            },
        )
        .refused("pax-padding"),
        raw("records-with-text-behind", "text follows the last PAX record", b"9 path=a\npath=b").refused("pax-record"),
        case(
            "record-with-a-newline-in-its-value",
            "a PAX value has a newline, and what looks like a record behind it",
            tar().pax(&[("path", b"a\n12 path=evil\n")]).file("f", "hello").end(),
        )
        .taken()
        .then_file("a\n12 path=evil\n", "hello"),
        case("record-with-an-equals-sign-in-its-value", "a PAX value has an equals sign", {
            tar().pax(&[("path", b"a=b")]).file("f", "hello").end()
        })
        .taken()
        .then_file("a=b", "hello"),
        case(
            "record-of-no-owner",
            "an owner, a group and a time are empty, which libarchive and Python take for zero",
            tar().pax(&[("uid", b""), ("gid", b""), ("mtime", b"")]).file("f", "hello").end(),
        )
        .noted(&["pax-empty"])
        .then_file("f", "hello"),
        case("record-of-no-size", "a size is empty, and for those who take it for zero the content is a header", {
            tar().pax(&[("size", b"")]).file("f", tar().file("hidden", "").cut()).end()
        })
        .refused_unless_compatible(&["pax-empty-size"])
        .then_absent("hidden"),
        case("record-of-no-name", "a name is empty, which is the header's in Go, and the empty one in Python", {
            tar().pax(&[("path", b"")]).file("f", "hello").end()
        })
        .refused_unless_compatible(&["pax-empty-name"])
        .then_file("f", "hello"),
        case("record-of-no-target", "a link target is empty, and so is that of the link for GNU tar", {
            tar().pax(&[("linkpath", b"")]).symlink("l", "target").end()
        })
        .refused_unless_compatible(&["pax-empty-name"])
        .then_symlink("l", "target"),
        case("record-of-nothing", "an empty value of what changes nothing", {
            tar().pax(&[("atime", b""), ("uname", b""), ("comment", b"")]).file("f", "hello").end()
        })
        .taken()
        .then_file("f", "hello"),
        case("record-of-a-vendor", "a PAX key is a vendor's own", {
            tar().pax(&[("VENDOR.a", b"1"), ("VENDOR.b", b"2")]).file("f", "hello").end()
        })
        .noted(&["pax-unknown-key"])
        .then_file("f", "hello"),
        case(
            "record-of-a-volume",
            "a PAX key makes the entry a label of the volume for GNU tar, and nothing for others",
            tar().pax(&[("GNU.volume.label", b"backup")]).file("f", "hello").end(),
        )
        .refused_unless_compatible(&["pax-foreign-key"])
        .then_file("f", "hello"),
        case("record-of-holes-by-solaris", "a PAX key puts holes into a file for libarchive, and none for others", {
            tar().pax(&[("SUN.holesdata", b" 0 1 1")]).file("f", "hello").end()
        })
        .refused_unless_compatible(&["pax-foreign-key"])
        .then_file("f", "hello"),
        case("record-of-a-type", "a PAX key makes another type of the entry for star", {
            tar().pax(&[("SCHILY.filetype", b"directory")]).file("f", "hello").end()
        })
        .refused_unless_compatible(&["pax-foreign-key"])
        .then_file("f", "hello"),
        case(
            "record-of-holes-by-star",
            "for Commons Compress a file's content begins with a map, which is a header",
            tar().pax(&[("SCHILY.filetype", b"sparse")]).file("f", tar().file("hidden", "").cut()).end(),
        )
        .refused_unless_compatible(&["pax-foreign-key"])
        .then_absent("hidden"),
        case("record-of-a-type-in-the-tar", "a PAX key says the type that the header should have, for star", {
            tar().pax(&[("SCHILY.tarfiletype", b"symlink")]).file("f", "hello").end()
        })
        .refused_unless_compatible(&["pax-foreign-key"])
        .then_file("f", "hello"),
        case("record-of-a-continued-file", "a PAX key makes the file a part of another volume's for star", {
            tar().pax(&[("SCHILY.offset", b"512")]).file("f", "hello").end()
        })
        .refused_unless_compatible(&["pax-foreign-key"])
        .then_file("f", "hello"),
        case("record-of-a-directorys-names", "a PAX key lists a directory's names, others of which star removes", {
            tar().pax(&[("SCHILY.dir", b"a\0b\0\0")]).directory("d").end()
        })
        .refused_unless_compatible(&["pax-foreign-key"])
        .then_directory("d"),
        case("record-of-a-mode", "a PAX key gives another mode, for .NET", {
            tar().pax(&[("mode", b"2541")]).file("f", "hello").end()
        })
        .refused_unless_compatible(&["pax-foreign-key"])
        .then_file("f", "hello"),
        case("record-of-a-device", "PAX keys give other numbers of a device, for .NET and 7-Zip", {
            tar().pax(&[("devmajor", b"8"), ("devminor", b"0")]).character_device("c", 1, 3).end()
        })
        .refused_unless_compatible(&["pax-foreign-key", "device-node"]),
        case("record-of-an-acl", "an access control list, which layers do not have", {
            tar().pax(&[("SCHILY.acl.access", b"user::rw-,group::r--,other::r--")]).file("f", "hello").end()
        })
        .seen("bsdtar and GNU tar with `--acls` write it")
        .noted(&["acl-dropped"])
        .then_file("f", "hello"),
        case("record-of-flags", "BSD file flags and an SELinux label, which layers do not have", {
            let records: &[(&str, &[u8])] = &[("SCHILY.fflags", b"nodump"), ("RHT.security.selinux", b"u:r:t:s0")];
            tar().pax(records).file("f", "hello").end()
        })
        .noted(&["pax-unknown-key"])
        .then_file("f", "hello"),
        case("records-that-change-nothing", "PAX keys that writers write and no unpacker needs", {
            let records: &[(&str, &[u8])] = &[
                ("atime", b"1.5"),
                ("ctime", b"-1"),
                ("uname", b"root"),
                ("gname", b""),
                ("comment", b"hello"),
                ("hdrcharset", b"BINARY"),
                ("LIBARCHIVE.creationtime", b"1"),
                ("SCHILY.dev", b"1"),
                ("SCHILY.ino", b"1"),
                ("SCHILY.nlink", b"1"),
                ("MSWINDOWS.rawsd", b"AQ=="),
            ];
            tar().pax(records).file("f", "hello").end()
        })
        .taken()
        .then_file("f", "hello"),
    ]
}

fn repeated() -> Vec<Case> {
    vec![
        case("record-twice-alike", "a PAX key stands twice with one value", {
            tar().pax(&[("path", b"a"), ("path", b"a")]).file("f", "hello").end()
        })
        .noted(&["pax-key-alike"])
        .then_file("a", "hello"),
        case("record-twice", "a PAX key stands twice with two values, of which readers take one or the other", {
            tar().pax(&[("path", b"first"), ("path", b"second")]).file("f", "hello").end()
        })
        .refused_unless_compatible(&["pax-key-twice"])
        .then_file("second", "hello"),
        case("pax-twice", "an entry has two PAX headers", {
            tar().pax(&[("path", b"first")]).pax(&[("path", b"second")]).file("f", "hello").end()
        })
        .refused_unless_compatible(&["extended-header-twice"])
        .then_file("second", "hello"),
        case("pax-of-nothing", "a PAX header has no entry after it", tar().pax(&[("path", b"a")]).end())
            .refused_unless_compatible(&["extended-header-alone"]),
        case("pax-without-magic", "a PAX header has no magic, and is a file of its own for some", {
            tar().with(Header::v7(b'x', "x"), pax_records(&[("path", b"g")])).file("f", "hello").end()
        })
        .refused_unless_compatible(&["header-dialect"])
        .then_file("g", "hello"),
        case("long-name-without-magic", "a GNU long name has no magic, and is a file of its own for some", {
            tar().with(Header::v7(b'L', "L"), "g\0").file("f", "hello").end()
        })
        .refused_unless_compatible(&["header-dialect"])
        .then_file("g", "hello"),
        case("pax-before-a-global-header", "a global header stands between a PAX header and its entry", {
            tar().pax(&[("path", b"a")]).global(&[("comment", b"c")]).file("f", "hello").end()
        })
        .expected([
            super::Expected::Refuse("extended-header-alone"),
            super::Expected::Note(vec!["extended-header-alone", "global-comment"]),
            super::Expected::Refuse("extended-header-alone"),
        ])
        .then_file("f", "hello"),
    ]
}

/// Two readers that do not agree on a size see two archives.
fn sizes() -> Vec<Case> {
    let hidden = tar().file("hidden", "").cut();
    vec![
        case("sizes-disagree", "a PAX size is larger than the header's, and the difference is an entry", {
            tar().pax(&[("size", b"512")]).file("f", "").bytes(&hidden).end()
        })
        .seen("CVE-2025-62518")
        .refused_unless_compatible(&["size-disagrees"])
        .then_absent("hidden"),
        case("sizes-disagree-downwards", "a PAX size is smaller than the header's, and the difference is an entry", {
            tar().pax(&[("size", b"0")]).file("f", &hidden).end()
        })
        .refused_unless_compatible(&["size-disagrees"])
        .then_file("hidden", ""),
        case("sizes-disagree-beyond-octal", "a header's size in base-256 is not that of PAX", {
            let header = Header::posix(b'0', "f").raw_size(&base_256::<12>(9 << 30));
            tar().pax(&[("size", b"5")]).header(header).padded(b"hello").end()
        })
        .refused_unless_compatible(&["size-disagrees"])
        .then_file("f", "hello"),
        case("sizes-agree", "a PAX size and the header's are the same", {
            tar().pax(&[("size", b"4")]).file("f", "data").end()
        })
        .taken()
        .then_file("f", "data"),
    ]
}

fn globals() -> Vec<Case> {
    let global = |name, sentence, key: &str, value: &[u8]| {
        case(name, sentence, tar().global(&[(key, value)]).file("f", "hello").end()).then_file("f", "hello")
    };
    vec![
        global("global-path", "a global header gives all entries one name", "path", b"g")
            .refused_unless_compatible(&["global-record"]),
        global("global-size", "a global header gives all entries one size", "size", b"512")
            .refused_unless_compatible(&["global-record"]),
        global("global-link-target", "a global header gives all links one target", "linkpath", b"/etc")
            .refused_unless_compatible(&["global-record"]),
        global("global-owner", "a global header gives all entries one owner", "uid", b"1000")
            .refused_unless_compatible(&["global-record"]),
        global("global-time", "a global header gives all entries one time", "mtime", b"0")
            .refused_unless_compatible(&["global-record"]),
        global(
            "global-attribute",
            "a global header gives all entries an extended attribute",
            "SCHILY.xattr.security.capability",
            b"1",
        )
        .refused_unless_compatible(&["global-record"]),
        global("global-sparse-map", "a global header gives all files one map of holes", "GNU.sparse.map", b"0,1")
            .refused_unless_compatible(&["global-record"]),
        global("global-volume-label", "a global header labels the volume", "GNU.volume.label", b"backup")
            .seen("GNU tar writes it with `--label`")
            .noted(&["global-comment"]),
        global(
            "global-encoding",
            "a global header says how the names of all entries are encoded",
            "hdrcharset",
            b"BINARY",
        )
        .refused_unless_compatible(&["global-record"]),
        global("global-type", "a global header gives all entries one type, for star", "SCHILY.filetype", b"directory")
            .refused_unless_compatible(&["global-record"]),
        global("global-acl", "a global header gives all entries one list of access", "SCHILY.acl.access", b"user::rwx")
            .refused_unless_compatible(&["global-record"]),
        global("global-flags", "a global header gives all entries one set of flags", "SCHILY.fflags", b"uchg")
            .refused_unless_compatible(&["global-record"]),
        global("global-of-a-vendor", "a global header has a vendor's own key", "VENDOR.a", b"1")
            .noted(&["global-comment"]),
        case("global-with-a-blank-before-its-key", "a global header's key has a blank in front", {
            tar().global(&[(" path", b"evil")]).file("f", "hello").end()
        })
        .refused("pax-record"),
        case("global-malformed", "a global header's record is malformed", {
            tar().with(Header::posix(b'g', "pax_global_header"), "5 a=").file("f", "").end()
        })
        .refused("pax-record"),
        case("global-at-the-end", "a global header stands behind all entries", {
            tar().file("f", "hello").global(&[("comment", b"c")]).end()
        })
        .noted(&["global-comment"])
        .then_file("f", "hello"),
        case("global-of-nothing", "a global header is empty", tar().global(&[]).file("f", "hello").end())
            .taken()
            .then_file("f", "hello"),
    ]
}
