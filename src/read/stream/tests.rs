//! Blobs of every compression, whole and broken.

use super::*;
use crate::read::{Blob, hash::Hasher, piped::tests::beside};
use crate::words::{Algorithm, Blame, Digest, Limit, Misuse, Violation};

type Outcome = Result<(Vec<u8>, Checked), Error>;

/// Every case of this file goes through one thread and through two, which must not differ.
fn unpack_with(blob: &[u8], expected: Expected, limits: &Limits) -> Outcome {
    let here = LayerStream::open(blob, expected, limits).map(read_all);
    let there = beside(blob, expected, limits, |stream| stream.map(read_all));
    match (&here, &there) {
        (Ok((bytes, Ok(checked))), Ok((other, Ok(the_other)))) => {
            assert!(bytes == other);
            assert_eq!(checked, the_other);
        }
        (Ok((bytes, Err(error))), Ok((other, Err(the_other)))) => {
            assert!(bytes == other);
            assert_eq!(error.to_string(), the_other.to_string());
        }
        (Err(error), Err(the_other)) => assert_eq!(error.to_string(), the_other.to_string()),
        _ => panic!("one thread and two differ: {here:?}, {there:?}"),
    }
    let (bytes, checked) = here?;
    Ok((bytes, checked?))
}

/// What comes out before an error, and what comes of it.
fn read_all(mut stream: impl Verifying) -> (Vec<u8>, Result<Checked, Error>) {
    let mut bytes = Vec::new();
    let checked = match stream.read_to_end(&mut bytes).map_err(Error::of_reader) {
        Ok(_) => stream.finish(),
        Err(error) if error.blame() == Blame::Archive => Err(stream.damage().unwrap_or(error)),
        Err(error) => Err(error),
    };
    (bytes, checked)
}

fn unpack(blob: &[u8]) -> Outcome {
    unpack_with(blob, Expected::unchecked(), &Limits::default())
}

fn rule(outcome: Outcome) -> Option<&'static str> {
    let error = outcome.err()?;
    assert_eq!(error.blame(), Blame::Archive, "{error}");
    error.rule_id()
}

fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

fn sha256(bytes: &[u8]) -> Digest {
    digest(Algorithm::Sha256, bytes)
}

/// Content that no compression makes vanish.
fn noise(bytes: usize) -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(1), next).map(|state| (state >> 24) as u8).take(bytes).collect()
}

#[test]
fn a_proof_needs_all_three_and_each_is_compared() {
    let blob = noise(300_000);
    let (right, wrong, size) = (sha256(&blob), sha256(b""), 300_000);
    let nothing = Expected::unchecked();
    let all = nothing.with_digest(right).with_size(size).with_diff_id(right);
    let check = |expected| unpack_with(&blob, expected, &Limits::default());

    let (bytes, checked) = check(all).unwrap();
    assert_eq!((bytes.as_slice(), checked.blob_bytes, checked.unpacked_bytes), (&blob[..], size, size));
    assert_eq!(checked.verified().unwrap().value(), &Blob { digest: Some(right), size, diff_id: Some(right) });

    let rows = [
        (all.with_digest(wrong), "digest-mismatch"),
        (all.with_diff_id(wrong), "diff-id-mismatch"),
        (all.with_size(size - 1), "size-mismatch"),
        (all.with_size(size + 1), "size-mismatch"),
        (all.with_size(0), "size-mismatch"),
        (nothing.with_digest(wrong), "digest-mismatch"),
        (nothing.with_diff_id(wrong), "diff-id-mismatch"),
        (nothing.with_digest(digest(Algorithm::Sha512, b"")), "digest-mismatch"),
    ];
    for (expected, id) in rows {
        assert_eq!(rule(check(expected)), Some(id));
    }

    let unproven = [
        (nothing.with_size(size).with_diff_id(right), "a digest"),
        (nothing.with_digest(right).with_diff_id(right), "a size"),
        (nothing.with_digest(right).with_size(size), "a diff ID"),
    ];
    for (expected, missing) in unproven {
        let error = check(expected).unwrap().1.verified().unwrap_err();
        assert_eq!(error.misuse(), Some(&Misuse::Unproven { missing }));
    }
}

