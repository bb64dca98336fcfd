//! An archive as a value that can be generated, made smaller and read by people, and its bytes.

use crate::corpus::build::{Archive, Header, base_256, pax_records, sparse_slots, tar};
use std::fmt;

/// Bytes that are shown as text.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Text(pub(crate) Vec<u8>);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            ..=120 => write!(f, "{:?}", self.0.escape_ascii().to_string()),
            long => write!(f, "{:?}… of {long}", self.0[..20].escape_ascii().to_string()),
        }
    }
}

/// An archive to be.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) parts: Vec<Part>,
    pub(crate) end: End,
    /// So much of it is left, in parts of 65,536.
    pub(crate) cut: Option<u16>,
    /// The byte at that place, in parts of 65,536, is this one. A header's checksum is mended.
    pub(crate) mutation: Option<(u16, u8)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A file, a link, a directory; and extended headers before it.
    Member { extended: Vec<Extended>, header: Fields, content: Text },
    /// A file with holes.
    Sparse(Sparse),
    /// A block of zeros between others.
    Zeros,
}

/// An extended header.
#[derive(Clone, Debug)]
pub(crate) enum Extended {
    /// Of type `x`, `g` or something of the kind.
    Records { flag: u8, records: Vec<Record>, padding: usize },
    /// Of type `L` or `K`.
    Long { flag: u8, text: Text },
}

/// A record of a PAX header.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: &'static str,
    pub(crate) value: Value,
    pub(crate) form: Form,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Text),
    /// The size of the member's content, and so much.
    Size(i8),
}

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Right,
    LengthOff(i8),
    ZeroInFront,
    BlankInFront,
    WithoutNewline,
    WithoutEquals,
}

/// The fields of a header.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(crate) flag: u8,
    pub(crate) name: Text,
    pub(crate) target: Text,
    pub(crate) magic: &'static [u8; 8],
    pub(crate) prefix: Text,
    pub(crate) numbers: Numbers,
    /// What the size field says: the size of the content, and so much.
    pub(crate) size_off: i64,
    pub(crate) size_spelling: Spelling,
    pub(crate) sum: Sum,
}

/// The numbers of a header but for its size.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) mode: Number,
    pub(crate) uid: Number,
    pub(crate) gid: Number,
    pub(crate) mtime: Number,
    pub(crate) major: Number,
    pub(crate) minor: Number,
}

pub(crate) type Number = (i64, Spelling);

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Zeros in front, a NUL behind.
    Octal,
    /// Zeros in front, a blank and a NUL behind.
    OctalBlankNul,
    /// Blanks in front, a blank behind.
    Blanks,
    /// No zeros, NULs behind.
    Short,
    /// Zeros in front, nothing behind.
    Full,
    Base256,
    /// In base 256, with a first byte that is neither 0x80 nor 0xff.
    Base256Odd,
    Nuls,
    BlanksOnly,
    NulInFront,
    Plus,
    Minus,
    /// A minus sign behind zeros, whether the number is negative or not.
    MinusBehindZeros,
    Tab,
    Decimal,
    /// More digits behind a NUL.
    Behind,
}

/// How the checksum is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    Unsigned,
    Signed,
    Wrong,
}

/// How an archive ends.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// So many bytes of zeros.
    Zeros(usize),
    /// Zeros up to a whole record of 10,240 bytes.
    Record,
    /// So many bytes of zeros, and then something else.
    Junk(usize, Text),
    /// Right behind the content of the last entry, or so many bytes off.
    Unpadded(i8),
    /// So many bytes of zeros, and the archive of an eStargz layer's index, or something like it.
    Index(usize, Index),
}

/// An archive behind the end, as BuildKit writes it.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(crate) flag: u8,
    pub(crate) name: &'static str,
    /// Bytes at an offset of the header that say something else than "a regular file".
    pub(crate) odd: Option<(usize, &'static [u8])>,
    pub(crate) content: Text,
    /// Something between the entry and its end.
    pub(crate) behind: Text,
    pub(crate) zeros: usize,
}

/// A file with holes.
#[derive(Clone, Debug)]
pub(crate) struct Sparse {
    pub(crate) format: Format,
    pub(crate) name: Text,
    /// A hole and the data behind it, each in bytes.
    pub(crate) runs: Vec<(u64, u64)>,
    /// The hole at the end.
    pub(crate) tail: u64,
    pub(crate) error: Option<Fault>,
    pub(crate) magic: &'static [u8; 8],
    pub(crate) flag: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Gnu,
    Pax00,
    Pax01,
    Pax10,
}

