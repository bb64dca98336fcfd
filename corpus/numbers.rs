//! Numbers in headers and records.

use super::build::{Header, base_256, tar};
use super::case::{Case, case};

pub(crate) fn cases() -> Vec<Case> {
    [checksums(), fields(), records()].concat()
}

fn file() -> Header {
    Header::posix(b'0', "f")
}

fn checksums() -> Vec<Case> {
    vec![
        case("checksum-is-wrong", "a header's checksum is off by one bit of its name", {
            let mut block = file().block();
            block[0] ^= 1;
            tar().bytes(&block).end()
        })
        .refused("header-checksum"),
        case("checksum-is-no-number", "a header's checksum is no number", {
            tar().bytes(&file().block_with_checksum(b"checksum")).end()
        })
        .refused("number"),
        case(
            "checksum-is-blank",
            "a header has no checksum",
            tar().bytes(&file().block_with_checksum(b"        ")).end(),
        )
        .refused("header-checksum"),
        case("checksum-summed-signed", "a header's checksum takes its bytes for signed ones", {
            tar().bytes(&Header::posix(b'0', b"caf\xe9").block_summed_signed()).end()
        })
        .taken(),
        case("checksum-of-the-second-entry", "a header in the middle is text", {
            tar().file("f", "data").padded(b"#!/bin/sh\nexec sh\n").end()
        })
        .refused("header-checksum"),
    ]
}

fn fields() -> Vec<Case> {
    let header = |name, sentence, header: Header| case(name, sentence, tar().header(header).end());
    vec![
        header("size-with-a-letter", "a size has a letter in it", file().raw_size(b"0000000001x\0")).refused("number"),
        header("size-with-an-eight", "a size has a digit that is not octal", file().raw_size(b"00000000008\0"))
            .refused("number"),
        header("size-with-a-sign", "a size has a minus", file().raw_size(b"-0000000001\0")).refused("number"),
        header("size-in-hexadecimal", "a size is written as C writes hexadecimal ones", {
            file().raw_size(b"0x000000001\0")
        })
        .refused("number"),
        header("size-behind-a-nul", "a size stands behind a NUL, where libarchive reads zero and Go reads on", {
            file().raw_size(b"\x000000000010\0")
        })
        .refused("number"),
        header("size-with-a-tail", "a size has another number behind its NUL", file().raw_size(b"0\x0000000010\0\0"))
            .refused("number"),
        header("size-is-negative", "a size in base-256 is negative, and would move a reader back", {
            file().raw_size(&base_256::<12>(-512))
        })
        .refused("number"),
        header("size-with-an-odd-mark", "a size in base-256 has more bits in its first byte than GNU tar reads", {
            file().raw_size(b"\x81\0\0\0\0\0\0\0\0\0\0\0")
        })
        .refused("number"),
        header("size-beyond-64-bits", "a size in base-256 has more than 64 bits", {
            file().raw_size(b"\x80\0\x01\0\0\0\0\0\0\0\0\0")
        })
        .refused("number"),
        header("size-of-all-there-is", "a size is the largest that 63 bits hold", {
            file().raw_size(&base_256::<12>(i64::MAX))
        })
        .refused("limit"),
        case("size-in-base-256", "a size that octal digits hold is in base-256 all the same", {
            tar().header(file().raw_size(&base_256::<12>(4))).padded(b"data").end()
        })
        .taken()
        .then_file("f", "data"),
        case("size-without-a-terminator", "a size fills its field with digits", {
            tar().header(file().raw_size(b"000000000004")).padded(b"data").end()
        })
        .taken()
        .then_file("f", "data"),
        case("size-with-blanks", "a size has blanks around it", {
            tar().header(file().raw_size(b"         4 \0")).padded(b"data").end()
        })
        .taken()
        .then_file("f", "data"),
        header("size-is-blank", "a size is blank", file().raw_size(b"            ")).taken().then_file("f", ""),
        header("mode-with-a-type", "a mode has the file's type above its bits", file().raw_mode(b"0100644\0")).taken(),
        header("mode-with-more", "a mode has bits above the file's type", file().raw_mode(b"0200644\0"))
            .refused("number"),
        header("owner-is-the-largest", "an owner's id is the largest that there is", {
            file().raw_uid(&base_256::<8>(0xffff_fffe))
        })
        .taken(),
        header("owner-is-minus-one", "an owner's id is 2^32-1, by which `chown` leaves an owner as it is", {
            file().raw_uid(&base_256::<8>(0xffff_ffff))
        })
        .refused("number"),
        header("owner-wraps", "an owner's id is 2^32, of which 32 bits are root's", {
            file().raw_uid(&base_256::<8>(1 << 32))
        })
        .refused("number"),
        header("group-is-negative", "a group's id is negative", file().raw_gid(&base_256::<8>(-1))).refused("number"),
        header("time-is-negative", "a time lies before 1970", file().raw_mtime(&base_256::<12>(-1))).taken(),
        header("time-with-a-sign-among-its-digits", "a time before 1970 has its sign behind zeros", {
            file().raw_mtime(b"000000000-1 ")
        })
        .seen("tar-stream writes it")
        .refused_unless_compatible(&["time-sign"]),
        header(
            "time-with-a-sign-in-front",
            "a time has its sign in front of all digits, which GNU tar takes for base-64",
            file().raw_mtime(b"-0000000001 "),
        )
        .refused("number"),
        header("time-with-a-sign-behind-a-number", "a time is a number, a sign and another number", {
            file().raw_mtime(b"000000017-1 ")
        })
        .refused("number"),
        header("owner-with-a-sign-among-its-digits", "an owner's id has a sign behind zeros", {
            file().raw_uid(b"0000-1 \0")
        })
        .refused("number"),
        header("time-is-blank", "a time of version 7 is all blanks", Header::v7(0, "f").raw_mtime(b"            "))
            .seen("CVE-2022-48303")
            .taken(),
        header("time-is-text", "a time is no number", file().raw_mtime(b"Tue Nov 24\0\0")).refused("number"),
        header("time-beyond-64-bits", "a time has more than 64 bits", {
            file().raw_mtime(b"\x80\0\x01\0\0\0\0\0\0\0\0\0")
        })
        .refused("number"),
        header(
            "device-numbers-of-a-file",
            "a file has rubbish where devices have numbers",
            file().raw_major(b"rubbish\0"),
        )
        .taken(),
        header("device-number-is-text", "a device's number is none", {
            Header::posix(b'3', "c").device(1, 3).raw_major(b"rubbish\0")
        })
        .refused("number"),
        header("device-number-is-negative", "a device's number is negative", {
            Header::posix(b'4', "b").device(1, 3).raw_major(&base_256::<8>(-1))
        })
        .refused("number"),
        header(
            "time-of-the-far-future",
            "a time is the last that 64 bits hold",
            file().raw_mtime(&base_256::<12>(i64::MAX)),
        )
        .taken(),
        header(
            "time-of-the-far-past",
            "a time is the first that 64 bits hold",
            file().raw_mtime(&base_256::<12>(i64::MIN)),
        )
        .taken(),
    ]
}

