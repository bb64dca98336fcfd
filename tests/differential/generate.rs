//! Archives that are mostly right, and odd in all the ways that readers are known to differ about.

use super::archive::{
    End, Extended, Fault, Fields, Form, Format, Index, Number, Numbers, Part, Record, Sparse, Spec, Spelling, Sum,
    Text, Value,
};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn archives() -> impl Strategy<Value = Spec> {
    (vec(part(), 0..5), end(), weighted(0.03, any::<u16>()), weighted(0.1, (any::<u16>(), byte())))
        .prop_map(|(parts, end, cut, mutation)| Spec { parts, end, cut, mutation })
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        80 => member(),
        15 => sparse().prop_map(Part::Sparse),
        1 => Just(Part::Zeros),
    ]
}

/// Bytes that mean something to somebody are more frequent.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), select(&b"\0 /.=,0123456789\n\x80\xffLKxgS"[..])]
}

/// One of these.
fn bytes(texts: &'static [&'static [u8]]) -> impl Strategy<Value = Text> + Clone {
    select(texts).prop_map(text)
}

fn text(text: impl AsRef<[u8]>) -> Text {
    Text(text.as_ref().to_vec())
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        60 => Just(End::Zeros(1024)),
        12 => Just(End::Record),
        5 => Just(End::Zeros(512)),
        5 => Just(End::Zeros(0)),
        5 => (1024_usize..4000).prop_map(End::Zeros),
        1 => (0_usize..1024).prop_map(End::Zeros),
        1 => (select(&[512_usize, 1024, 1536, 1100][..]), vec(byte(), 1..600)).prop_map(|(zeros, junk)| {
            End::Junk(zeros, Text(junk))
        }),
        3 => prop_oneof![8 => Just(0_i8), 1 => select(&[-1_i8, 1, 100][..])].prop_map(End::Unpadded),
        3 => (select(&[1024_usize, 1024, 1024, 10_240, 512, 1100][..]), index())
            .prop_map(|(zeros, index)| End::Index(zeros, index)),
    ]
}

/// What BuildKit puts behind the end, mostly.
fn index() -> impl Strategy<Value = Index> {
    let name =
        prop_oneof![12 => Just("stargz.index.json"), 1 => select(&["./stargz.index.json", "index.json", "a"][..])];
    let json = bytes(&[b"{}", b"{\n\t\"version\": 1,\n\t\"entries\": []\n}", &[b'{'; 512]]);
    let content = prop_oneof![12 => json, 1 => content()];
    let inner = crate::corpus::build::tar().file("behind", "struck").cut();
    let behind =
        prop_oneof![12 => Just(Text::default()), 1 => Just(Text(inner)), 1 => vec(byte(), 1..20).prop_map(Text)];
    let zeros = prop_oneof![12 => Just(1024_usize), 1 => select(&[0_usize, 512, 1025, 4096][..])];
    let flag = prop_oneof![24 => Just(b'0'), 1 => select(&b"\x00725"[..])];
    let odd: &[(usize, &[u8])] = &[
        (157, b"a"),
        (18, b"x"),
        (329, b"0000001\0"),
        (345, b"d"),
        (346, b"d"),
        (483, b"1"),
        (100, b"0004755\0"),
        (508, b"tar\0"),
    ];
    (flag, name, weighted(0.1, select(odd)), content, behind, zeros)
        .prop_map(|(flag, name, odd, content, behind, zeros)| Index { flag, name, odd, content, behind, zeros })
}

fn component() -> impl Strategy<Value = Text> {
    prop_oneof![
        30 => select(&["a", "b", "dir", "file.txt", "l"][..]).prop_map(text),
        4 => "[a-z0-9 _.-]{1,12}".prop_map(text),
        2 => select(&["é", "日本", ".wh.a", ".wh..wh..opq", ".", "..a", "a:b", "c\\d", " ", "a\nb", "a=b", "-x"][..])
            .prop_map(text),
        1 => bytes(&[b"\xff\xfe", b"\xc3", b"\x01", b"a\"b", b"~", b"\x7f"]),
        1 => (1_usize..260).prop_map(|length| text("n".repeat(length))),
        1 => (248_usize..258).prop_map(|length| text(format!(".wh.{}", "n".repeat(length)))),
        1 => select(&["..", ""][..]).prop_map(text),
        1 => Just(text(".wh..wh.plnk")),
    ]
}

