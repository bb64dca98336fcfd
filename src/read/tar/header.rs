//! One header block.

use super::block::Block;
use super::layout::{CHECKSUM, FLAG, GID, MAGIC, MAJOR, MINOR, MODE, MTIME, NAME, PREFIX, SIZE, TARGET, UID};
use super::{number, quirk_set::QuirkSet};
use crate::words::{Device, DeviceKind, Escaped, Quirk, Violation};
use std::ffi::CStr;
use std::ops::Range;

/// A header block with a correct checksum.
pub(crate) struct Header(Block);

const GNU_ACCESS_TIME: Range<usize> = 345..357;
const GNU_CHANGE_TIME: Range<usize> = 357..369;
const STAR_PREFIX: Range<usize> = 345..476;
const STAR_TRAILER: Range<usize> = 508..512;
const SPARSE: Range<usize> = 386..482;
const SPARSE_MORE: Range<usize> = 482..483;
const REAL_SIZE: Range<usize> = 483..495;

/// The dialect, by the magic.
enum Dialect {
    /// POSIX, with any version: readers ignore the version.
    Posix,
    /// POSIX as star writes it, with a shorter prefix.
    Star,
    Gnu,
    /// Version 7, which has no magic.
    Old,
}

impl Header {
    /// Checks the checksum of a block.
    ///
    /// # Errors
    ///
    /// [`Violation::HeaderChecksum`], [`Violation::Number`].
    pub(crate) fn parse(block: Block) -> Result<Self, Violation> {
        let header = Self(block);
        let stored = header.number("checksum", CHECKSUM)?;
        let computed = header.sum();
        if header.has_sum(stored, computed) {
            return Ok(header);
        }
        let stored = u64::try_from(stored).unwrap_or_default();
        Err(Violation::HeaderChecksum { stored, computed })
    }

    /// The sum of all bytes. The checksum itself counts as blanks.
    fn sum(&self) -> u64 {
        let field = self.bytes(CHECKSUM);
        let blanks = u64::from(b' ') * field.len() as u64;
        sum(&self.0) - sum(field) + blanks
    }

    /// Whether a checksum is this sum, or the sum of signed bytes, which old writers on some machines computed: each byte
    /// from 128 counts 256 less.
    fn has_sum(&self, stored: i64, unsigned: u64) -> bool {
        let upper_half = || upper_half(&self.0) - upper_half(self.bytes(CHECKSUM));
        let signed = || unsigned.cast_signed() - 256 * upper_half().cast_signed();
        stored == unsigned.cast_signed() || stored == signed()
    }

    pub(crate) fn flag(&self) -> u8 {
        self.0.get(FLAG).copied().unwrap_or_default()
    }

    /// Writes the name into a buffer, with the prefix if the dialect has one.
    pub(crate) fn name(&self, into: &mut Vec<u8>, quirks: &mut QuirkSet) -> Result<(), Violation> {
        let name = self.own_name();
        let prefix = match self.dialect() {
            Dialect::Posix => self.text(PREFIX),
            Dialect::Star => self.star_prefix(quirks),
            Dialect::Gnu => self.gnu_prefix(quirks)?,
            Dialect::Old => {
                // Python reads a prefix with any magic, libarchive with any that begins like that of POSIX.
                if !self.text(PREFIX).is_empty() {
                    quirks.add(self.dialect_quirk());
                }
                b""
            }
        };
        into.clear();
        if !prefix.is_empty() {
            into.extend_from_slice(prefix);
            into.push(b'/');
        }
        into.extend_from_slice(name);
        Ok(())
    }

    /// The size of the field for the name.
    pub(crate) const NAME_BYTES: usize = NAME.end - NAME.start;

    /// The field for the name.
    pub(crate) fn own_name(&self) -> &[u8] {
        self.text(NAME)
    }

    /// The target of a link, empty if there is none.
    pub(crate) fn target(&self) -> &[u8] {
        self.text(TARGET)
    }

