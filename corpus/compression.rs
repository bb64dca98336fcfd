//! Compressed layers: members and frames, whole and broken, and what stands behind them.

use super::build::{Header, tar};
use super::case::{Case, Told, case};
use super::compress::{
    GzipHeader, HeaderChecksum, ZSTD_MAGIC, gzip, gzip_with, zstd, zstd_skippable, zstd_with, zstd_with_checksum,
};

pub(crate) fn cases() -> Vec<Case> {
    [gzip_cases(), zstd_cases(), others()].concat()
}

fn layer() -> Vec<u8> {
    tar().file("f", "hello").end()
}

/// Bytes of a gzip member in front of its data.
const GZIP_HEADER: usize = 10;

fn cut(mut blob: Vec<u8>, bytes: usize) -> Vec<u8> {
    blob.truncate(blob.len() - bytes);
    blob
}

fn behind(blob: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    [&blob, bytes].concat()
}

/// A blob with one bit of this byte changed, counted from its end.
fn flipped(mut blob: Vec<u8>, from_end: usize) -> Vec<u8> {
    let at = blob.len() - from_end;
    blob[at] ^= 1;
    blob
}

fn gzip_cases() -> Vec<Case> {
    let taken = |name, sentence, blob| case(name, sentence, blob).taken().then_file("f", "hello");
    let (first, second) = {
        let mut first = layer();
        let second = first.split_off(700);
        (first, second)
    };
    vec![
        taken("gzip-of-two-members", "two gzip members, of which a reader of one sees half a layer", {
            behind(gzip(&first), &gzip(&second))
        }),
        taken("gzip-with-everything", "a gzip member whose header has all that it can have", {
            let header = GzipHeader {
                extra: b"SG\x04\0data",
                name: "layer.tar",
                comment: "a comment",
                checksum: HeaderChecksum::Right,
                flags: 1,
            };
            gzip_with(header, &layer())
        }),
        case("gzip-with-padding", "zeros follow the last gzip member", behind(gzip(&layer()), &[0; 700]))
            .noted(&["gzip-padding"])
            .then_file("f", "hello"),
        case("gzip-with-text-behind", "text follows the last gzip member", behind(gzip(&layer()), b"text"))
            .refused("data-after-compression"),
        case("gzip-with-text-behind-padding", "text follows the zeros behind the last gzip member", {
            behind(gzip(&layer()), b"\0\0\0\0text")
        })
        .refused("data-after-compression"),
        case("gzip-member-behind-padding", "another gzip member follows the zeros behind the last one", {
            behind(behind(gzip(&layer()), &[0; 512]), &gzip(b""))
        })
        .refused("data-after-compression"),
        case("gzip-with-tar-behind", "an archive follows the last gzip member", behind(gzip(&layer()), &layer()))
            .refused("data-after-compression"),
        case("gzip-cut-in-its-header", "a gzip member ends within its header", cut(gzip(b""), 14)).refused("truncated"),
        case("gzip-cut-in-its-data", "a gzip member ends within its data", cut(gzip(&layer()), 600))
            .refused("truncated"),
        case("gzip-cut-in-its-trailer", "a gzip member ends within its checksum", cut(gzip(&layer()), 6))
            .refused("truncated"),
        case("gzip-cut-in-its-second-member", "the second gzip member ends within its data", {
            behind(gzip(&first), &cut(gzip(&second), 20))
        })
        .refused("truncated"),
        case("gzip-with-a-wrong-checksum", "a gzip member's checksum does not fit", flipped(gzip(&layer()), 8))
            .refused("compression-corrupt"),
        case("gzip-with-a-wrong-length", "a gzip member's length does not fit", flipped(gzip(&layer()), 4))
            .refused("compression-corrupt"),
        case("gzip-with-a-wrong-header-checksum", "the checksum of a gzip member's header does not fit", {
            gzip_with(GzipHeader { checksum: HeaderChecksum::Wrong, ..GzipHeader::default() }, &layer())
        })
        .refused("compression-corrupt"),
        case("gzip-with-a-reserved-flag", "a gzip member has a flag that is reserved", {
            gzip_with(GzipHeader { flags: 0x20, ..GzipHeader::default() }, &layer())
        })
        .refused("compression-corrupt"),
        case("gzip-of-another-method", "a gzip member is compressed by a method that is not deflate", {
            let mut blob = gzip(&layer());
            blob[2] = 7;
            blob
        })
        .refused("compression-corrupt"),
        case("gzip-with-a-broken-block", "a gzip member has a block of a type that is reserved", {
            let mut blob = gzip(&layer());
            blob[10] = 0b111;
            blob
        })
        .refused("compression-corrupt"),
        case("gzip-in-gzip", "a gzip member holds another one, and no archive", gzip(&gzip(&layer())))
            .refused("not-a-tar"),
        case("zstd-in-gzip", "a gzip member holds a zstd frame", gzip(&zstd(&layer()))).refused("not-a-tar"),
        case(
            "xz-in-gzip",
            "a gzip member holds what xz has compressed",
            gzip(&behind(b"\xfd7zXZ\0\0\x04".into(), &[7; 600])),
        )
        .refused("not-a-tar"),
        case(
            "bzip2-in-gzip",
            "a gzip member holds what bzip2 has compressed",
            gzip(&behind(b"BZh91AY&SY".into(), &[7; 600])),
        )
        .refused("not-a-tar"),
        case(
            "lz4-in-gzip",
            "a gzip member holds little that lz4 has compressed",
            gzip(b"\x04\x22\x4d\x18\x64\x40\xa7\0\0\0\0"),
        )
        .refused("not-a-tar"),
    ]
}