fn name() -> impl Strategy<Value = Text> {
    let in_front = prop_oneof![16 => Just(""), 2 => Just("./"), 1 => Just("/"), 1 => Just("//")];
    let behind = prop_oneof![24 => Just(""), 1 => Just("/"), 1 => Just("/."), 1 => Just("//")];
    prop_oneof![
        60 => (in_front, vec(component(), 1..4), behind).prop_map(|(in_front, components, behind)| {
            let parts: Vec<_> = components.into_iter().map(|component| component.0).collect();
            Text([in_front.as_bytes(), &parts.join(&b'/'), behind.as_bytes()].concat())
        }),
        2 => (95_usize..102).prop_map(|length| text("m".repeat(length))),
        1 => bytes(&[b"", b"/", b".", b"./", b"a\0b", b"a/\0", b"\0a"]),
        // What other formats begin with, and what ordinary names and these have in common.
        1 => bytes(&[
            b"MZ", b"070707", b"PK\x03\x04", b"LZIP\0\x0c", b"]\0\0\0\0\xff", b"\x1f\x8b\x08", b"!<arch>\n", b"#mtree\n",
            b"a@", b"WARC/1.0\n", b"begin 644 x\n#YWFH\n`\n", b"\x71\xc7",
        ]),
    ]
}

fn target() -> impl Strategy<Value = Text> {
    prop_oneof![
        12 => name(),
        4 => select(&["../a", "/etc/passwd", "a", "b", "dir/a", "a/", ".", ".wh..wh.plnk/a"][..]).prop_map(text),
    ]
}

fn spelling() -> impl Strategy<Value = Spelling> {
    use Spelling::*;
    prop_oneof![
        120 => Just(Octal),
        24 => select(&[OctalBlankNul, Blanks, Short, Full, Base256][..]),
        2 => select(&[Nuls, BlanksOnly][..]),
        1 => select(&[Base256Odd, NulInFront, Plus, Minus, MinusBehindZeros, Tab, Decimal, Behind][..]),
    ]
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let number =
        |usual: &'static [i64], odd: &'static [i64]| (prop_oneof![40 => select(usual), 1 => select(odd)], spelling());
    let id = || number(&[0, 0, 1000, 65_534, 369_884_941], &[-1, -2, 4_294_967_294, 4_294_967_295, 1 << 33]);
    let device = || number(&[0, 1, 5, 255], &[-1, 4095, 1 << 20, 1 << 33]);
    let mode = number(&[0o644, 0o755, 0o4755, 0], &[0o10_0644, -1, 0o7_7777, 0o77_7777]);
    let mtime = number(&[0, 1_700_000_000], &[-1, -62_135_596_801, 8_589_934_592, 1 << 54]);
    // As tar-stream writes them; where ten digits follow the sign, it stands in front.
    let signed = (select(&[-1_i64, -8, -62_135_596, -1_000_000_000][..]), Just(Spelling::MinusBehindZeros));
    let mtime = prop_oneof![60 => mtime, 1 => signed];
    let numbers: [BoxedStrategy<Number>; 6] =
        [mode.boxed(), id().boxed(), id().boxed(), mtime.boxed(), device().boxed(), device().boxed()];
    numbers.prop_map(|[mode, uid, gid, mtime, major, minor]| Numbers { mode, uid, gid, mtime, major, minor })
}

const POSIX: &[u8; 8] = b"ustar\x0000";
const GNU: &[u8; 8] = b"ustar  \0";

const ODD_MAGIC: &[&[u8; 8]] = &[b"ustar\0\0\0", b"ustar\x0011", b"ustar 00", b"ustar  0", b"USTAR\x0000", b"ustar   "];

fn magic() -> impl Strategy<Value = &'static [u8; 8]> {
    prop_oneof![
        20 => Just(POSIX),
        12 => Just(GNU),
        3 => Just(&[0; 8]),
        1 => select(ODD_MAGIC),
    ]
}

fn prefix() -> impl Strategy<Value = Text> {
    prop_oneof![
        30 => Just(Text::default()),
        3 => name(),
        1 => bytes(&[b"13773573637\x0013773573637\0", b"\x80\0\0\0\0\0\0\0\0\0\0\x01", b"\0a", b"0", b"0\0junk"]),
    ]
}