    pub(crate) fn size(&self) -> Result<u64, Violation> {
        self.unsigned("size", SIZE, i64::MAX.unsigned_abs())
    }

    /// The permission bits. Some writers add the file type as in `stat`. The type of an entry is in the flag alone.
    pub(crate) fn mode(&self) -> Result<u32, Violation> {
        Ok(self.unsigned32("mode", MODE, 0o177_777)? & 0o7777)
    }

    pub(crate) fn uid(&self) -> Result<u32, Violation> {
        self.unsigned32("uid", UID, u32::MAX - 1)
    }

    pub(crate) fn gid(&self) -> Result<u32, Violation> {
        self.unsigned32("gid", GID, u32::MAX - 1)
    }

    /// Seconds since the epoch. This is the only number that may be negative, in base-256.
    ///
    /// tar-stream writes a minus sign after the zeros that fill the field. libarchive, tar-stream itself and node-tar
    /// stop at the sign and read zero. Go, the tar crate, GNU tar and busybox refuse the header. Python's tarfile ends
    /// there without an error, and shows fewer entries. A sign in front is not a number here: GNU tar reads the digits
    /// after it as base-64.
    pub(crate) fn mtime(&self, quirks: &mut QuirkSet) -> Result<i64, Violation> {
        if number::is_zero_and_minus(self.bytes(MTIME)) {
            quirks.add(Quirk::TimeSign);
            return Ok(0);
        }
        self.number("mtime", MTIME)
    }

    /// The device numbers. Only devices have them: in other headers, writers leave arbitrary bytes there.
    pub(crate) fn device(&self, kind: DeviceKind, quirks: &mut QuirkSet) -> Result<Device, Violation> {
        if let Dialect::Old = self.dialect() {
            // Go and GNU tar know no such fields in version 7.
            quirks.add(self.dialect_quirk());
            return Ok(Device { kind, major: 0, minor: 0 });
        }
        let major = self.unsigned32("device major", MAJOR, u32::MAX)?;
        let minor = self.unsigned32("device minor", MINOR, u32::MAX)?;
        Ok(Device { kind, major, minor })
    }

    /// The fields of type `S`: four slots of the map, whether more follow, and the size of the file with its holes.
    pub(crate) fn gnu_sparse(&self) -> Result<(&[u8], bool, u64), Violation> {
        let more = match (self.dialect(), self.bytes(SPARSE_MORE)) {
            (Dialect::Gnu, [0]) => false,
            (Dialect::Gnu, [1]) => true,
            _ => return Err(Violation::Sparse { format: "old GNU" }),
        };
        Ok((self.bytes(SPARSE), more, self.unsigned("real size", REAL_SIZE, i64::MAX.unsigned_abs())?))
    }

    /// Whether a header of another type than `S` has a sparse map or a real size. libarchive reads these fields with every
    /// type, so the file has holes for it and none for others. A ustar prefix looks like a map.
    pub(crate) fn has_stray_map(&self) -> bool {
        let looked_at = [SPARSE.start, SPARSE_MORE.start, REAL_SIZE.start];
        let is_set = looked_at.iter().any(|&at| self.0.get(at).is_some_and(|&byte| byte != 0));
        matches!(self.dialect(), Dialect::Gnu) && self.flag() != b'S' && is_set
    }

    /// Whether bytes other than NUL follow the prefix of a POSIX header. If these are times, GNU tar takes the header for
    /// one of star, even without star's trailer, and looks for a sparse map elsewhere.
    pub(crate) fn has_bytes_after_prefix(&self) -> bool {
        let behind = self.0.iter().skip(PREFIX.start + self.text(PREFIX).len());
        behind.into_iter().any(|&byte| byte != 0)
    }

    /// The quirk of an extended header without magic, which some readers do not take for an extended header.
    pub(crate) fn extended_quirk(&self) -> Option<Quirk> {
        matches!(self.dialect(), Dialect::Old).then(|| self.dialect_quirk())
    }

