//! The blocks of one entry that we took, taken apart once more, as simply as can be.

/// What an entry is made of, as far as exceptions ask.
#[derive(Default)]
pub(crate) struct Anatomy<'a> {
    /// The keys and values of its PAX records, global ones included, in order.
    pub(crate) records: Vec<(&'a [u8], &'a [u8])>,
    /// Its headers, its own one the last.
    headers: Vec<&'a [u8]>,
}

impl<'a> Anatomy<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        let mut anatomy = Self::default();
        let mut rest = bytes;
        while let Some((header, behind)) = rest.split_at_checked(512) {
            anatomy.headers.push(header);
            let extended = matches!(header[156], b'x' | b'g' | b'L' | b'K');
            let Some(size) = number(&header[124..136]).filter(|size| extended && *size <= behind.len()) else {
                break;
            };
            if matches!(header[156], b'x' | b'g') {
                anatomy.add_records(&behind[..size]);
            }
            rest = behind.get(size.next_multiple_of(512)..).unwrap_or_default();
        }
        anatomy
    }

    pub(crate) fn flag(&self) -> Option<u8> {
        self.header().get(156).copied()
    }

    /// Magic and version.
    pub(crate) fn magic(&self) -> &'a [u8] {
        self.header().get(257..265).unwrap_or_default()
    }

    /// The field for the name, up to its end.
    pub(crate) fn name_field(&self) -> &'a [u8] {
        self.header().get(..100).unwrap_or_default().split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// Whether the field for a link's target is empty.
    pub(crate) fn has_no_target(&self) -> bool {
        self.header().get(157).is_none_or(|&byte| byte == 0)
    }

    /// The fields for numbers that we do not read: those of a device on something else, and in extended headers all but
    /// the size.
    pub(crate) fn unread_numbers(&self) -> Vec<&'a [u8]> {
        let Some((own, extended)) = self.headers.split_last() else { return Vec::new() };
        let unread = extended.iter().flat_map(|header| [&header[100..124], &header[136..148], &header[329..345]]);
        unread.chain([&own[329..345]]).collect()
    }

    /// Whether an extended header has magic and version that are not usual.
    pub(crate) fn has_odd_extended(&self) -> bool {
        let extended = self.headers.split_last().map(|(_, extended)| extended).unwrap_or_default();
        extended.iter().any(|header| !matches!(&header[257..265], b"ustar  \0" | b"ustar\x0000"))
    }

    fn header(&self) -> &'a [u8] {
        self.headers.last().copied().unwrap_or_default()
    }

    /// Where a key stands among the records.
    pub(crate) fn position(&self, key: &[u8]) -> Option<usize> {
        self.records.iter().position(|(known, _)| *known == key)
    }

    pub(crate) fn is_pax_sparse(&self) -> bool {
        self.records.iter().any(|(key, _)| key.starts_with(b"GNU.sparse."))
    }

    fn add_records(&mut self, content: &'a [u8]) {
        let mut rest = content;
        while let Some(blank) = rest.iter().position(|&byte| byte == b' ') {
            let length = std::str::from_utf8(&rest[..blank]).ok().and_then(|digits| digits.parse().ok());
            let Some((record, behind)) = length.and_then(|length: usize| rest.split_at_checked(length)) else { break };
            let body = &record[blank + 1..];
            let Some(equals) = body.iter().position(|&byte| byte == b'=') else { break };
            self.records.push((&body[..equals], &body[equals + 1..body.len() - 1]));
            rest = behind;
        }
    }
}

/// A number that we took: octal, or in base 256.
fn number(field: &[u8]) -> Option<usize> {
    if field[0] == 0x80 {
        return field[1..].iter().try_fold(0_usize, |value, &byte| value.checked_mul(256)?.checked_add(byte.into()));
    }
    let digits = field.iter().filter(|byte| byte.is_ascii_digit());
    digits.into_iter().try_fold(0_usize, |value, digit| value.checked_mul(8)?.checked_add((digit - b'0').into()))
}