/// Comes in pieces of all sizes, and is interrupted between them.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        match self.1 % 3 {
            0 => Err(io::ErrorKind::Interrupted.into()),
            _ => {
                let most = out.len().min([1, 511, 70_001, 300_000][self.1 % 4]);
                self.0.read(&mut out[..most])
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_blob_is_told_alike_wherever_it_is_refused_and_however_it_comes() {
    let blob = noise(1_000_000);
    let (right, wrong) = (sha256(&blob), sha256(b""));
    let named = Expected::unchecked().with_digest(right).with_size(1_000_000);
    let rows = [
        (named, None),
        (named.with_digest(wrong), Some(Violation::DigestMismatch { expected: wrong.into(), got: right.into() })),
        (
            named.with_size(999_999),
            Some(Violation::SizeMismatch { expected: 999_999, got: crate::words::SizeSeen::More }),
        ),
        (
            named.with_size(1_000_001),
            Some(Violation::SizeMismatch { expected: 1_000_001, got: crate::words::SizeSeen::Exactly(1_000_000) }),
        ),
        (
            Expected::unchecked().with_diff_id(wrong),
            Some(Violation::DiffIdMismatch { expected: wrong.into(), got: right.into() }),
        ),
    ];
    for (expected, damage) in rows {
        for used in [0, 1, 300_000, 999_999, 1_000_000] {
            fn damage_behind(mut stream: impl Verifying, used: usize) -> Option<Violation> {
                // Less comes where what is wrong is met before.
                let _ = io::copy(&mut (&mut stream).take(used as u64), &mut io::sink());
                stream.damage().map(|error| error.violation().unwrap().clone())
            }
            let here = LayerStream::open(Pieces(&blob, 0), expected, &Limits::default()).unwrap();
            assert_eq!(damage_behind(here, used), damage, "{used}");
            let there =
                beside(Pieces(&blob, 0), expected, &Limits::default(), |stream| damage_behind(stream.unwrap(), used));
            assert_eq!(there, damage, "{used}, on two threads");
        }
    }
}

#[test]
fn a_plain_layer_may_have_digests_of_two_algorithms() {
    let (short, long) = (sha256(b"plain"), digest(Algorithm::Sha512, b"plain"));
    for (digest, diff_id) in [(short, long), (long, short), (long, long)] {
        let expected = Expected::unchecked().with_digest(digest).with_size(5).with_diff_id(diff_id);
        let (_, checked) = unpack_with(b"plain", expected, &Limits::default()).unwrap();
        assert_eq!(checked.proof().unwrap().value(), &Blob { digest: Some(digest), size: 5, diff_id: Some(diff_id) });
    }
}

/// Every format that is built in, with the uncompressed bytes.
fn blobs(plain: &[u8]) -> Vec<(Format, Vec<u8>)> {
    vec![
        (Format::Plain, plain.to_vec()),
        #[cfg(feature = "gzip")]
        (Format::Gzip, gzip::gzip(plain)),
        #[cfg(feature = "zstd")]
        (Format::Zstd, ::zstd::bulk::compress(plain, 3).unwrap()),
    ]
}

#[test]
fn digests_are_computed_on_request_and_prove_nothing() {
    use Algorithm::{Sha256, Sha512};
    let plain = noise(700_000);
    for (format, blob) in blobs(&plain) {
        for (algorithm, diff_algorithm) in [(Sha256, Sha256), (Sha256, Sha512), (Sha512, Sha256)] {
            let (of_blob, of_plain) = (digest(algorithm, &blob), digest(diff_algorithm, &plain));
            let both = Expected::unchecked().compute_digest(algorithm).compute_diff_id(diff_algorithm);
            assert!(!both.checks_anything());
            let (_, checked) = unpack_with(&blob, both, &Limits::default()).unwrap();
            assert_eq!((checked.digest(), checked.diff_id()), (Some(of_blob), Some(of_plain)), "{format:?}");
            assert!(checked.proof().is_none());

            let diff_id = Expected::unchecked().compute_diff_id(diff_algorithm);
            let (_, checked) = unpack_with(&blob, diff_id, &Limits::default()).unwrap();
            assert_eq!((checked.digest(), checked.diff_id()), (None, Some(of_plain)), "{format:?}");
        }
        let (_, checked) = unpack(&blob).unwrap();
        assert_eq!((checked.digest(), checked.diff_id()), (None, None), "{format:?}");
    }
}

#[test]
fn an_expected_digest_is_computed_with_its_own_algorithm_and_still_compared() {
    use Algorithm::{Sha256, Sha512};
    let plain = noise(300_000);
    for (format, blob) in blobs(&plain) {
        let (of_blob, of_plain) = (digest(Sha512, &blob), digest(Sha256, &plain));
        let expected = Expected::unchecked().with_digest(of_blob).with_size(blob.len() as u64).with_diff_id(of_plain);
        let expected = expected.compute_digest(Sha256).compute_diff_id(Sha512);
        let (_, checked) = unpack_with(&blob, expected, &Limits::default()).unwrap();
        assert_eq!((checked.digest(), checked.diff_id()), (Some(of_blob), Some(of_plain)), "{format:?}");
        assert!(checked.proof().is_some());
        let wrong = expected.with_diff_id(sha256(b""));
        assert_eq!(rule(unpack_with(&blob, wrong, &Limits::default())), Some("diff-id-mismatch"));
        // The diff ID alone is expected, and the digest of a plain blob serves for it.
        let alone = Expected::unchecked().with_diff_id_alone(of_plain).compute_digest(Sha256);
        let (_, checked) = unpack_with(&blob, alone, &Limits::default()).unwrap();
        assert_eq!(
            checked.proof().unwrap().value(),
            &Blob { digest: None, size: blob.len() as u64, diff_id: Some(of_plain) }
        );
        let wrong = Expected::unchecked().with_diff_id(sha256(b"")).compute_digest(Sha256);
        assert_eq!(rule(unpack_with(&blob, wrong, &Limits::default())), Some("diff-id-mismatch"));
    }
}

#[test]
fn what_is_unread_is_checked_all_the_same() {
    let blob = noise(300_000);
    let expected = Expected::unchecked().with_diff_id(sha256(&blob));
    let open = |blob| LayerStream::open(blob, expected, &Limits::default()).unwrap();
    assert!(open(&blob[..]).finish().is_ok());
    assert!(open(&blob[1..]).finish().is_err());
}

#[test]
fn a_blob_that_is_too_long_is_not_read_on() {
    struct Endless;
    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            out.fill(0);
            Ok(out.len())
        }
    }
    let mut stream = LayerStream::open(Endless, Expected::unchecked().with_size(1 << 20), &Limits::default()).unwrap();
    let mut out = Vec::new();
    let error = stream.read_to_end(&mut out).unwrap_err();
    assert_eq!(
        Error::of_reader(error).kind().to_string(),
        "the size of the blob is not the expected size: expected 1048576, got more"
    );
    assert!(out.len() <= 1 << 20);
    // The stream is dead: nothing can turn this into a proof.
    assert_eq!(stream.finish().unwrap_err().misuse(), Some(&Misuse::Poisoned));
}

