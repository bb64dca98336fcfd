//! Archives that some reader takes for another format, and ordinary ones that look a little like it.

use super::build::{Archive, Header, pax_records, tar};
use super::case::{Case, case};
use super::compress::gzip;

/// A lzip file of version 0, which has no size at its end. In it is a tar of the one file `evil`.
pub(crate) const LZIP: &[u8] = b"LZIP\0\x0c\x002\x9d\x89V^L\x80\x11\xa1\xb8\xd2p\x1f\r%\xe2\x86\x16\xbf\xf7SZ\xa6\x05\xe9X!\xd1,\xd9\xcd\xff\xffmd\0\0\xf0\xe6R2\0\x06\0\0\0\0\0\0";

/// An LZMA file without a container, its dictionary of that size. In it is the same tar.
pub(crate) fn lzma(dictionary: u32) -> Vec<u8> {
    const BEHIND: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xff\x002\x9d\x89V^L\x80\x11\xa1\xb8\xd2p\x1f\r%\xe2\x86\x16\xbf\xf7SZ\xa6\x05\xe9X!\xd1,\xd9\xcd\xff\xffmd\0\0";
    [b"]", &dictionary.to_le_bytes()[..], BEHIND].concat()
}

/// A name of one character for tar, and for Python an LZMA file of nothing with another one behind it.
pub(crate) fn behind_nothing() -> Vec<u8> {
    [&[b'.'][..], &[0; 17], &lzma(0)].concat()
}

/// What a file of this name and content is in a header of version 7, which has no magic.
fn old(name: &[u8], content: &[u8]) -> Archive {
    tar().with(Header::v7(b'0', name), content)
}

/// A header that libarchive and Python take for none: what stands where a device has its number is no number.
fn unsure(name: &[u8], content: &[u8]) -> Archive {
    tar().with(Header::v7(b'0', name).raw_major(b"rubbish!"), content)
}

pub(crate) fn cases() -> Vec<Case> {
    let refused =
        |name, sentence, layer: Vec<u8>| case(name, sentence, layer).refused_unless_compatible(&["foreign-magic"]);
    let cabinet = || [&[0; 600][..], b"MSCF\0\0\0\0"].concat();
    vec![
        refused("tar-that-is-lzip", "the first name of an archive is another archive in lzip of version 0", {
            gzip(&tar().file(LZIP, "hello").end())
        }),
        refused(
            "tar-that-is-lzma-without-a-dictionary",
            "the first name of an archive is another archive in LZMA, whose dictionary has no size",
            tar().file(lzma(0), "hello").end(),
        ),
        refused(
            "tar-that-is-lzma-with-a-small-dictionary",
            "the first name of an archive is another archive in LZMA, whose dictionary is smaller than encoders make it",
            tar().file(lzma(2048), "hello").end(),
        ),
        refused(
            "tar-with-lzma-behind-its-name",
            "the first name of an archive is `.`, and behind its NUL Python finds another archive in LZMA",
            tar().header(Header::posix(b'5', behind_nothing())).file("f", "hello").end(),
        ),
        refused("tar-that-is-a-cabinet", "in an archive without magic libarchive finds a cabinet in a program", {
            old(b"MZ", &cabinet()).end()
        }),
        refused("tar-that-is-a-cabinet-with-gzip", "the same, in a gzip member", {
            gzip(&tar().with(Header::posix(b'0', "MZ").bytes(257, b"ustar\x0011"), cabinet()).end())
        }),
        refused("tar-that-is-zip", "the first name of an archive begins a zip archive for 7-Zip", {
            tar().file(b"PK\x03\x04\x14", "hello").end()
        }),
        refused(
            "tar-that-is-zip-at-its-end",
            "an archive begins with what is no header for libarchive, and ends as a zip archive does",
            unsure(b"f", b"PK\x05\x06").end(),
        ),
        refused("tar-that-is-cpio", "an archive begins with what is no header for libarchive, but one of cpio", {
            unsure(b"070707", b"hello").end()
        }),
        case("named-like-a-program", "the first entry of an archive is called as programs of Windows begin", {
            tar().file("MZ", cabinet()).end()
        })
        .taken()
        .then_file("MZ", cabinet()),
        case("named-like-cpio", "the first entry of an archive is called as cpio archives begin", {
            tar().file("070707", "hello").file("zip", b"PK\x05\x06").end()
        })
        .taken()
        .then_file("070707", "hello"),
        case(
            "named-nothing-in-front-of-records",
            "the first header is of PAX records, and nothing but its size is set",
            {
                let header =
                    Header::v7(b'x', "").raw_mode(&[0; 8]).raw_uid(&[0; 8]).raw_gid(&[0; 8]).raw_mtime(&[0; 12]);
                tar().with(header.bytes(257, b"ustar\x0000"), pax_records(&[("mtime", b"1")])).file("f", "hello").end()
            },
        )
        .seen("the tar crate writes it")
        .taken()
        .then_file("f", "hello"),
        case("named-like-nothing", "the first entry of an archive has a name of one character", {
            tar().directory(".").file("a", "hello").end()
        })
        .taken()
        .then_file("a", "hello"),
    ]
}