/// What is wrong with the description of holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The record of that index, counted around, is missing.
    Drop(u8),
    Twice(u8),
    /// It changes places with the one before.
    Swap(u8),
    /// It has the value of the one before.
    Copy(u8),
    /// So many bytes more or less are stored.
    Stored(i8),
    /// The file is said to be longer or shorter.
    RealSize(i8),
    /// There is a run of nothing at the end where writers have none, or none where they have one.
    LastRun,
    /// There is one more record of that key.
    More(&'static str),
    /// What is in the flag of an old header's map.
    Flag(u8),
    /// Bytes behind the map.
    Behind,
    /// A record says how much is stored, which the header can say.
    Size,
    /// Behind the prefix is what GNU tar takes for star's times.
    Star,
    /// A value looks like records of a map.
    InValue,
}

/// The bytes of an archive and where its headers are.
#[derive(Default)]
struct Builder {
    archive: Archive,
    headers: Vec<usize>,
    /// Where the last content ends, without its padding.
    end: usize,
}

impl Spec {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut builder = Builder::default();
        for part in &self.parts {
            builder.part(part);
        }
        let Builder { archive, headers, end } = builder;
        let mut bytes = match &self.end {
            End::Unpadded(off) => {
                let mut bytes = archive.cut();
                bytes.truncate(end.saturating_add_signed((*off).into()));
                bytes
            }
            End::Index(zeros, index) => archive.zeros(*zeros).bytes(&index.bytes()).cut(),
            End::Zeros(zeros) => archive.zeros(*zeros).cut(),
            End::Record => {
                let mut bytes = archive.end();
                bytes.resize(bytes.len().next_multiple_of(10_240), 0);
                bytes
            }
            End::Junk(zeros, junk) => archive.zeros(*zeros).bytes(&junk.0).cut(),
        };
        if let Some((at, byte)) = self.mutation.filter(|_| !bytes.is_empty()) {
            let at = share(bytes.len(), at);
            bytes[at] = byte;
            let header = headers.iter().find(|&&header| (header..header + 512).contains(&at));
            if let Some(block) = header.and_then(|&header| bytes.get_mut(header..header + 512)) {
                mend(block);
            }
        }
        if let Some(left) = self.cut {
            bytes.truncate(share(bytes.len(), left));
        }
        bytes
    }
}

fn share(whole: usize, part: u16) -> usize {
    whole * usize::from(part) / 0x1_0000
}

