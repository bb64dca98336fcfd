//! Tests which times the file system of a tree can store, by reading them back.
//!
//! A time that a file system cannot store is never an error. The kernel moves it into the range of the file system:
//! 1901 to 2038 on ext4 with inodes of 128 bytes, and until 2446 with larger inodes. It also rounds the time down to
//! the resolution of the file system: one second on ext4 with small inodes, two on vfat. This is not tested for each
//! file: a stored time shows that nearer times, and times that are as coarse, can be stored, too.

use super::failed::Failed;
use super::sys::{self, HandleKind};
use crate::tree::ClampedTime;
use crate::words::{Error, Timestamp};
use std::os::fd::BorrowedFd;

/// The times that a file system can store, as far as tested.
#[derive(Debug)]
pub(super) struct Times {
    /// All seconds from this one to `latest` can be stored.
    earliest: i64,
    latest: i64,
    /// The finest resolution that can be stored, as [`step`] counts it.
    finest: u8,
}

impl Times {
    /// The times that all file systems of Linux can store. The smallest ranges are those of FAT, which begins in 1980
    /// in local time, and of signed 32-bit seconds, which end in January 2038.
    pub(super) fn of_any() -> Self {
        const JANUARY_3_1980: i64 = 315_705_600;
        Self { earliest: JANUARY_3_1980, latest: i32::MAX.into(), finest: u8::MAX }
    }

    /// Does nothing if the file system is known to store this time. Otherwise sets the time of a handle, reads it back,
    /// and returns a difference.
    pub(super) fn test(
        &mut self,
        handle: BorrowedFd<'_>,
        time: Timestamp,
        kind: HandleKind,
    ) -> Result<Option<ClampedTime>, Error> {
        if self.are_known_to_hold(time) {
            return Ok(None);
        }
        let failed = |failed: Failed| failed.at(time.to_string().as_bytes());
        sys::set_mtime(handle, time, kind).map_err(failed)?;
        let kept = sys::status(handle).map_err(failed)?.mtime;
        if kept != time {
            return Ok(Some(ClampedTime { asked: time, kept }));
        }
        self.hold(time);
        Ok(None)
    }

    fn are_known_to_hold(&self, time: Timestamp) -> bool {
        // The kernel clears the nanoseconds of the first and of the last second of the range.
        let is_within = match time.nanoseconds() {
            0 => self.earliest <= time.seconds() && time.seconds() <= self.latest,
            _ => self.earliest < time.seconds() && time.seconds() < self.latest,
        };
        is_within && self.finest <= step(time)
    }

    fn hold(&mut self, time: Timestamp) {
        self.earliest = self.earliest.min(time.seconds());
        self.latest = self.latest.max(time.seconds());
        self.finest = self.finest.min(step(time));
    }
}

/// The resolution of a time: the largest power of ten of nanoseconds that divides it, as an exponent, and 10 for two
/// seconds.
///
/// All Linux file systems except FAT have a resolution of a power of ten of nanoseconds.
fn step(time: Timestamp) -> u8 {
    match time.nanoseconds() {
        0 if time.seconds() % 2 == 0 => 10,
        0 => 9,
        nanoseconds => {
            let mut rest = nanoseconds;
            let mut step = 0;
            while rest.is_multiple_of(10) {
                (rest, step) = (rest / 10, step + 1);
            }
            step
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp::known(seconds, nanoseconds)
    }

    /// The time that a file system stores, as in the kernel's `timestamp_truncate`.
    fn kept(time: Timestamp, range: (i64, i64), granularity: u64) -> Timestamp {
        let seconds = time.seconds().clamp(range.0, range.1);
        if seconds == range.0 || seconds == range.1 {
            return at(seconds, 0);
        }
        match granularity {
            2_000_000_000 => at(seconds.div_euclid(2) * 2, 0),
            granularity => at(seconds, time.nanoseconds() - time.nanoseconds() % granularity as u32),
        }
    }

    #[test]
    fn what_is_taken_for_held_is_held_by_every_kind_of_file_system() {
        let (i32_min, i32_max) = (i64::from(i32::MIN), i64::from(i32::MAX));
        let file_systems = [
            ("ext4", (i32_min, (1 << 34) - 1 + i32_min), 1),
            ("ext3", (i32_min, i32_max), 1_000_000_000),
            ("xfs without bigtime", (i32_min, i32_max), 1),
            ("ntfs", (-11_644_473_600, 1_833_029_933_770), 100),
            ("udf", (-62_135_596_800, 253_402_300_799), 1_000),
            ("exfat", (315_532_800, 4_354_819_199), 10_000_000),
            ("vfat", (315_619_200, 4_354_732_799), 2_000_000_000),
            ("tmpfs", (i64::MIN, i64::MAX), 1),
        ];
        let seconds = [
            0,
            1,
            -1,
            7,
            315_532_800,
            400_000_000,
            1_700_000_001,
            i32_max - 1,
            i32_max,
            i32_max + 1,
            i32_min,
            i32_min - 1,
            4_354_819_199,
            4_354_819_200,
            15_032_385_535,
            15_032_385_536,
            i64::MIN,
            i64::MAX,
        ];
        let nanoseconds = [0, 1, 999_999_999, 100, 123_456_700, 10_000_000, 500_000_000, 1_000];
        let all: Vec<_> = seconds.iter().flat_map(|&s| nanoseconds.iter().map(move |&n| at(s, n))).collect();
        for (name, range, granularity) in file_systems {
            // In several orders, since what is known depends on what came before.
            for stride in [1, 5, 7, 11, 13] {
                let mut times = Times::of_any();
                for index in 0..2 * all.len() {
                    let time = all[index * stride % all.len()];
                    let kept = kept(time, range, granularity);
                    match times.are_known_to_hold(time) {
                        true => assert_eq!(kept, time, "{name}: {time} was taken for held, stride {stride}"),
                        false if kept == time => times.hold(time),
                        false => (),
                    }
                }
            }
        }
    }

    #[test]
    fn usual_times_are_asked_for_once() {
        let mut times = Times::of_any();
        assert!(!times.are_known_to_hold(at(1_700_000_000, 123_456_789)));
        times.hold(at(1_700_000_000, 123_456_789));
        for time in [at(1_700_000_000, 1), at(1_234_567_891, 0), at(2_000_000_000, 999_999_999)] {
            assert!(times.are_known_to_hold(time), "{time}");
        }
        assert!(!times.are_known_to_hold(at(0, 0)));
        times.hold(at(0, 0));
        assert!(times.are_known_to_hold(at(0, 0)) && times.are_known_to_hold(at(5, 5)));
        assert!(!times.are_known_to_hold(at(-1, 0)));
    }
}
