//! Types of entries, and sizes where there can be no data.

use super::build::{Header, tar};
use super::case::{Case, Fact, case};

pub(crate) fn cases() -> Vec<Case> {
    [known(), sizes(), unknown()].concat()
}

fn known() -> Vec<Case> {
    vec![
        case("type-nul", "a file has the type of version 7, a NUL", tar().with(Header::v7(0, "f"), "data").end())
            .taken()
            .then_file("f", "data"),
        case("type-nul-with-slash", "a directory of version 7 is one by its slash", {
            tar().header(Header::v7(0, "d/").mode(0o755)).end()
        })
        .taken()
        .then_directory("d"),
        case("type-nul-of-the-root", "the root is a directory of version 7 by its slash, which is all of its name", {
            tar().header(Header::v7(0, "/").mode(0o755)).file("f", "data").end()
        })
        .taken()
        .then_file("f", "data"),
        case("type-contiguous", "a file is contiguous, which nothing is any more", {
            tar().with(Header::posix(b'7', "f"), "data").end()
        })
        .noted(&["contiguous-file"])
        .then_file("f", "data"),
        case("type-fifo", "a named pipe, which must not be opened", tar().fifo("p").end())
            .taken()
            .then("p", Fact::Fifo),
        case("type-file-with-slash", "a regular file's name ends in a slash: GNU tar makes a directory, Go a file", {
            tar().header(Header::posix(b'0', "d/")).end()
        })
        .refused_unless_compatible(&["file-with-slash"]),
        case("type-file-with-slash-and-content", "a regular file's name ends in a slash, and it has content", {
            tar().file("d/", "data").end()
        })
        .refused_unless_compatible(&["file-with-slash"])
        .then_file("d", "data"),
        case("type-nul-with-slash-and-content", "a directory of version 7 has a size, and a header in its content", {
            tar().with(Header::v7(0, "d/"), tar().file("hidden", "").cut()).end()
        })
        .refused_unless_compatible(&["file-with-slash", "size-without-data"])
        .then_directory("d")
        .then_file("hidden", ""),
        case("type-file-with-slash-by-long-name", "a GNU long name puts a slash behind a regular file's name", {
            tar().long_name(b"dir/\0").file("dir", "").end()
        })
        .refused_unless_compatible(&["file-with-slash"]),
        case(
            "type-symlink-with-slash",
            "a symbolic link's name ends in a slash: Commons Compress makes a directory",
            tar().symlink("l/", "t").end(),
        )
        .refused_unless_compatible(&["file-with-slash"])
        .then_symlink("l", "t"),
        case("type-hard-link-with-slash", "a hard link's name ends in a slash", {
            tar().file("f", "data").hard_link("l/", "f").end()
        })
        .refused_unless_compatible(&["file-with-slash"])
        .then("l", Fact::SameAs("f")),
        case("type-fifo-with-slash", "a named pipe's name ends in a slash", tar().fifo("p/").end())
            .refused_unless_compatible(&["file-with-slash"])
            .then("p", Fact::Fifo),
        case("type-device-with-slash", "a device's name ends in a slash", tar().character_device("c/", 1, 3).end())
            .refused_unless_compatible(&["file-with-slash", "device-node"]),
        case("type-symlink-with-slash-by-long-name", "a GNU long name puts a slash behind a symbolic link's name", {
            tar().long_name(b"l/\0").symlink("l", "t").end()
        })
        .refused_unless_compatible(&["file-with-slash"])
        .then_symlink("l", "t"),
        case("type-hard-link-with-slash-by-pax", "a PAX record puts a slash behind a hard link's name", {
            tar().file("f", "data").pax(&[("path", b"l/")]).hard_link("l", "f").end()
        })
        .refused_unless_compatible(&["file-with-slash"])
        .then("l", Fact::SameAs("f")),
        case(
            "type-nul-with-slash-in-the-field",
            "a file's header has a slash for which Python reads its content as headers",
            tar().pax(&[("path", b"a")]).with(Header::posix(0, "q/"), tar().file("hidden", "").cut()).end(),
        )
        .refused_unless_compatible(&["file-with-slash"])
        .then_absent("hidden"),
        case("type-nul-with-slash-by-pax", "a PAX record has the slash of a directory, which its header has not", {
            tar().pax(&[("path", b"a/")]).header(Header::posix(0, "q")).end()
        })
        .refused_unless_compatible(&["file-with-slash"])
        .then_directory("a"),
        case("type-file-with-a-dot", "a file's name ends in `/.`", tar().file("f/.", "data").end())
            .refused_unless_compatible(&["file-with-slash"])
            .then_file("f", "data"),
        case("type-symlink-with-a-dot", "a symbolic link's name ends in `/.`", tar().symlink("l/.", "t").end())
            .refused_unless_compatible(&["file-with-slash"])
            .then_symlink("l", "t"),
        case(
            "type-hard-link-to-a-slash",
            "a hard link's target has a slash at its end: Python writes a second file",
            tar().file("f", "data").hard_link("l", "f/").end(),
        )
        .refused_unless_compatible(&["file-with-slash"])
        .then("l", Fact::SameAs("f")),
        case("type-symlink-with-slash-in-the-cut-name", "a symbolic link's own name was cut at a slash", {
            tar().pax(&[("path", b"dir/link")]).symlink("dir/", "t").end()
        })
        .taken()
        .then_symlink("dir/link", "t"),
        case("type-file-with-slash-in-the-cut-name", "a header's own name was cut at a slash, the PAX one is whole", {
            tar().pax(&[("path", b"dir/file")]).file("dir/", "data").end()
        })
        .taken()
        .then_file("dir/file", "data"),
    ]
}