/// Makes a header's checksum fit.
fn mend(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

impl Builder {
    fn header(&mut self, block: &[u8; 512]) {
        let archive = std::mem::take(&mut self.archive);
        self.headers.push(archive.clone().cut().len());
        self.archive = archive.bytes(block);
        self.end = self.headers.last().map_or(0, |start| start + 512);
    }

    fn padded(&mut self, content: &[u8]) {
        self.end += content.len().next_multiple_of(512);
        self.archive = std::mem::take(&mut self.archive).padded(content);
        self.end -= content.len().wrapping_neg() % 512;
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Member { extended, header, content } => {
                for part in extended {
                    self.extended(part, content.0.len());
                }
                let content = &content.0;
                let size = (content.len() as i64).wrapping_add(header.size_off);
                self.header(&header.block(size));
                self.padded(content);
            }
            Part::Sparse(sparse) => self.sparse(sparse),
            Part::Zeros => self.archive = std::mem::take(&mut self.archive).zeros(512),
        }
    }

    fn extended(&mut self, part: &Extended, size: usize) {
        let (header, content) = match part {
            Extended::Records { flag, records, padding } => {
                let mut content: Vec<_> = records.iter().flat_map(|record| record.bytes(size)).collect();
                content.resize(content.len() + padding, 0);
                (Header::posix(*flag, "PaxHeaders/0"), content)
            }
            Extended::Long { flag, text } => (Header::gnu(*flag, "././@LongLink"), text.0.clone()),
        };
        self.header(&header.size(content.len() as u64).block());
        self.padded(&content);
    }

    fn sparse(&mut self, sparse: &Sparse) {
        let mut runs = sparse.runs_at();
        let stored: u64 = runs.iter().map(|(_, length)| length).sum();
        let real = runs.last().map_or(0, |(offset, length)| offset + length) + sparse.tail;
        // Writers make a run of nothing of a hole at the end.
        if (sparse.tail > 0 || runs.is_empty()) != (sparse.error == Some(Fault::LastRun)) {
            runs.push((real, 0));
        }
        let (stored, real) = match sparse.error {
            Some(Fault::Stored(off)) => (stored.saturating_add_signed(off.into()), real),
            Some(Fault::RealSize(off)) => (stored, real.saturating_add_signed(off.into())),
            _ => (stored, real),
        };
        let mut data: Vec<u8> = (0..stored).map(|index| b'a' + (index % 23) as u8).collect();
        let name = &sparse.name.0[..sparse.name.0.len().min(100)];
        let mut header = Header::posix(sparse.flag, name).bytes(257, sparse.magic);
        if sparse.format == Format::Gnu {
            return self.old_gnu(sparse, header, &runs, real, &data);
        }
        if sparse.format == Format::Pax10 {
            let mut map = format!("{}\n", runs.len()).into_bytes();
            map.extend(runs.iter().flat_map(|(offset, length)| format!("{offset}\n{length}\n").into_bytes()));
            map.extend(if sparse.error == Some(Fault::Behind) { &b"7\n"[..] } else { b"" });
            map.resize(map.len().next_multiple_of(512), 0);
            data = [map, data].concat();
        }
        let mut records = sparse.records(&runs, real);
        match sparse.error {
            Some(Fault::Size) => records.push(("size", data.len().to_string().into_bytes())),
            Some(Fault::Star) => header = header.bytes(476, b"00000000000 00000000000 "),
            Some(Fault::InValue) => {
                let map = b"x\n30 GNU.sparse.offset=1024\n30 GNU.sparse.numbytes=512\n";
                records.insert(0, ("comment", map.to_vec()));
            }
            _ => (),
        }
        let records: Vec<_> = records.iter().map(|(key, value)| (*key, value.as_slice())).collect();
        let content = pax_records(&records);
        self.header(&Header::posix(b'x', "PaxHeaders/0").size(content.len() as u64).block());
        self.padded(&content);
        header = header.size(data.len() as u64);
        self.header(&header.block());
        self.padded(&data);
    }

    fn old_gnu(&mut self, sparse: &Sparse, header: Header, runs: &[(u64, u64)], real: u64, data: &[u8]) {
        let (first, rest) = runs.split_at(runs.len().min(4));
        let flag = |rest: &[(u64, u64)]| match sparse.error {
            Some(Fault::Flag(flag)) => flag,
            _ => u8::from(!rest.is_empty()),
        };
        let header = header.size(data.len() as u64).sparse_map(first, flag(rest), real);
        self.header(&header.block());
        let mut chunks = rest.chunks(21).peekable();
        while let Some(slots) = chunks.next() {
            let mut block = sparse_slots(slots);
            block.resize(504, 0);
            block.push(u8::from(chunks.peek().is_some()));
            self.padded(&block);
        }
        self.padded(data);
    }
}

impl Index {
    fn bytes(&self) -> Vec<u8> {
        let header = Header::posix(self.flag, self.name);
        let header = self.odd.map_or(header.clone(), |(at, bytes)| header.bytes(at, bytes));
        tar().with(header, &self.content.0).bytes(&self.behind.0).zeros(self.zeros).cut()
    }
}

impl Sparse {
    /// Offset and length of each run.
    fn runs_at(&self) -> Vec<(u64, u64)> {
        let mut end = 0;
        let runs = self.runs.iter().map(|(hole, data)| {
            let offset = end + hole;
            end = offset + data;
            (offset, *data)
        });
        runs.collect()
    }

    fn records(&self, runs: &[(u64, u64)], real: u64) -> Vec<(&'static str, Vec<u8>)> {
        let text = |number: u64| number.to_string().into_bytes();
        let name = ("GNU.sparse.name", self.name.0.clone());
        let count = ("GNU.sparse.numblocks", text(runs.len() as u64));
        let mut records = match self.format {
            Format::Gnu => Vec::new(),
            Format::Pax00 => {
                let mut records = vec![("GNU.sparse.size", text(real)), count];
                for (offset, length) in runs {
                    records.extend([("GNU.sparse.offset", text(*offset)), ("GNU.sparse.numbytes", text(*length))]);
                }
                records
            }
            Format::Pax01 => {
                let numbers: Vec<_> = runs.iter().map(|(offset, length)| format!("{offset},{length}")).collect();
                let mut map = numbers.join(",").into_bytes();
                map.extend(if self.error == Some(Fault::Behind) { &b","[..] } else { b"" });
                vec![name, ("GNU.sparse.size", text(real)), count, ("GNU.sparse.map", map)]
            }
            Format::Pax10 => vec![
                ("GNU.sparse.major", text(1)),
                ("GNU.sparse.minor", text(0)),
                name,
                ("GNU.sparse.realsize", text(real)),
            ],
        };
        let count = records.len();
        let index = |index: u8| usize::from(index) % count.max(1);
        match self.error {
            _ if count == 0 => (),
            Some(Fault::Drop(at)) => drop(records.remove(index(at))),
            Some(Fault::Twice(at)) => records.push(records[index(at)].clone()),
            Some(Fault::Swap(at)) => records.swap(index(at), index(at).saturating_sub(1)),
            Some(Fault::Copy(at)) => records[index(at)].1 = records[index(at).saturating_sub(1)].1.clone(),
            Some(Fault::More(key)) => records.push((key, text(real))),
            _ => (),
        }
        records
    }
}