fn sum() -> impl Strategy<Value = Sum> {
    prop_oneof![300 => Just(Sum::Unsigned), 4 => Just(Sum::Signed), 1 => Just(Sum::Wrong)]
}

fn content() -> impl Strategy<Value = Text> {
    let length = prop_oneof![6 => 0_usize..20, 3 => select(&[0_usize, 511, 512, 513, 1024][..]), 1 => 0_usize..1500];
    let content = (length, byte())
        .prop_map(|(length, byte)| Text((0..length).map(|index| byte.wrapping_add((index % 7) as u8)).collect()));
    // What looks like an entry of its own to a reader that takes the size for something else.
    prop_oneof![30 => content, 1 => name().prop_map(|name| {
        let name = &name.0[..name.0.len().min(100)];
        Text(crate::corpus::build::tar().file(name, "inner").cut())
    })]
}

/// A type, and whether it has content.
fn flag() -> impl Strategy<Value = (u8, bool)> {
    prop_oneof![
        24 => Just((b'0', true)),
        4 => Just((0, true)),
        2 => Just((b'7', true)),
        8 => Just((b'5', false)),
        8 => Just((b'2', false)),
        6 => Just((b'1', false)),
        4 => select(&[(b'3', false), (b'4', false), (b'6', false)][..]),
        1 => select(&b"SVMNDAI8Xagx9LK"[..]).prop_map(|flag| (flag, true)),
    ]
}

fn member() -> impl Strategy<Value = Part> {
    let content = (flag(), content(), prop::bool::weighted(0.02))
        .prop_map(|((flag, has), content, odd)| if has || odd { (flag, content) } else { (flag, Text::default()) });
    let size_off = prop_oneof![60 => Just(0), 1 => select(&[1_i64, -1, 512, 1 << 33, -4000][..])];
    let extended = prop_oneof![
        50 => vec(extended(), 0..=0),
        34 => vec(extended(), 1..=1),
        10 => vec(extended(), 2..=2),
        3 => vec(extended(), 3..=4),
    ];
    // GNU tar writes a link to itself of a file that is named twice.
    let itself = prop::bool::weighted(0.1);
    // Writers cut a long name for the header's own field.
    let cut = prop::bool::weighted(0.3);
    let texts = (name(), prop_oneof![20 => target(), 1 => Just(Text::default())], prefix(), itself, cut);
    (extended, content, texts, magic(), numbers(), (size_off, spelling()), sum()).prop_map(
        |(
            extended,
            (flag, content),
            (name, target, prefix, itself, cut),
            magic,
            numbers,
            (size_off, size_spelling),
            sum,
        )| {
            // A target where there is none to be is odd, and so is a prefix of a link.
            let name = cut_name(&extended).filter(|_| cut).unwrap_or(name);
            let target = match flag {
                b'1' if itself => name.clone(),
                b'1' | b'2' => target,
                _ => Text::default(),
            };
            let header = Fields { flag, name, target, magic, prefix, numbers, size_off, size_spelling, sum };
            Part::Member { extended, header, content }
        },
    )
}

/// What fits into a header of the name that an extended header has.
fn cut_name(extended: &[Extended]) -> Option<Text> {
    let mut names = extended.iter().filter_map(|header| match header {
        Extended::Long { flag: b'L', text } => text.0.split(|&byte| byte == 0).next(),
        Extended::Records { flag: b'x', records, .. } => records.iter().find_map(|record| match record {
            Record { key: "path", value: Value::Text(text), .. } => Some(&text.0[..]),
            _ => None,
        }),
        _ => None,
    });
    names.next_back().map(|name| text(&name[..name.len().min(100)]))
}