fn records() -> Vec<Case> {
    let record =
        |name, sentence, key: &str, value: &[u8]| case(name, sentence, tar().pax(&[(key, value)]).file("f", "").end());
    vec![
        record("pax-owner-with-a-sign", "a PAX owner has a plus", "uid", b"+1").refused("pax-value"),
        record("pax-owner-with-a-blank", "a PAX owner has a blank in front", "uid", b" 1").refused("pax-value"),
        record("pax-owner-is-a-name", "a PAX owner is a name", "uid", b"root").refused("pax-value"),
        record("pax-owner-is-minus-one", "a PAX owner is -1", "uid", b"-1").refused("pax-value"),
        record("pax-group-is-the-none", "a PAX group is 2^32-1", "gid", b"4294967295").refused("pax-value"),
        record("pax-group-wraps", "a PAX group is 2^64", "gid", b"18446744073709551616").refused("pax-value"),
        record("pax-size-is-negative", "a PAX size is negative", "size", b"-1").refused("pax-value"),
        record("pax-size-beyond-63-bits", "a PAX size is 2^63", "size", b"9223372036854775808").refused("pax-value"),
        record("pax-time-is-text", "a PAX time is no number", "mtime", b"now").refused("pax-value"),
        record("pax-time-with-an-exponent", "a PAX time has an exponent", "mtime", b"1e9").refused("pax-value"),
        record("pax-time-without-a-fraction", "a PAX time has a point and nothing behind it", "mtime", b"1.")
            .refused("pax-value"),
        record("pax-access-time-is-text", "a PAX time that nothing needs is no number", "atime", b"now")
            .refused("pax-value"),
        record("pax-time-to-the-attosecond", "a PAX time is finer than any file system", "mtime", {
            b"1700000000.123456789123456789"
        })
        .taken(),
        record("pax-time-is-negative", "a PAX time lies before 1970, with a fraction", "mtime", b"-1.5")
            .noted(&["negative-fraction"]),
        case("pax-owner-over-rubbish", "a PAX owner overrides a header's field that is no number", {
            tar().pax(&[("uid", b"0")]).header(file().raw_uid(b"nobody\0\0")).end()
        })
        .refused("number"),
    ]
}