    /// Whether a POSIX header is that of a regular file in every field that some reader uses: no link target, no device
    /// number, no file type or setuid bit in the mode, and no bytes after the end of a text.
    pub(crate) fn is_plain_file(&self) -> bool {
        let is_zero = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        let after_name = self.bytes(NAME).get(self.own_name().len()..).unwrap_or_default();
        let devices = [MAJOR, MINOR].map(|range| number::parse(self.bytes(range)));
        self.is_posix()
            && self.flag() == b'0'
            && is_zero(after_name)
            && is_zero(self.bytes(TARGET))
            && devices == [Some(0); 2]
            && self.number("mode", MODE).is_ok_and(|mode| (0..=0o777).contains(&mode))
            && !self.has_bytes_after_prefix()
    }

    pub(crate) fn is_posix(&self) -> bool {
        matches!(self.dialect(), Dialect::Posix)
    }

    fn dialect(&self) -> Dialect {
        match self.bytes(MAGIC) {
            [b'u', b's', b't', b'a', b'r', 0, _, _] if self.bytes(STAR_TRAILER) == b"tar\0" => Dialect::Star,
            [b'u', b's', b't', b'a', b'r', 0, _, _] => Dialect::Posix,
            b"ustar  \0" => Dialect::Gnu,
            _ => Dialect::Old,
        }
    }

    /// The prefix that Go before 1.9 wrote with GNU magic, where GNU tar has times. Go's reader takes printable text that
    /// is not a time for a prefix. Other bytes are refused, and so are times that are valid for Go alone.
    fn gnu_prefix(&self, quirks: &mut QuirkSet) -> Result<&[u8], Violation> {
        let times = self.number("access time", GNU_ACCESS_TIME).and(self.number("change time", GNU_CHANGE_TIME));
        let prefix = self.text(PREFIX);
        let Err(violation) = times else {
            // Python and busybox take the times for a prefix, Python except in sparse files of type `S`.
            if !prefix.is_empty() && self.flag() != b'S' {
                quirks.add(Quirk::GnuTimes);
            }
            return Ok(b"");
        };
        let is_time_to_go = |range| !number::is_text_to_go(self.bytes(range));
        if is_time_to_go(GNU_ACCESS_TIME) && is_time_to_go(GNU_CHANGE_TIME) {
            return Err(violation);
        }
        if prefix.is_empty() || !prefix.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(violation);
        }
        quirks.add(Quirk::GnuPrefix);
        Ok(prefix)
    }

    /// The prefix of star, which ends before star's times. Readers that do not know star read on.
    fn star_prefix(&self, quirks: &mut QuirkSet) -> &[u8] {
        let prefix = self.text(STAR_PREFIX);
        if prefix != self.text(PREFIX) {
            quirks.add(self.dialect_quirk());
        }
        prefix
    }

    fn dialect_quirk(&self) -> Quirk {
        Quirk::HeaderDialect { magic: Escaped::new(self.bytes(MAGIC)) }
    }

    fn unsigned32(&self, field: &'static str, range: Range<usize>, most: u32) -> Result<u32, Violation> {
        let value = self.unsigned(field, range, most.into())?;
        Ok(u32::try_from(value).unwrap_or(most))
    }

    fn unsigned(&self, field: &'static str, range: Range<usize>, most: u64) -> Result<u64, Violation> {
        let value = self.number(field, range.clone())?;
        u64::try_from(value).ok().filter(|&value| value <= most).ok_or_else(|| self.no_number(field, range))
    }

    fn number(&self, field: &'static str, range: Range<usize>) -> Result<i64, Violation> {
        number::parse(self.bytes(range.clone())).ok_or_else(|| self.no_number(field, range))
    }

    fn no_number(&self, field: &'static str, range: Range<usize>) -> Violation {
        Violation::Number { field, value: Escaped::new(self.bytes(range)) }
    }

    fn text(&self, range: Range<usize>) -> &[u8] {
        until_nul(self.bytes(range))
    }

    fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.0.get(range).unwrap_or_default()
    }
}