#[test]
fn a_reader_that_fails_is_the_systems_fault() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
    const STARTS: &[&[u8]] = &[
        b"plain",
        #[cfg(feature = "gzip")]
        b"\x1f\x8b\x08\0\0\0\0\0\0\0\0\0",
        #[cfg(feature = "zstd")]
        b"\x28\xb5\x2f\xfd\0\x58\0\0\0\0\0\0\0\0\0\0\0\0\0",
    ];
    for start in STARTS {
        let stream = LayerStream::open(start.chain(Failing), Expected::unchecked(), &Limits::default());
        let error = stream.and_then(LayerStream::finish).unwrap_err();
        assert_eq!(error.blame(), Blame::System, "{error}");
    }
}

#[test]
fn a_stream_may_move_to_another_thread() {
    fn movable<T: Send>(_: &T) {}
    movable(&LayerStream::open(&b""[..], Expected::unchecked(), &Limits::default()).unwrap());
}

#[test]
fn debug_output_of_a_reader_says_how_far_it_is() {
    let mut stream = LayerStream::open(&[0; 1024][..], Expected::unchecked(), &Limits::default()).unwrap();
    let text = format!("{stream:?}");
    assert!(text.starts_with("LayerStream { format: Plain, ") && text.contains("blob_bytes: 1024"), "{text}");
    let mut reader = crate::read::TarReader::new(&mut stream, &Limits::default());
    assert!(reader.next_entry().unwrap().is_none());
    let text = format!("{reader:?}");
    assert!(text.starts_with("TarReader { position: Position {") && text.contains("offset: Some(0)"), "{text}");
}