fn zstd_cases() -> Vec<Case> {
    let taken = |name, sentence, blob| case(name, sentence, blob).taken().then_file("f", "hello");
    let mut first = layer();
    let second = first.split_off(700);
    vec![
        taken("zstd-of-two-frames", "two zstd frames, of which a reader of one sees half a layer", {
            behind(zstd(&first), &zstd(&second))
        }),
        taken("zstd-of-one-segment", "a zstd frame has no window, its content is one", {
            // Bit 5, and two bytes for a size, which count from 256 on.
            zstd_with(0x60, &(layer().len() as u16 - 256).to_le_bytes(), &layer())
        }),
        taken("zstd-with-a-checksum", "a zstd frame of nothing has a checksum that fits", {
            behind(zstd_with_checksum(b"", 0x51d8_e999), &zstd(&layer()))
        }),
        case("zstd-with-a-wrong-checksum", "a zstd frame's checksum does not fit", zstd_with_checksum(&layer(), 1))
            .refused("compression-corrupt"),
        case("zstd-with-zeros-behind", "zeros follow the last zstd frame", behind(zstd(&layer()), &[0; 512]))
            .refused("data-after-compression"),
        case("zstd-with-text-behind", "text follows the last zstd frame", behind(zstd(&layer()), b"text"))
            .refused("data-after-compression"),
        case("zstd-cut-in-its-header", "a zstd frame ends within its header", ZSTD_MAGIC.to_vec()).refused("truncated"),
        case("zstd-cut-in-its-data", "a zstd frame ends within its data", cut(zstd(&layer()), 600))
            .refused("truncated"),
        case("zstd-cut-in-a-skippable-frame", "a skippable zstd frame ends within its content", {
            behind(zstd(&layer()), &cut(zstd_skippable(b"skipped"), 1))
        })
        .refused("truncated"),
        case("zstd-skippable-of-4-gib", "a skippable zstd frame says that it has 4 GiB", {
            behind(zstd(&layer()), b"\x50\x2a\x4d\x18\xff\xff\xff\xff")
        })
        .refused("truncated"),
        case("zstd-with-a-reserved-block", "a zstd frame has a block of a type that is reserved", {
            [&ZSTD_MAGIC[..], &[0, 0x38], &[0b111, 0, 0]].concat()
        })
        .refused("compression-corrupt"),
        case("zstd-with-a-dictionary", "a zstd frame needs a dictionary that nobody has", {
            zstd_with(1, &[0x38, 42], &layer())
        })
        .refused("compression"),
        case("zstd-with-a-dictionary-behind", "the second zstd frame needs a dictionary that nobody has", {
            behind(zstd(&first), &zstd_with(1, &[0x38, 42], &second))
        })
        .refused("compression"),
        case("gzip-in-zstd", "a zstd frame holds a gzip member", zstd(&gzip(&layer()))).refused("not-a-tar"),
        case("zstd-with-a-large-window", "a zstd frame asks for a window of 144 MiB", zstd_with(0, &[0x89], &layer()))
            .refused("limit"),
        case("zstd-with-the-largest-window", "a zstd frame asks for a window of nearly 4 TiB", {
            zstd_with(0, &[0xff], &layer())
        })
        .refused("limit"),
        case("zstd-of-one-huge-segment", "a zstd frame says that its content is one segment of 8 EiB", {
            zstd_with(0xe0, &[0, 0, 0, 0, 0, 0, 0, 0x80], &layer())
        })
        .refused("limit"),
        taken("zstd-with-a-window-of-128-mib", "a zstd frame asks for the largest window that is taken", {
            zstd_with(0, &[0x88], &layer())
        }),
    ]
}