/// Whether some reader takes a block for a header, by its checksum. GNU tar and busybox pass over blanks before the octal
/// digits (GNU tar over a NUL, too, busybox over a plus) and let a blank or a NUL end them.
///
/// Nothing more may pass for a number here: the sum of signed bytes is about zero for compressed data, and so one honest
/// layer in thousands would have it in a field that may hold anything else beside a digit, or no digit at all.
pub(crate) fn may_be_header(block: &Block) -> bool {
    // A vertical tab is a blank in C, not in Rust.
    let is_blank = |byte: u8| byte == 0 || byte == 0x0b || byte.is_ascii_whitespace();
    let header = Header(*block);
    let field = header.bytes(CHECKSUM);
    let number = field.split_at(field.iter().take_while(|&&byte| is_blank(byte)).count()).1;
    let number = number.strip_prefix(b"+").unwrap_or(number);
    let digits = number.split(|&byte| is_blank(byte)).next().unwrap_or_default();
    let is_octal = !digits.is_empty() && digits.iter().all(|byte| matches!(byte, b'0'..=b'7'));
    let stored = digits.iter().fold(0_i64, |value, digit| value << 3 | i64::from(digit.wrapping_sub(b'0')));
    is_octal && header.has_sum(stored, header.sum())
}

/// The bytes before the first NUL.
pub(crate) fn until_nul(bytes: &[u8]) -> &[u8] {
    CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes)
}

fn sum(bytes: &[u8]) -> u64 {
    // The sum of 256 bytes fits into 16 bits, and the compiler computes many such sums at once.
    bytes.chunks(256).map(|some| u64::from(some.iter().map(|&byte| u16::from(byte)).sum::<u16>())).sum()
}

/// The number of bytes from 128, which are negative as signed bytes.
fn upper_half(bytes: &[u8]) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte >> 7)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::BLOCK;
    use super::{CHECKSUM, may_be_header};

    /// Whether compressed data passes for a header with its sum written like this. The sum of its bytes, as signed ones and
    /// with eight blanks for the checksum, is octal 405.
    fn passes(field: &[u8]) -> bool {
        let mut block = [0; BLOCK];
        block[..6].copy_from_slice(b"\x1f\x8b\x08\x08\xff\xff");
        block[BLOCK - 1] = 77;
        block[CHECKSUM].copy_from_slice(field);
        may_be_header(&block)
    }

    #[test]
    fn the_checksum_of_a_compressed_layer_is_read_as_gnu_tar_and_busybox_read_it() {
        // Tried with GNU tar 1.34 and busybox 1.35. Only GNU tar takes those with a NUL before, only busybox that with a plus.
        let fields: [&[u8; 8]; 10] = [
            b"000405\0 ",
            b" 000405\0",
            b"\t000405 ",
            b"000405 x",
            b"000405\0x",
            b"00000405",
            b"\x00000405\0",
            b"\0 000405",
            b"+000405 ",
            b"    405 ",
        ];
        for field in fields {
            assert!(passes(field), "{}", field.escape_ascii());
        }
    }

    #[test]
    fn a_compressed_layer_whose_sum_stands_in_it_by_chance_is_no_header() {
        let fields: [&[u8; 8]; 8] =
            [b"x000405\0", b"000405x\0", b"0004059 ", b"9000405 ", b"x0000405", b"-000405 ", b"xx000405", b"x000405x"];
        for field in fields {
            assert!(!passes(field), "{}", field.escape_ascii());
        }
        // A sum of zero, which many compressed layers have: eight blanks are 256.
        let mut block = [0; BLOCK];
        block[..3].copy_from_slice(&[0x80, 0x80, 0]);
        for field in [b"        ", b"\0\0\0\0\0\0\0\0", b"xxxxxxxx", b"x0xxxxxx"] {
            block[CHECKSUM].copy_from_slice(field);
            assert!(!may_be_header(&block), "{}", field.escape_ascii());
        }
        block[CHECKSUM].copy_from_slice(b"0\0xxxxxx");
        assert!(may_be_header(&block), "zero, when it is written");
    }
}