impl Record {
    fn bytes(&self, size: usize) -> Vec<u8> {
        let value = match &self.value {
            Value::Text(text) => text.0.clone(),
            Value::Size(off) => (size as i64 + i64::from(*off)).to_string().into_bytes(),
        };
        let record = pax_records(&[(self.key, &value)]);
        let blank = record.iter().position(|&byte| byte == b' ').unwrap();
        let (length, body) = record.split_at(blank);
        match self.form {
            Form::Right => record,
            Form::LengthOff(off) => {
                let length = record.len().saturating_add_signed(off.into());
                [length.to_string().as_bytes(), body].concat()
            }
            Form::ZeroInFront => [b"0", length, body].concat(),
            Form::BlankInFront => [b" ", length, body].concat(),
            Form::WithoutNewline => record[..record.len() - 1].to_vec(),
            Form::WithoutEquals => record.iter().map(|&byte| if byte == b'=' { b':' } else { byte }).collect(),
        }
    }
}

impl Fields {
    fn block(&self, size: i64) -> [u8; 512] {
        let name = &self.name.0[..self.name.0.len().min(100)];
        let target = &self.target.0[..self.target.0.len().min(100)];
        let prefix = &self.prefix.0[..self.prefix.0.len().min(155)];
        let Numbers { mode, uid, gid, mtime, major, minor } = &self.numbers;
        let header = Header::posix(self.flag, name).target(target).prefix(prefix).bytes(257, self.magic);
        let header = header.raw_mode(&field::<8>(*mode)).raw_uid(&field::<8>(*uid)).raw_gid(&field::<8>(*gid));
        let header = header.raw_size(&field::<12>((size, self.size_spelling))).raw_mtime(&field::<12>(*mtime));
        let header = header.raw_major(&field::<8>(*major)).bytes(337, &field::<8>(*minor));
        match self.sum {
            Sum::Unsigned => header.block(),
            Sum::Signed => header.block_summed_signed(),
            Sum::Wrong => header.block_with_checksum(b"012345\0 "),
        }
    }
}

/// A number as the field has it, cut where it does not fit.
fn field<const BYTES: usize>((value, spelling): Number) -> [u8; BYTES] {
    let base_256_needed = value < 0 || value >= 1 << (3 * (BYTES - 1));
    let digits = |width: usize| format!("{value:0width$o}").into_bytes();
    let mut bytes = match spelling {
        Spelling::MinusBehindZeros => {
            let digits = format!("-{:o}", value.unsigned_abs());
            format!("{digits:0>width$} ", width = BYTES - 1).into_bytes()
        }
        Spelling::Base256 => return base_256(value % (1 << 55)),
        _ if base_256_needed => return base_256(value % (1 << 55)),
        Spelling::Base256Odd => {
            let mut field = base_256(value);
            field[0] ^= 1;
            return field;
        }
        Spelling::Octal => digits(BYTES - 1),
        Spelling::OctalBlankNul if value < 1 << (3 * (BYTES - 2)) => [&digits(BYTES - 2)[..], b" \0"].concat(),
        Spelling::OctalBlankNul => digits(BYTES - 1),
        Spelling::Blanks => format!("{value:width$o} ", width = BYTES - 1).into_bytes(),
        Spelling::Short => digits(1),
        Spelling::Full => digits(BYTES),
        Spelling::Nuls => Vec::new(),
        Spelling::BlanksOnly => vec![b' '; BYTES],
        Spelling::NulInFront => [b"\0", &digits(BYTES - 2)[..]].concat(),
        Spelling::Plus => [b"+", &digits(BYTES - 2)[..]].concat(),
        Spelling::Minus => [b"-", &digits(BYTES - 2)[..]].concat(),
        Spelling::Tab => [b"\t", &digits(1)[..]].concat(),
        Spelling::Decimal => b"9".to_vec(),
        Spelling::Behind => [&digits(1)[..], b"\x007"].concat(),
    };
    bytes.resize(BYTES, 0);
    *bytes.first_chunk().unwrap()
}
