//! Times.

use super::UnknownWord;
use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

const NANOSECONDS: u32 = 1_000_000_000;

const UNKNOWN: UnknownWord =
    UnknownWord::of_form("a time", "a number of seconds since 1970, with at most nine digits after a point");

impl Timestamp {
    /// A time by its whole seconds, rounded down, and the nanoseconds after that.
    ///
    /// # Errors
    ///
    /// `nanoseconds` is a whole second or more.
    pub fn new(seconds: i64, nanoseconds: u32) -> Result<Self, TimeOutOfRange> {
        if nanoseconds < NANOSECONDS { Ok(Self { seconds, nanoseconds }) } else { Err(TimeOutOfRange) }
    }

    /// A time by its seconds.
    pub const fn of_seconds(seconds: i64) -> Self {
        Self { seconds, nanoseconds: 0 }
    }

    /// A time by values that are known to be in range: more nanoseconds than a second has would be carried.
    pub(crate) fn known(seconds: i64, nanoseconds: u32) -> Self {
        let carry = i64::from(nanoseconds / NANOSECONDS);
        Self { seconds: seconds.saturating_add(carry), nanoseconds: nanoseconds % NANOSECONDS }
    }

    /// Whole seconds, rounded down; negative before 1970.
    pub const fn seconds(&self) -> i64 {
        self.seconds
    }

    /// Nanoseconds after that, below 1,000,000,000.
    pub const fn nanoseconds(&self) -> u32 {
        self.nanoseconds
    }
}

/// Fails for a time that a [`SystemTime`] cannot hold.
impl TryFrom<Timestamp> for SystemTime {
    type Error = TimeOutOfRange;

    fn try_from(time: Timestamp) -> Result<Self, TimeOutOfRange> {
        let whole = Duration::from_secs(time.seconds.unsigned_abs());
        let seconds = match time.seconds < 0 {
            true => UNIX_EPOCH.checked_sub(whole),
            false => UNIX_EPOCH.checked_add(whole),
        };
        let time = seconds.and_then(|seconds| seconds.checked_add(Duration::from_nanos(time.nanoseconds.into())));
        time.ok_or(TimeOutOfRange)
    }
}

/// Fails for a time that a [`Timestamp`] cannot hold.
impl TryFrom<SystemTime> for Timestamp {
    type Error = TimeOutOfRange;

    fn try_from(time: SystemTime) -> Result<Self, TimeOutOfRange> {
        let seconds = |duration: Duration| i64::try_from(duration.as_secs()).map_err(|_| TimeOutOfRange);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Ok(Self { seconds: seconds(after)?, nanoseconds: after.subsec_nanos() }),
            Err(before) => {
                let before = before.duration();
                match (-seconds(before)?, before.subsec_nanos()) {
                    (seconds, 0) => Ok(Self { seconds, nanoseconds: 0 }),
                    (seconds, nanoseconds) => {
                        Ok(Self { seconds: seconds - 1, nanoseconds: NANOSECONDS.saturating_sub(nanoseconds) })
                    }
                }
            }
        }
    }
}

/// A time that the other type cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time is out of range")]
pub struct TimeOutOfRange;

/// Seconds since the epoch with nine digits after the point: `-1.500000000` is half a second after `-2`.
impl Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { seconds, nanoseconds: 1.. } if seconds < 0 => {
                let (whole, rest) = ((seconds + 1).unsigned_abs(), NANOSECONDS.saturating_sub(self.nanoseconds));
                write!(f, "-{whole}.{rest:09}")
            }
            Self { seconds, nanoseconds } => write!(f, "{seconds}.{nanoseconds:09}"),
        }
    }
}

/// Seconds since the epoch, with at most nine digits after a point.
impl FromStr for Timestamp {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let (is_negative, digits) = whole.strip_prefix('-').map_or((false, whole), |digits| (true, digits));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(digits) || !are_digits(fraction) || fraction.len() > 9 {
            return Err(UNKNOWN);
        }
        let seconds: i64 = whole.parse().map_err(|_| UNKNOWN)?;
        match format!("{fraction:0<9}").parse().map_err(|_| UNKNOWN)? {
            nanoseconds @ 1.. if is_negative => {
                let seconds = seconds.checked_sub(1).ok_or(UNKNOWN)?;
                Ok(Self { seconds, nanoseconds: NANOSECONDS.saturating_sub(nanoseconds) })
            }
            nanoseconds => Ok(Self { seconds, nanoseconds }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_it_is_written() {
        let times = [(0, 0), (7, 1), (-1, 500_000_000), (-2, 999_999_999), (i64::MIN, 1), (i64::MAX, 999_999_999)];
        for (seconds, nanoseconds) in times {
            let time = Timestamp { seconds, nanoseconds };
            assert_eq!(time.to_string().parse(), Ok(time), "{time}");
        }
        for (text, seconds, nanoseconds) in [("12", 12, 0), ("-1.5", -2, 500_000_000), ("0.25", 0, 250_000_000)] {
            assert_eq!(text.parse(), Ok(Timestamp { seconds, nanoseconds }), "{text}");
        }
        for text in ["", "-", "x", "1.", ".5", "+1", "1e3", "1.0000000000", "1.-5", "9223372036854775808"] {
            assert_eq!(text.parse::<Timestamp>(), Err(UNKNOWN), "{text}");
        }
    }

    #[test]
    fn no_time_has_a_whole_second_of_nanoseconds() {
        let time = Timestamp::new(-1, 999_999_999).unwrap();
        assert_eq!((time.seconds(), time.nanoseconds()), (-1, 999_999_999));
        for nanoseconds in [1_000_000_000, 1_000_000_001, u32::MAX] {
            assert_eq!(Timestamp::new(0, nanoseconds), Err(TimeOutOfRange), "{nanoseconds}");
        }
        assert_eq!(Timestamp::of_seconds(-7), Timestamp::new(-7, 0).unwrap());
    }

    #[test]
    fn a_time_of_the_system_comes_back() {
        for (seconds, nanoseconds) in [(0, 0), (7, 1), (-1, 500_000_000), (-2, 999_999_999), (-3, 0), (1 << 40, 5)] {
            let time = Timestamp { seconds, nanoseconds };
            assert_eq!(SystemTime::try_from(time).and_then(Timestamp::try_from), Ok(time), "{time}");
        }
        let half = UNIX_EPOCH - Duration::from_millis(500);
        assert_eq!(Timestamp::try_from(half).unwrap().to_string(), "-0.500000000");
    }
}