fn extended() -> impl Strategy<Value = Extended> {
    let padding = prop_oneof![60 => Just(0_usize), 1 => 1_usize..30];
    let x = prop_oneof![60 => Just(b'x'), 1 => Just(b'X')];
    let ending =
        prop_oneof![20 => Just(text(b"\0")), 4 => Just(Text::default()), 1 => bytes(&[b"\0\0", b"\0a", b"\n\0"])];
    let text =
        |text: BoxedStrategy<Text>| (text, ending.clone()).prop_map(|(text, end)| Text([text.0, end.0].concat()));
    let long = text(prop_oneof![2 => name(), 1 => (90_usize..300).prop_map(long_name)].boxed());
    let link = text(prop_oneof![2 => target(), 1 => (90_usize..300).prop_map(long_name)].boxed());
    prop_oneof![
        30 => (x, vec(record(), 0..4), padding)
            .prop_map(|(flag, records, padding)| Extended::Records { flag, records, padding }),
        2 => vec(global(), 0..3).prop_map(|records| Extended::Records { flag: b'g', records, padding: 0 }),
        10 => long.prop_map(|text| Extended::Long { flag: b'L', text }),
        4 => link.prop_map(|text| Extended::Long { flag: b'K', text }),
    ]
}

/// The name of a directory, or of a file; cut for a header it ends with a slash.
fn long_name(length: usize) -> Text {
    let name = "long/".repeat(length / 5);
    text(if length.is_multiple_of(2) { &name } else { name.trim_end_matches('/') })
}

fn global() -> impl Strategy<Value = Record> {
    let comment = ("[a-f0-9]{0,40}").prop_map(|value| ("comment", Value::Text(text(value))));
    let label = ("[ -~]{1,20}").prop_map(|value| ("GNU.volume.label", Value::Text(text(value))));
    let encoding = Just(("hdrcharset", Value::Text(text("BINARY"))));
    let pair = prop_oneof![12 => comment, 2 => label, 2 => pair(), 1 => encoding];
    pair.prop_map(|(key, value)| Record { key, value, form: Form::Right })
}

fn record() -> impl Strategy<Value = Record> {
    use Form::*;
    let form = prop_oneof![
        120 => Just(Right),
        1 => select(&[LengthOff(1), LengthOff(-1), LengthOff(20), ZeroInFront, BlankInFront, WithoutNewline, WithoutEquals][..]),
    ];
    (pair(), form).prop_map(|((key, value), form)| Record { key, value, form })
}

/// A key with a value that mostly fits it.
fn pair() -> impl Strategy<Value = (&'static str, Value)> {
    let of = |key: &'static str, values: BoxedStrategy<Text>| values.prop_map(move |value| (key, Value::Text(value)));
    let any_text = prop_oneof![
        1 => Just(Text::default()),
        4 => "[ -~]{1,20}".prop_map(text),
        1 => vec(byte(), 0..20).prop_map(Text),
    ];
    let number =
        || select(&["0", "1", "1000", "4294967294", "4294967295", "-1", "", "1.5", "1e3", "x", " 1", "+1", "007"][..]);
    let id = || prop_oneof![12 => select(&["0", "1000", "369884941"][..]), 1 => number()].prop_map(text).boxed();
    let time = || {
        let odd = select(
            &["", "-1", "-1.5", "-0.25", ".5", "1.", "1e9", "x", "0.0000000001", "8589934592", "99999999999999999999"]
                [..],
        );
        prop_oneof![12 => select(&["0", "1700000000", "1700000000.123456789", "1.5"][..]), 1 => odd]
            .prop_map(text)
            .boxed()
    };
    let size = prop_oneof![
        12 => Just(Value::Size(0)),
        1 => select(&[1_i8, -1, 100][..]).prop_map(Value::Size),
        1 => number().prop_map(|value| Value::Text(text(value))),
    ];
    prop_oneof![
        10 => of("path", name().boxed()),
        1 => of("path", (250_usize..257).prop_map(|length| text(format!("dir/.wh.{}", "n".repeat(length)))).boxed()),
        6 => of("linkpath", target().boxed()),
        4 => size.prop_map(|value| ("size", value)),
        6 => of("mtime", time()),
        4 => (select(&["atime", "ctime", "LIBARCHIVE.creationtime"][..]), time())
            .prop_map(|(key, value)| (key, Value::Text(value))),
        4 => (select(&["uid", "gid"][..]), id()).prop_map(|(key, value)| (key, Value::Text(value))),
        3 => (select(&["uname", "gname", "comment", "VENDOR.key", "SCHILY.fflags"][..]), any_text.clone())
            .prop_map(|(key, value)| (key, Value::Text(value))),
        3 => (select(&["SCHILY.xattr.user.a", "SCHILY.xattr.user.b", "SCHILY.xattr.security.selinux", "SCHILY.xattr."][..]), any_text)
            .prop_map(|(key, value)| (key, Value::Text(value))),
        2 => (select(&["LIBARCHIVE.xattr.user.a", "SCHILY.dev", "SCHILY.ino", "SCHILY.nlink", "RHT.security.selinux"][..]), "[0-9A-Za-z]{0,8}")
            .prop_map(|(key, value)| (key, Value::Text(text(value)))),
        2 => (select(&["hdrcharset", "charset"][..]), select(&["BINARY", "ISO-IR 10646 2000 UTF-8", "", "ISO-IR 8859 1 1998"][..]))
            .prop_map(|(key, value)| (key, Value::Text(text(value)))),
        1 => (
            select(&[
                "SCHILY.realsize", "SCHILY.acl.access", "SCHILY.devmajor", "SCHILY.devminor", "GNU.sparse.name",
                "GNU.sparse.realsize", "GNU.sparse.size", "GNU.sparse.major", "GNU.sparse.map", "GNU.dumpdir", "LIBARCHIVE.symlinktype",
                "SUN.holesdata", "GNU.volume.label", "SCHILY.filetype", "SCHILY.tarfiletype", "SCHILY.offset", "SCHILY.dir",
                "SCHILY.acl.default", "mode", "devmajor", "devminor", "SUN.devmajor", "GNU.volume.offset", "", "Path", " path", "\tpath", " size", "a\0b", "GNUxsparse.offset",
            ][..]),
            select(&["1", "", "dir", "a\0b", " 0 1 1", "sparse", "directory", "511"][..]),
        )
            .prop_map(|(key, value)| (key, Value::Text(text(value)))),
    ]
}