#[test]
fn other_compressions_are_named() {
    assert_eq!(rule(unpack(b"\xfd7zXZ\0\0\x04")), Some("compression"));
    assert_eq!(unpack(b"").unwrap().0, b"");
}

#[test]
fn a_format_that_is_not_built_in_is_refused_with_the_name_of_its_feature() {
    for (format, blob) in [(Format::Gzip, &b"\x1f\x8b\x08\0\0\0\0\0\0\0"[..]), (Format::Zstd, b"\x28\xb5\x2f\xfd\0\0")]
    {
        let error = unpack(blob).unwrap_err();
        let names_feature = error.to_string().contains(&format!("without its feature `{format}`"));
        assert_eq!(names_feature, !format.is_supported(), "{error}");
        let advice = error.advice().unwrap();
        assert_eq!(
            advice.starts_with(&format!("build layercage with its feature `{format}`")),
            names_feature,
            "{advice}"
        );
        assert_eq!(rule(Err(error)), Some(if format.is_supported() { "truncated" } else { "compression" }));
    }
}

#[cfg(any(not(feature = "gzip"), not(feature = "zstd")))]
#[test]
fn a_damaged_blob_that_looks_like_a_format_that_is_not_built_in_is_called_damaged() {
    for blob in [&b"\x1f\x8b\x08\0\0\0\0\0\0\0"[..], b"\x28\xb5\x2f\xfd\0\0"] {
        if Format::of(blob).is_ok_and(|format| !format.is_supported()) {
            let outcome = unpack_with(blob, Expected::unchecked().with_digest(sha256(b"")), &Limits::default());
            assert_eq!(rule(outcome), Some("digest-mismatch"));
        }
    }
}

#[cfg(feature = "gzip")]
mod gzip {
    use super::*;
    use flate2::{Compression, GzBuilder, write::GzEncoder};
    use std::io::Write;

    pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
        member(GzBuilder::new(), content)
    }

    fn member(builder: GzBuilder, content: &[u8]) -> Vec<u8> {
        let mut encoder: GzEncoder<_> = builder.write(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn all_members_are_one_stream() {
        let long = noise(300_000);
        let blob = [gzip(b"a"), gzip(b""), gzip(&long), gzip(b""), gzip(b"z")].concat();
        let whole = [b"a", &long[..], b"z"].concat();
        let expected = Expected::unchecked().with_digest(sha256(&blob)).with_size(blob.len() as u64);
        let (bytes, checked) = unpack_with(&blob, expected.with_diff_id(sha256(&whole)), &Limits::default()).unwrap();
        assert_eq!(bytes, whole);
        assert!(checked.proof().is_some() && checked.quirks.is_empty());
        assert_eq!((checked.blob_bytes, checked.unpacked_bytes), (blob.len() as u64, whole.len() as u64));
        assert_eq!(unpack(&gzip(b"")).unwrap().0, b"");
    }

    #[test]
    fn every_part_of_a_header_is_passed_over() {
        let header = || GzBuilder::new().filename("name").comment("comment").extra(vec![7; 65_535]).mtime(1);
        let blob = [member(header(), b"one"), member(header(), b"two")].concat();
        assert_eq!(unpack(&blob).unwrap().0, b"onetwo");
        assert_eq!(rule(unpack(&blob[..20])), Some("truncated"));
    }

    #[test]
    fn a_header_checksum_must_fit() {
        let plain = gzip(b"data");
        let mut header = plain[..10].to_vec();
        header[3] = 2;
        let mut crc = flate2::Crc::new();
        crc.update(&header);
        let [low, high, ..] = crc.sum().to_le_bytes();
        assert_eq!(unpack(&[&header[..], &[low, high], &plain[10..]].concat()).unwrap().0, b"data");
        assert_eq!(rule(unpack(&[&header[..], &[low ^ 1, high], &plain[10..]].concat())), Some("compression-corrupt"));
    }

    #[test]
    fn what_follows_the_last_member_is_judged() {
        type Row = (&'static [u8], Result<&'static [Quirk], &'static str>);
        let rows: &[Row] = &[
            (b"", Ok(&[])),
            (b"\0", Ok(&[Quirk::GzipPadding])),
            (&[0; 300_000], Ok(&[Quirk::GzipPadding])),
            (b"\0\0x", Err("data-after-compression")),
            (b"x", Err("data-after-compression")),
            (b"\x1f", Err("data-after-compression")),
            (b"\x1f\x8b", Err("truncated")),
            (b"\x1f\x8b\x07\0\0\0\0\0\0\0", Err("compression-corrupt")),
            (b"\x1f\x8b\x08\x80\0\0\0\0\0\0", Err("compression-corrupt")),
        ];
        for (rest, expected) in rows {
            let outcome = unpack(&[&gzip(b"data"), *rest].concat());
            match expected {
                Ok(quirks) => assert_eq!(outcome.unwrap().1.quirks, *quirks),
                Err(id) => assert_eq!(rule(outcome), Some(*id), "{}", rest.escape_ascii()),
            }
        }
    }

    #[test]
    fn a_cut_is_seen_at_every_byte() {
        let blob = gzip(&noise(200));
        // One byte of the magic is no gzip yet, and no tar either.
        for length in 2..blob.len() {
            assert_eq!(rule(unpack(&blob[..length])), Some("truncated"), "{length}");
        }
    }

    #[test]
    fn a_flipped_bit_is_seen_or_means_nothing() {
        let content = noise(200);
        let blob = gzip(&content);
        for bit in 8 * 10..8 * blob.len() {
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A stored block has bits that mean nothing.
            match unpack(&flipped) {
                Ok((bytes, _)) => assert_eq!(bytes, content, "bit {bit}"),
                refused => assert!(rule(refused).is_some()),
            }
        }
    }
}

#[cfg(feature = "zstd")]
mod zstd {
    use super::*;
    use crate::words::{Limit, Violation};
    use ::zstd::stream::Encoder;
    use std::io::Write;

    fn frame(content: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn skippable(content: &[u8]) -> Vec<u8> {
        [&[0x5a, 0x2a, 0x4d, 0x18], &u32::try_from(content.len()).unwrap().to_le_bytes()[..], content].concat()
    }

    #[test]
    fn all_frames_are_one_stream() {
        let long = noise(300_000);
        let blob =
            [skippable(&long), frame(b"a"), frame(b""), skippable(b""), frame(&long), skippable(b"end")].concat();
        let whole = [b"a", &long[..]].concat();
        let expected = Expected::unchecked().with_digest(sha256(&blob)).with_size(blob.len() as u64);
        let (bytes, checked) = unpack_with(&blob, expected.with_diff_id(sha256(&whole)), &Limits::default()).unwrap();
        assert_eq!(bytes, whole);
        assert!(checked.proof().is_some());
        assert_eq!(unpack(&skippable(b"nothing else")).unwrap().0, b"");
        let one_shot = ::zstd::bulk::compress(&long, 19).unwrap();
        assert_eq!(unpack(&one_shot).unwrap().0, long);
    }

    #[test]
    fn what_follows_the_last_frame_is_judged() {
        let rows: &[(&[u8], &str)] = &[
            (b"\0", "data-after-compression"),
            (b"\x28\xb5\x2f", "data-after-compression"),
            (b"\x28\xb5\x2f\xfd", "truncated"),
            (b"\x50\x2a\x4d\x18\x01\0\0", "truncated"),
            (b"\x50\x2a\x4d\x18\x01\0\0\0", "truncated"),
            (b"\x50\x2a\x4d\x18\xff\xff\xff\xffrest", "truncated"),
        ];
        for (rest, id) in rows {
            assert_eq!(rule(unpack(&[&frame(b"data"), *rest].concat())), Some(*id), "{}", rest.escape_ascii());
        }
    }

    #[test]
    fn a_cut_is_seen_at_every_byte() {
        let blob = [skippable(b"skipped"), frame(&noise(200))].concat();
        for length in 4..blob.len() {
            if length == 15 {
                continue; // Between the frames.
            }
            let got = rule(unpack(&blob[..length]));
            let expected = if (16..19).contains(&length) { "data-after-compression" } else { "truncated" };
            assert_eq!(got, Some(expected), "{length}");
        }
    }

    #[test]
    fn a_flipped_bit_is_seen_or_means_nothing() {
        let content = noise(200);
        let blob = frame(&content);
        for bit in 8 * 4..8 * blob.len() {
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A larger window is asked for, or the descriptor's unused bit.
            match unpack(&flipped) {
                Ok((bytes, _)) => assert_eq!(bytes, content, "bit {bit}"),
                refused => assert!(rule(refused).is_some()),
            }
        }
    }

    #[test]
    fn a_window_beyond_the_limit_is_refused_before_it_is_allocated() {
        let windows: &[&[u8]] = &[
            &[0x00, 0x89, 1, 0, 0],                      // 144 MiB
            &[0x00, 0xff, 1, 0, 0],                      // nearly 4 TiB
            &[0xa0, 0, 0, 0, 0xff, 1, 0, 0],             // one segment of nearly 4 GiB
            &[0xe0, 0, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0], // one segment of 8 EiB
        ];
        for header in windows {
            let blob = [b"\x28\xb5\x2f\xfd", *header].concat();
            assert_eq!(rule(unpack(&blob)), Some("limit"), "{header:02x?}");
        }
        let empty = |window| {
            unpack_with(&[0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0], Expected::unchecked(), &Limits::default())
        };
        assert_eq!(empty(0x88).unwrap().0, b"", "128 MiB");
    }

    #[test]
    fn the_window_limit_is_exact() {
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x01, 1, 0, 0]; // 1152 bytes
        let with =
            |most| unpack_with(&frame, Expected::unchecked(), &Limits::default().with(Limit::ZstdWindowBytes, most));
        assert_eq!(with(1152).unwrap().0, b"");
        let refused = with(1151).unwrap_err();
        let exceeded = Violation::LimitExceeded { limit: Limit::ZstdWindowBytes, most: 1151, amount: 1152 };
        assert_eq!(refused.violation(), Some(&exceeded));
    }
}

#[test]
fn a_blob_without_an_end_ends_at_the_limit() {
    let limits = Limits::default().with(Limit::LayerBytes, 1 << 20);
    let exceeded = Violation::LimitExceeded { limit: Limit::LayerBytes, most: 1 << 20, amount: (1 << 20) + 1 };
    let read = |blob: &mut dyn Read| {
        let stream = LayerStream::open(blob, Expected::unchecked(), &limits)?;
        stream.finish()
    };
    let error = read(&mut io::repeat(0)).unwrap_err();
    assert_eq!(error.kind().to_string(), exceeded.to_string());
    #[cfg(feature = "gzip")]
    {
        let padded = read(&mut gzip::gzip(b"x").chain(io::repeat(0))).unwrap_err();
        assert_eq!(padded.kind().to_string(), exceeded.to_string());
        let members = read(&mut gzip::gzip(&[0; 4096]).repeat(600).as_slice()).unwrap_err();
        assert_eq!(members.kind().to_string(), exceeded.to_string());
    }
}

#[test]
fn what_is_within_the_limit_comes_out_whole() {
    let blob = noise(300_000);
    for most in [10, 131_072, 200_000, 299_999, 300_000] {
        let limits = Limits::default().with(Limit::LayerBytes, most);
        let mut stream = LayerStream::open(&blob[..], Expected::unchecked(), &limits).unwrap();
        let mut out = Vec::new();
        let outcome = stream.read_to_end(&mut out);
        assert_eq!(out, blob[..usize::try_from(most).unwrap()], "{most}");
        assert_eq!(outcome.is_ok(), most == 300_000, "{most}");
    }
}

/// Counts what is read.
struct Counted<'c, R>(R, &'c mut u64);

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.0.read(out)?;
        *self.1 += got as u64;
        Ok(got)
    }
}

#[test]
fn a_refused_blob_of_which_nothing_is_known_is_not_read_to_its_end() {
    let mut read = 0;
    let stream = LayerStream::open(Counted(io::repeat(1), &mut read), Expected::unchecked(), &Limits::default());
    assert!(stream.unwrap().damage().is_none());
    assert!(read < 1 << 20, "{read}");
}
