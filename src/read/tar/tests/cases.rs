//! The table of cases: a sentence, an archive, and the expected result.

use super::super::build::{Header, base_256};
use super::{a, flipped};

/// An `x` header with these records, and a file.
fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    a().pax(records).file("f", b"").end()
}

/// An `x` header with this content, and a file.
fn pax_content(content: &[u8]) -> Vec<u8> {
    a().with(Header::posix(b'x', b"x"), content).file("f", b"").end()
}

pub(super) type Case = (&'static str, fn() -> Vec<u8>, Result<&'static [&'static str], &'static str>);

/// A sentence, an archive, and what comes of it: the quirks it is taken with, or the rule that refuses it.
pub(super) const CASES: &[Case] = &[
    // Types.
    ("a file", || a().file("f", b"data").end(), Ok(&[])),
    ("a file of the old type", || a().with(Header::v7(0, b"f"), b"data").end(), Ok(&[])),
    ("a contiguous file", || a().with(Header::posix(b'7', b"f"), b"data").end(), Ok(&["contiguous-file"])),
    ("an old directory, by its slash", || a().header(Header::v7(0, b"d/")).end(), Ok(&[])),
    ("a new file with a slash", || a().header(Header::posix(b'0', b"d/")).end(), Err("file-with-slash")),
    ("a contiguous file with a slash", || a().header(Header::posix(b'7', b"d/")).end(), Err("file-with-slash")),
    ("an old directory with content", || a().with(Header::v7(0, b"d/"), b"data").end(), Err("file-with-slash")),
    (
        "a file whose cut name alone ends in a slash",
        || a().pax(&[("path", b"dir/file")]).file("dir/", b"data").end(),
        Ok(&[]),
    ),
    (
        "a file whose long name alone ends in a slash",
        || a().long_name(b"dir/\0").file("dir", b"").end(),
        Err("file-with-slash"),
    ),
    (
        "a file whose field ends in a slash and whose name does not",
        || a().pax(&[("path", b"a")]).with(Header::posix(0, b"q/"), b"data").end(),
        Err("file-with-slash"),
    ),
    (
        "an empty file whose field ends in a slash and whose long name does not",
        || a().long_name(b"a\0").header(Header::gnu(0, b"q/")).end(),
        Err("file-with-slash"),
    ),
    (
        "an old directory whose field does not end in a slash",
        || a().pax(&[("path", b"a/")]).header(Header::posix(0, b"q")).end(),
        Err("file-with-slash"),
    ),
    (
        "an old directory whose slash stands in the prefix",
        || a().header(Header::posix(0, b"").prefix(b"d")).end(),
        Err("file-with-slash"),
    ),
    (
        "an old directory whose field was cut",
        || a().pax(&[("path", &[&[b'd'; 120][..], b"/"].concat())]).header(Header::posix(0, [b'd'; 100])).end(),
        Ok(&[]),
    ),
    (
        "an empty file whose field was cut behind a slash",
        || {
            let cut = [&[b'd'; 99][..], b"/"].concat();
            a().pax(&[("path", &[&cut[..], b"f"].concat())]).header(Header::posix(0, &cut)).end()
        },
        Ok(&[]),
    ),
    (
        "a file whose field was cut behind a slash, with content",
        || {
            let cut = [&[b'd'; 99][..], b"/"].concat();
            a().pax(&[("path", &[&cut[..], b"f"].concat())]).with(Header::posix(0, &cut), b"data").end()
        },
        Err("file-with-slash"),
    ),
    (
        "an empty file whose field is full and of another name",
        || a().pax(&[("path", b"a")]).header(Header::posix(0, [&[b'd'; 99][..], b"/"].concat())).end(),
        Err("file-with-slash"),
    ),
    ("a file whose last component is a dot", || a().file("a/.", b"").end(), Err("file-with-slash")),
    ("an old file whose last component is a dot", || a().header(Header::v7(0, b"a/.")).end(), Err("file-with-slash")),
    (
        "a symbolic link whose last component is a dot",
        || a().header(Header::posix(b'2', b"a/.").target(b"b")).end(),
        Err("file-with-slash"),
    ),
    (
        "a file whose last component is a dot by a record",
        || a().pax(&[("path", b"a/.")]).file("a", b"").end(),
        Err("file-with-slash"),
    ),
    ("a directory whose last component is a dot", || a().directory("a/.").end(), Ok(&[])),
    (
        "a hard link to what ends in a slash",
        || a().header(Header::posix(b'1', b"l").target(b"f/")).end(),
        Err("file-with-slash"),
    ),
    (
        "a hard link to what ends in a dot, by a long name",
        || a().long_link(b"f/.\0").header(Header::gnu(b'1', b"l").target(b"f")).end(),
        Err("file-with-slash"),
    ),
    (
        "a whiteout that links to what ends in a slash",
        || a().header(Header::posix(b'1', b".wh.l").target(b"f/")).end(),
        Ok(&[]),
    ),
    ("a directory with a size", || a().with(Header::posix(b'5', b"d"), b"data").end(), Err("size-without-data")),
    ("a hard link with a size", || a().header(Header::posix(b'1', b"l").size(1)).end(), Err("size-without-data")),
    (
        "a symbolic link with a size",
        || a().header(Header::posix(b'2', b"l").target(b"t").size(1)).end(),
        Err("size-without-data"),
    ),
    ("a named pipe with a size", || a().header(Header::posix(b'6', b"p").size(1)).end(), Err("size-without-data")),
    ("a device with a size", || a().header(Header::posix(b'3', b"d").size(1)).end(), Err("size-without-data")),
    ("a symbolic link to nothing", || a().header(Header::posix(b'2', b"l")).end(), Err("link-target-empty")),
    ("a hard link to nothing, left to the judge", || a().header(Header::posix(b'1', b"l")).end(), Ok(&[])),
    (
        "an old sparse file",
        || a().header(Header::gnu(b'S', b"s").bytes(386, b"00000000000\x0000000000000\0")).end(),
        Ok(&["old-sparse-file"]),
    ),
    ("a PAX sparse file", || pax(&[("GNU.sparse.major", b"1")]), Err("sparse")),
    ("a star sparse file", || pax(&[("SCHILY.realsize", b"1")]), Err("sparse")),
    ("a multi-volume header", || a().header(Header::gnu(b'M', b"f")).end(), Err("entry-type")),
    ("a volume label", || a().header(Header::gnu(b'V', b"label")).end(), Err("entry-type")),
    ("a Solaris extended header", || a().header(Header::posix(b'X', b"x")).end(), Err("entry-type")),
    // Names.
    ("a name that climbs", || a().file("a/../b", b"").end(), Err("name-climbs")),
    ("a PAX name that climbs", || pax(&[("path", b"..")]), Err("name-climbs")),
    ("a prefix that climbs", || a().header(Header::posix(b'0', b"f").prefix(b"..")).end(), Err("name-climbs")),
    ("a PAX name with a NUL", || pax(&[("path", b"a\0b")]), Err("name-nul")),
    ("a PAX link with a NUL", || pax(&[("linkpath", b"a\0b")]), Err("link-target-nul")),
    (
        "a GNU header with a prefix",
        || a().header(Header::gnu(b'0', b"f").prefix(b"some/long/directory")).end(),
        Ok(&["gnu-prefix"]),
    ),
    (
        "a GNU header with a prefix as long as a field",
        || a().header(Header::gnu(b'0', b"f").prefix([b'p'; 155])).end(),
        Ok(&["gnu-prefix"]),
    ),
    (
        "a GNU header with times",
        || a().header(Header::gnu(b'0', b"f").prefix(b"13773573637\x0013773573637\0")).end(),
        Ok(&["gnu-times"]),
    ),
    (
        "a GNU header with what is a number for Go, and text behind it",
        || a().header(Header::gnu(b'0', b"f").prefix(b"0\0junk")).end(),
        Err("number"),
    ),
    (
        "a GNU header with text behind a time",
        || a().header(Header::gnu(b'0', b"f").prefix(b"13773573637\0some/dir")).end(),
        Ok(&["gnu-prefix"]),
    ),
    (
        "a GNU header with neither times nor a prefix",
        || a().header(Header::gnu(b'0', b"f").prefix(b"\x01\x02\x03")).end(),
        Err("number"),
    ),
    (
        "an old header with something where a prefix would stand",
        || a().header(Header::v7(0, b"f").prefix(b"\x01..")).end(),
        Err("header-dialect"),
    ),
    (
        "an old header with something behind the NUL of no prefix",
        || a().header(Header::v7(0, b"f").prefix(b"\0rubbish")).end(),
        Ok(&[]),
    ),
    (
        "a header of no known dialect with a prefix",
        || a().header(Header::v7(b'0', b"f").bytes(257, b"ustar00\0").prefix(b"p")).end(),
        Err("header-dialect"),
    ),
    (
        "a header of no known dialect without a prefix",
        || a().header(Header::v7(b'0', b"f").bytes(257, b"ustar00\0")).end(),
        Ok(&[]),
    ),
    (
        "a header of no known dialect whose name is elsewhere",
        || a().pax(&[("path", b"f")]).header(Header::v7(b'0', b"f").prefix(b"p")).end(),
        Ok(&[]),
    ),
    (
        "a device of the old type",
        || a().header(Header::v7(b'4', b"d").bytes(329, b"0000005\0")).end(),
        Err("header-dialect"),
    ),
    (
        "a star header with a prefix",
        || a().header(Header::posix(b'0', b"f").prefix(b"p/q").bytes(508, b"tar\0")).end(),
        Ok(&[]),
    ),
    (
        "a star header with a prefix longer than star has it",
        || a().header(Header::posix(b'0', b"f").prefix([b'p'; 132]).bytes(508, b"tar\0")).end(),
        Err("header-dialect"),
    ),
    // Other formats.
    (
        "a first name that begins like gzip",
        || a().header(Header::posix(b'0', b"\x1f\x8b\x08")).end(),
        Err("foreign-magic"),
    ),
    (
        "a second name that begins like gzip",
        || a().file("f", b"").header(Header::posix(b'0', b"\x1f\x8b\x08")).end(),
        Ok(&[]),
    ),
    (
        "a global header that begins like an archive of ar",
        || a().with(Header::posix(b'g', b"!<arch>\n"), b"").file("f", b"").end(),
        Err("foreign-magic"),
    ),
    (
        "a global header that begins like cab, and nothing",
        || a().header(Header::posix(b'g', b"MSCF")).end(),
        Err("foreign-magic"),
    ),
    ("a first name that begins with two letters of a disk image", || a().file("ERRORS", b"").end(), Ok(&[])),
    (
        "the same with a number that is not octal, and that 7-Zip does not read",
        || a().header(Header::gnu(b'0', b"ERRORS").raw_major(b"rubbish!")).end(),
        Ok(&[]),
    ),
    (
        "a first name that begins like a map of partitions, with numbers that 7-Zip reads",
        || a().header(Header::gnu(b'0', b"ER\x02\0").bytes(136, &base_256::<12>(1 << 33))).end(),
        Ok(&[]),
    ),
    (
        "the same with a number that it does not read, so that it tries other formats",
        || a().header(Header::gnu(b'0', b"ER\x02\0").raw_major(b"rubbish!")).end(),
        Err("foreign-magic"),
    ),
    (
        "the same in a second header",
        || a().file("f", b"").header(Header::gnu(b'0', b"ER\x02\0").raw_major(b"rubbish!")).end(),
        Ok(&[]),
    ),
    // Numbers.
    ("a checksum summed signed", || a().bytes(&Header::posix(b'0', b"\xff").block_summed_signed()).end(), Ok(&[])),
    ("a checksum that is off by one", || a().bytes(&flipped(0)).end(), Err("header-checksum")),
    ("a checksum that is no number", || a().bytes(&flipped(149)).end(), Err("number")),
    ("a size that is no number", || a().header(Header::posix(b'0', b"f").bytes(124, b"1x")).end(), Err("number")),
    ("a negative size", || a().header(Header::gnu(b'0', b"f").bytes(124, &[0xff; 12])).end(), Err("number")),
    ("a mode with the file type", || a().header(Header::posix(b'0', b"f").bytes(100, b"0100644\0")).end(), Ok(&[])),
    (
        "a mode with more than that",
        || a().header(Header::posix(b'0', b"f").bytes(100, b"0200644\0")).end(),
        Err("number"),
    ),
    (
        "the largest owner",
        || a().header(Header::gnu(b'0', b"f").bytes(108, b"\x80\0\0\0\xff\xff\xff\xfe")).end(),
        Ok(&[]),
    ),
    (
        "the owner that means none",
        || a().header(Header::gnu(b'0', b"f").bytes(108, b"\x80\0\0\0\xff\xff\xff\xff")).end(),
        Err("number"),
    ),
    ("a negative group", || a().header(Header::gnu(b'0', b"f").bytes(116, &[0xff; 8])).end(), Err("number")),
    ("a negative time", || a().header(Header::gnu(b'0', b"f").bytes(136, &[0xff; 12])).end(), Ok(&[])),
    ("device numbers on a file", || a().header(Header::posix(b'0', b"f").bytes(329, b"rubbish")).end(), Ok(&[])),
    ("rubbish device numbers", || a().header(Header::posix(b'3', b"d").bytes(329, b"rubbish")).end(), Err("number")),
    (
        "a PAX owner over a field that is no number",
        || a().pax(&[("uid", b"1")]).header(Header::posix(b'0', b"f").bytes(108, b"x")).end(),
        Err("number"),
    ),
    ("padding that is not zero", || a().header(Header::posix(b'0', b"f").size(1)).bytes(&[b'x'; 512]).end(), Ok(&[])),
    // Extended headers.
    ("a long name and a long link", || a().long_name(b"n\0").long_link(b"t\0").directory("d").end(), Ok(&[])),
    ("a long name without a NUL", || a().long_name(b"n").file("f", b"").end(), Ok(&[])),
    ("a long name with many NULs", || a().long_name(b"n\0\0\0").file("f", b"").end(), Ok(&[])),
    ("a long name with more behind its NUL", || a().long_name(b"n\0m").file("f", b"").end(), Err("long-name-trailing")),
    (
        "a long name with more behind its size",
        || a().header(Header::gnu(b'L', b"L").size(1)).bytes(b"nm").zeros(510).file("f", b"").end(),
        Err("long-name-trailing"),
    ),
    (
        "a PAX header with a record behind its size",
        || a().header(Header::posix(b'x', b"x").size(9)).bytes(b"9 path=a\n9 path=b\n").zeros(494).file("f", b"").end(),
        Err("pax-padding"),
    ),
    (
        "a global header with something behind its size",
        || a().header(Header::posix(b'g', b"g").size(0o16)).bytes(b"14 comment=ab\nx").zeros(497).file("f", b"").end(),
        Err("pax-padding"),
    ),
    ("an empty long name", || a().long_name(b"").file("f", b"").end(), Err("name-empty")),
    ("an empty long link", || a().long_link(b"\0").file("f", b"").end(), Err("link-target-empty")),
    ("two long names", || a().long_name(b"n\0").long_name(b"n\0").file("f", b"").end(), Err("extended-header-twice")),
    (
        "two PAX headers, the first of them empty",
        || a().pax(&[]).pax(&[]).file("f", b"").end(),
        Err("extended-header-twice"),
    ),
    ("a long name at the end", || a().long_name(b"n\0").end(), Err("extended-header-alone")),
    ("a PAX header where the stream ends", || a().pax(&[]).cut(), Err("extended-header-alone")),
    (
        "a global header between a PAX header and its entry",
        || a().pax(&[]).global(&[]).file("f", b"").end(),
        Err("extended-header-alone"),
    ),
    ("a malformed record", || pax_content(b"8 path=a\n"), Err("pax-record")),
    ("a key with a blank in front", || pax(&[(" path", b"a")]), Err("pax-record")),
    ("a key with a tab in front", || pax(&[("\tGNU.sparse.major", b"1")]), Err("pax-record")),
    ("a key with a NUL in it", || pax(&[("a\0b", b"1"), ("path", b"a")]), Err("pax-record")),
    ("a key with a blank in it", || pax(&[("a b ", b"1")]), Ok(&["pax-unknown-key"])),
    ("a global key with a blank in front", || a().global(&[(" path", b"g")]).file("f", b"").end(), Err("pax-record")),
    ("zeros behind the last record", || pax_content(b"9 path=a\n\0"), Err("pax-padding")),
    ("a PAX key twice alike", || pax(&[("path", b"a"), ("path", b"a")]), Ok(&["pax-key-alike"])),
    ("a PAX key twice", || pax(&[("path", b"a"), ("path", b"b")]), Err("pax-key-twice")),
    ("many unknown keys", || pax(&[("VENDOR.a", b"1"), ("VENDOR.b", b"2")]), Ok(&["pax-unknown-key"])),
    (
        "keys that are known and change nothing",
        || {
            pax(&[
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
            ])
        },
        Ok(&[]),
    ),
    ("a PAX path of nothing", || pax(&[("path", b"")]), Err("pax-empty-name")),
    ("a PAX link target of nothing", || pax(&[("linkpath", b"")]), Err("pax-empty-name")),
    ("a PAX size of nothing", || pax(&[("size", b"")]), Err("pax-empty-size")),
    ("a PAX owner of nothing", || pax(&[("uid", b"")]), Ok(&["pax-empty"])),
    ("a PAX group and a time of nothing", || pax(&[("gid", b""), ("mtime", b"")]), Ok(&["pax-empty"])),
    ("PAX records of nothing that change nothing", || pax(&[("atime", b""), ("uname", b"")]), Ok(&[])),
    (
        "an attribute in both of bsdtar's forms",
        || {
            pax(&[
                ("LIBARCHIVE.xattr.user.a%20b%C3%A9", b"AP89CjE"),
                ("SCHILY.xattr.user.a%20b%C3%A9", b"\0\xff=\n1"),
                ("LIBARCHIVE.xattr.user.d%20e", b""),
                ("SCHILY.xattr.user.d e", b""),
            ])
        },
        Ok(&[]),
    ),
    (
        "an attribute in both of bsdtar's forms, with a name that GNU tar decodes",
        || pax(&[("LIBARCHIVE.xattr.user.a%3Db", b"MQ"), ("SCHILY.xattr.user.a%3Db", b"1")]),
        Err("xattr-name-escaped"),
    ),
    (
        "an attribute's name with a percent sign for GNU tar",
        || pax(&[("SCHILY.xattr.user.%25", b"1")]),
        Err("xattr-name-escaped"),
    ),
    ("an attribute's name with other escapes", || pax(&[("SCHILY.xattr.user.%3d%20%", b"1")]), Ok(&[])),
    ("a time before 1970 with a fraction", || pax(&[("mtime", b"-1.5")]), Ok(&["negative-fraction"])),
    ("a time before 1970 with a fraction of zero", || pax(&[("mtime", b"-1.00")]), Ok(&[])),
    (
        "an attribute in both of bsdtar's forms, with two values",
        || pax(&[("LIBARCHIVE.xattr.user.a", b"MQ"), ("SCHILY.xattr.user.a", b"2")]),
        Ok(&["xattr-dropped"]),
    ),
    (
        "an attribute in bsdtar's own form alone",
        || pax(&[("LIBARCHIVE.xattr.user.a", b"MQ"), ("SCHILY.xattr.user.b", b"1")]),
        Ok(&["xattr-dropped"]),
    ),
    ("an owner with a sign", || pax(&[("uid", b"+1")]), Err("pax-value")),
    ("a group that means none", || pax(&[("gid", b"4294967295")]), Err("pax-value")),
    ("a time that is no number", || pax(&[("mtime", b"now")]), Err("pax-value")),
    ("an access time that is no number", || pax(&[("atime", b"now")]), Err("pax-value")),
    ("a size beyond all files", || pax(&[("size", b"9223372036854775808")]), Err("pax-value")),
    ("a size said twice alike", || a().pax(&[("size", b"4")]).file("f", b"data").end(), Ok(&[])),
    ("a size said in two ways", || a().pax(&[("size", b"5")]).file("f", b"data").end(), Err("size-disagrees")),
    (
        "a size that only PAX has",
        || a().pax(&[("size", b"512")]).file("f", b"").zeros(512).end(),
        Err("size-disagrees"),
    ),
    (
        "a size beyond a file's limit, which no octal field holds",
        || a().pax(&[("size", b"1099511627776")]).file("f", b"").end(),
        Err("limit"),
    ),
    (
        "a size record before a long name, which it does not change",
        || a().pax(&[("size", b"4")]).long_name(b"name\0").file("f", b"data").end(),
        Ok(&[]),
    ),
    (
        "two names that disagree",
        || a().pax(&[("path", b"p")]).long_name(b"g\0").file("f", b"").end(),
        Err("path-disagrees"),
    ),
    (
        "two link targets that disagree",
        || a().long_link(b"g\0").pax(&[("linkpath", b"p")]).header(Header::posix(b'2', b"l")).end(),
        Err("path-disagrees"),
    ),
    ("two names that agree", || a().pax(&[("path", b"n")]).long_name(b"n\0").file("f", b"").end(), Ok(&[])),
    ("an attribute without a name", || pax(&[("SCHILY.xattr.", b"v")]), Err("xattr-name")),
    ("an attribute with a NUL in its name", || pax(&[("SCHILY.xattr.a\0b", b"v")]), Err("pax-record")),
    ("an attribute with an empty value", || pax(&[("SCHILY.xattr.user.overlay.origin", b"")]), Ok(&[])),
    ("a global comment", || a().global(&[("comment", b"0a1b2c")]).file("f", b"").end(), Ok(&["global-comment"])),
    ("a global comment at the end", || a().global(&[("comment", b"c")]).end(), Ok(&["global-comment"])),
    ("an empty global header", || a().global(&[]).file("f", b"").end(), Ok(&[])),
    (
        "global headers one after another",
        || a().global(&[("VENDOR.a", b"1")]).global(&[("comment", b"c")]).global(&[("gid", b"1")]).file("f", b"").end(),
        Err("global-record"),
    ),
    ("a global path", || a().global(&[("path", b"g")]).file("f", b"").end(), Err("global-record")),
    (
        "a global encoding of names",
        || a().global(&[("hdrcharset", b"BINARY")]).pax(&[("path", b"\xc3")]).file("f", b"").end(),
        Err("global-record"),
    ),
    (
        "a global encoding of content, which no reader converts",
        || a().global(&[("charset", b"BINARY")]).file("f", b"").end(),
        Ok(&["global-comment"]),
    ),
    ("a global sparse map", || a().global(&[("GNU.sparse.map", b"0,1")]).file("f", b"").end(), Err("global-record")),
    ("a malformed global record", || a().with(Header::posix(b'g', b"g"), b"5 a=").end(), Err("pax-record")),
    (
        "an extended header over the limit, none of which is there",
        || a().header(Header::gnu(b'L', b"L").size((1 << 20) + 1)).cut(),
        Err("limit"),
    ),
    // Ends.
    ("an archive of two zero blocks", || a().end(), Ok(&[])),
    ("an archive with a blocking factor", || a().file("f", b"").zeros(10240).cut(), Ok(&[])),
    ("an empty archive", || a().cut(), Err("unmarked-end")),
    ("an archive without an end", || a().file("f", b"data").cut(), Err("unmarked-end")),
    ("one zero block", || a().file("f", b"").zeros(512).cut(), Ok(&["one-zero-block"])),
    ("one zero block and a bit", || a().file("f", b"").zeros(612).cut(), Ok(&["one-zero-block", "ragged-end"])),
    ("two zero blocks and a bit", || a().file("f", b"").zeros(1025).cut(), Ok(&["ragged-end"])),
    ("less than one zero block", || a().file("f", b"").zeros(100).cut(), Err("truncated")),
    ("a lone zero block", || a().zeros(512).file("f", b"").end(), Err("lone-zero-block")),
    ("a lone zero block before rubbish", || a().zeros(1023).bytes(b"x").cut(), Err("lone-zero-block")),
    ("a file behind the end", || a().zeros(1024).file("f", b"").end(), Err("data-after-end")),
    ("a byte far behind the end", || a().zeros(9999).bytes(b"x").cut(), Err("data-after-end")),
    ("a header cut short", || a().file("f", b"").bytes(&flipped(0)[..511]).cut(), Err("truncated")),
    ("content cut short", || a().header(Header::posix(b'0', b"f").size(600)).zeros(599).cut(), Err("truncated")),
    ("padding cut short", || a().header(Header::posix(b'0', b"f").size(600)).zeros(1023).cut(), Err("truncated")),
    ("a long name cut short", || a().header(Header::gnu(b'L', b"L").size(600)).zeros(599).cut(), Err("truncated")),
    (
        "a PAX header's padding cut short",
        || a().header(Header::posix(b'x', b"x").size(0o11)).bytes(b"9 path=a\n").cut(),
        Err("truncated"),
    ),
];
