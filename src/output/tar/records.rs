//! PAX records.

use crate::words::Violation;

/// The longest record that libarchive reads.
const LONGEST_RECORD: usize = 999_999;
/// The longest PAX header that layercage reads by default, and GNU tar without a warning about its size.
const LONGEST_HEADER: usize = 1 << 20;

/// The records of one PAX header.
#[derive(Debug, Default)]
pub(super) struct Records(Vec<u8>);

impl Records {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds a record: its length, which counts itself, a key and a value.
    ///
    /// # Errors
    ///
    /// [`Violation::Unwritable`] for more than readers take.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), Violation> {
        let body = key.len() + value.len() + b" =\n".len();
        let length = length(body);
        if length > LONGEST_RECORD || self.0.len() + length > LONGEST_HEADER {
            return Err(too_large());
        }
        self.0.extend_from_slice(length.to_string().as_bytes());
        self.0.push(b' ');
        self.0.extend_from_slice(key);
        self.0.push(b'=');
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
        Ok(())
    }

    /// Adds a record with a number.
    pub(super) fn add_number(&mut self, key: &[u8], value: u64) -> Result<(), Violation> {
        self.add(key, value.to_string().as_bytes())
    }

    /// Adds all records of others.
    ///
    /// # Errors
    ///
    /// [`Violation::Unwritable`] for more than readers take.
    pub(super) fn append(&mut self, others: Self) -> Result<(), Violation> {
        if self.0.len() + others.0.len() > LONGEST_HEADER {
            return Err(too_large());
        }
        self.0.extend(others.0);
        Ok(())
    }

    /// Whether Python takes something in the records for the key of one about holes. It looks for such keys with a regular
    /// expression, in values too, in which a point is any byte.
    pub(super) fn mention_holes(&self) -> bool {
        let is_key = |bytes: &[u8]| matches!(bytes, [b'G', b'N', b'U', _, b's', b'p', b'a', b'r', b's', b'e', _]);
        self.0.windows(11).any(is_key)
    }
}

fn too_large() -> Violation {
    Violation::Unwritable { because: "its extended attributes are too large" }
}

/// The length of a record whose other parts have so many bytes.
fn length(body: usize) -> usize {
    let digits = |number: usize| number.to_string().len();
    let length = body + digits(body);
    // The digits of the length may make it longer by one more digit.
    body + digits(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_record_counts_its_own_digits() {
        for body in (1..2_000).chain(99_900..100_100) {
            let length = length(body);
            assert_eq!(length, body + length.to_string().len(), "{body}");
        }
        let mut records = Records::default();
        records.add(b"path", b"a").unwrap();
        records.add_number(b"uid", 7).unwrap();
        assert_eq!(records.as_bytes(), b"9 path=a\n8 uid=7\n");
    }

    #[test]
    fn more_than_readers_take_is_an_error() {
        let value = |bytes: usize| vec![b'v'; bytes];
        let front = "999999 k=".len() + 1;
        assert!(Records::default().add(b"k", &value(999_999 - front)).is_ok());
        assert!(Records::default().add(b"k", &value(1_000_000 - front)).is_err());
        let mut records = Records::default();
        records.add(b"k", &value(900_000)).unwrap();
        assert!(records.add(b"l", &value(200_000)).is_err());
    }
}