/// Go reads what follows such a header as the next one, other readers pass over so many bytes.
fn sizes() -> Vec<Case> {
    let hidden = || tar().file("hidden", "").cut();
    vec![
        case("size-of-a-directory", "a directory has a size, and a header in its content", {
            tar().with(Header::posix(b'5', "d"), hidden()).end()
        })
        .refused_unless_compatible(&["size-without-data"])
        .then_file("hidden", ""),
        case("size-of-a-symlink", "a symbolic link has a size, and a header in its content", {
            tar().with(Header::posix(b'2', "l").target("t"), hidden()).end()
        })
        .refused_unless_compatible(&["size-without-data"])
        .then_file("hidden", ""),
        case("size-of-a-hard-link", "a hard link has a size, as cpio archives have it, and no content", {
            tar().file("f", "data").header(Header::posix(b'1', "l").target("f").size(4)).end()
        })
        .refused_unless_compatible(&["size-without-data"])
        .then("l", Fact::SameAs("f")),
        case("size-of-a-fifo", "a named pipe has a size, and a header in its content", {
            tar().with(Header::posix(b'6', "p"), hidden()).end()
        })
        .refused_unless_compatible(&["size-without-data"])
        .then_file("hidden", ""),
        case("size-of-a-device", "a device has a size, and a header in its content", {
            tar().with(Header::posix(b'3', "c").device(1, 3), hidden()).end()
        })
        .refused_unless_compatible(&["size-without-data", "device-node"])
        .then_file("hidden", ""),
        case("size-of-a-directory-by-pax", "a PAX record gives a directory a size", {
            tar().pax(&[("size", b"512")]).directory("d").bytes(&hidden()).end()
        })
        .refused_unless_compatible(&["size-disagrees", "size-without-data"])
        .then_file("hidden", ""),
    ]
}

fn unknown() -> Vec<Case> {
    let unknown = |name, sentence, header: Header| case(name, sentence, tar().header(header).end());
    vec![
        unknown("type-gnu-names", "GNU's list of long names, which renames and links by itself", {
            Header::gnu(b'N', "././@MaNgLeD")
        })
        .seen("CVE-2006-6097")
        .refused("entry-type"),
        unknown("type-gnu-dump-directory", "a directory of an incremental backup", Header::gnu(b'D', "d/"))
            .refused("entry-type"),
        unknown("type-gnu-multi-volume", "the rest of a file of another volume", Header::gnu(b'M', "f"))
            .refused("entry-type"),
        unknown("type-gnu-volume-label", "the label of a volume", Header::gnu(b'V', "label")).refused("entry-type"),
        unknown("type-solaris-acl", "an ACL as Solaris writes it", Header::posix(b'A', "f")).refused("entry-type"),
        unknown("type-solaris-extended", "an extended header as Solaris writes it", Header::posix(b'X', "f"))
            .refused("entry-type"),
        unknown("type-star-inode", "only the inode of a file, as star writes it", Header::posix(b'I', "f"))
            .refused("entry-type"),
        unknown("type-eight", "the first digit that is no type", Header::posix(b'8', "f")).refused("entry-type"),
        unknown("type-of-a-vendor", "a type that POSIX leaves to vendors", Header::posix(b'Z', "f"))
            .refused("entry-type"),
        unknown("type-beyond-ascii", "a type that is no letter", Header::posix(0xff, "f")).refused("entry-type"),
    ]
}