fn sparse() -> impl Strategy<Value = Sparse> {
    use Fault::*;
    let format = select(&[Format::Gnu, Format::Pax00, Format::Pax01, Format::Pax10][..]);
    let length = || prop_oneof![4 => select(&[0_u64, 1, 512, 513, 1024][..]), 1 => 0_u64..3000];
    // Of all runs but the last one writers make whole blocks.
    let blocks = || select(&[512_u64, 1024][..]);
    let aligned = (vec((length(), blocks()), 0..4), (length(), 1_u64..700));
    let runs = prop_oneof![
        10 => aligned.prop_map(|(runs, last)| [&runs[..], &[last]].concat()),
        1 => Just(Vec::new()),
        1 => vec((length(), 1_u64..700), 0..5),
        1 => vec((1_u64..600, blocks()), 4..30),
    ];
    let more = select(
        &[
            "size",
            "path",
            "GNU.sparse.size",
            "GNU.sparse.realsize",
            "GNU.sparse.major",
            "GNU.sparse.minor",
            "GNU.sparse.name",
            "GNU.sparse.map",
            "GNU.sparse.offset",
            "GNU.sparse.numbytes",
            "GNU.sparse.numblocks",
            "GNU.sparse.x",
            "SCHILY.realsize",
        ][..],
    );
    let index = || any::<u8>();
    let off = || select(&[-2_i8, -1, 1, 2, 100][..]);
    let error = prop_oneof![
        index().prop_map(Drop),
        index().prop_map(Twice),
        index().prop_map(Swap),
        index().prop_map(Copy),
        off().prop_map(Stored),
        off().prop_map(RealSize),
        Just(LastRun),
        more.prop_map(More),
        select(&[0_u8, 1, 2, b'1'][..]).prop_map(Flag),
        Just(Behind),
        Just(Size),
        Just(Star),
        Just(InValue),
    ];
    let kind = (
        format,
        prop_oneof![20 => Just(POSIX), 1 => magic()],
        prop_oneof![20 => Just(None), 1 => flag().prop_map(Some)],
    );
    (kind, name(), runs, length(), weighted(0.3, error)).prop_map(|((format, magic, flag), name, runs, tail, error)| {
        let usual = if format == Format::Gnu { b'S' } else { b'0' };
        let magic = if format == Format::Gnu && flag.is_none() { GNU } else { magic };
        Sparse { format, name, runs, tail, error, magic, flag: flag.map_or(usual, |(flag, _)| flag) }
    })
}