fn others() -> Vec<Case> {
    let blob = |name, sentence, first: &[u8]| case(name, sentence, behind(first.to_vec(), &[0; 64]));
    vec![
        blob("compressed-with-xz", "a layer is compressed with xz, for which a reader once ran what `PATH` has", {
            b"\xfd7zXZ\0\0\x04"
        })
        .seen("CVE-2014-9357")
        .refused("compression"),
        blob("compressed-with-bzip2", "a layer is compressed with bzip2", b"BZh91AY&SY").refused("compression"),
        blob("compressed-with-lz4", "a layer is compressed with lz4", b"\x04\x22\x4d\x18").refused("compression"),
        blob("compressed-with-lzip", "a layer is compressed with lzip", b"LZIP\x01").refused("compression"),
        blob("compressed-with-compress", "a layer is compressed with compress", b"\x1f\x9d\x90").refused("compression"),
        case(
            "gzip-that-is-a-tar",
            "the extra field of a gzip member makes its first bytes another archive, which GNU tar reads",
            {
                let evil = tar().file(b"\x1f\x8b\x08\x04AAAA\x02\x03\xf4\x07", "evil").end();
                behind(evil, &gzip(&layer())[GZIP_HEADER..])
            },
        )
        .refused("two-formats"),
        case("zstd-that-is-a-tar", "a skippable zstd frame is another archive, which GNU tar reads", {
            behind(tar().file(b"P*M\x18\xf8\x07\0\0", "evil").end(), &zstd(&layer()))
        })
        .refused("two-formats"),
        case(
            "tar-that-is-gzip",
            "the first name of an archive in a gzip member is a gzip member's header for bsdtar",
            {
                let inner = &gzip(&layer())[GZIP_HEADER..];
                gzip(&tar().file(b"\x1f\x8b\x08\x04AAAA\x02\x03\xf4\x01", inner).end())
            },
        )
        .refused_unless_compatible(&["foreign-magic"])
        .then_absent("f"),
        case("tar-that-is-uuencoded", "the first name of an archive begins encoded text for bsdtar", {
            tar().file("begin-base64 644 x\nYWFh\n====\n", "hello").end()
        })
        .refused_unless_compatible(&["foreign-magic"])
        .then_file("begin-base64 644 x\nYWFh\n====\n", "hello"),
        case("tar-that-is-ar", "the first name of an archive without magic begins one of another format for bsdtar", {
            tar().with(Header::v7(b'0', "!<arch>\n"), "hello").end()
        })
        .refused_unless_compatible(&["foreign-magic"])
        .then_file("!<arch>\n", "hello"),
        case("named-like-bzip2", "the first entry of a plain archive is called as bzip2 begins", {
            tar().file("BZh91", "hello").end()
        })
        .taken()
        .then_file("BZh91", "hello"),
        case("gzip-and-its-diff-id", "a compressed layer is the one that its digests name", gzip(&layer()))
            .told(Told::Truth { unpacked: layer() })
            .taken()
            .then_file("f", "hello"),
        case("gzip-with-another-diff-id", "a compressed layer is not the one that its diff ID names", gzip(&layer()))
            .told(Told::OtherDiffId)
            .refused("diff-id-mismatch"),
    ]
}
