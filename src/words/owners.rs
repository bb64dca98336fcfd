//! The owners of files: the choice, and maps of ids.

use super::words;
use std::fmt::{self, Display};
use std::str::FromStr;

/// How the owners of files are handled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Owners {
    /// The numeric ids of the layer, if the caller may change owners and still write to the files (`CAP_CHOWN`,
    /// `CAP_DAC_OVERRIDE`, `CAP_FOWNER`). Otherwise the caller owns all files, with one note.
    ///
    /// If the caller's user namespace does not map a user id or group id, the caller's id is used, with one note. Such
    /// a file keeps no setuid or setgid bits.
    #[default]
    Auto,
    /// The numeric ids of the layer. An id that cannot be set is an error.
    Keep,
    /// The caller owns all files, also with privileges.
    Caller,
    /// The ids of the layer are mapped to other ids. An id that cannot be set is an error.
    ///
    /// Ids in POSIX ACLs are mapped too. A file capability gets revision 3, which is valid only in one user namespace:
    /// its root is the mapped root id of the capability, or the mapped id 0 if the capability states none. On the host,
    /// it has no effect.
    Map(OwnerMap),
    /// The caller owns all files. The extended attribute `user.containers.override_stat` stores the owner and mode of the
    /// layer, as containers/storage writes it and fuse-overlayfs reads it.
    ///
    /// Files and directories get modes that are safe for the caller. Named pipes, and devices if the policy creates
    /// them, become empty regular files, and the attribute has their type. A symbolic link cannot have the attribute:
    /// it is owned by the caller, with one note.
    Record,
}

words! {
    "a choice of owners":
    /// The choices of [`Owners`], without the map.
    #[derive(Default)]
    #[non_exhaustive]
    enum OwnersKind {
        /// [`Owners::Auto`].
        #[default]
        Auto "auto",
        /// [`Owners::Keep`].
        Keep "keep",
        /// [`Owners::Caller`].
        Caller "caller",
        /// [`Owners::Map`].
        Map "map",
        /// [`Owners::Record`].
        Record "record",
    }
}

impl Owners {
    /// The choice without the map.
    pub fn kind(&self) -> OwnersKind {
        match self {
            Self::Auto => OwnersKind::Auto,
            Self::Keep => OwnersKind::Keep,
            Self::Caller => OwnersKind::Caller,
            Self::Map(_) => OwnersKind::Map,
            Self::Record => OwnersKind::Record,
        }
    }

    /// The word for the choice: `auto`, `keep`, `caller`, `map` or `record`. Its [`Display`] writes the same.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Creates a choice. [`OwnersKind::Map`] needs a map. Returns `None` if the map is missing, or if another choice is
    /// given a map.
    pub fn new(kind: OwnersKind, map: Option<OwnerMap>) -> Option<Self> {
        match (kind, map) {
            (OwnersKind::Map, Some(map)) => Some(Self::Map(map)),
            (OwnersKind::Map, None) | (_, Some(_)) => None,
            (OwnersKind::Auto, None) => Some(Self::Auto),
            (OwnersKind::Keep, None) => Some(Self::Keep),
            (OwnersKind::Caller, None) => Some(Self::Caller),
            (OwnersKind::Record, None) => Some(Self::Record),
        }
    }
}

/// The word for the choice, as [`OwnersKind`] reads it. The ranges of a map are not in it, so there is no `FromStr`:
/// [`OwnerMap`] has the ranges, and the JSON form of a policy keeps them.
///
/// ```
/// # use layercage::policy::{Owners, OwnersKind};
/// assert_eq!(Owners::Record.to_string(), "record");
/// assert_eq!(Owners::new("record".parse()?, None), Some(Owners::Record));
/// # Ok::<(), layercage::error::UnknownWord>(())
/// ```
impl Display for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The maps from ids of a layer to ids of the machine: one for users, one for groups.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OwnerMap {
    /// For users.
    pub uids: IdMap,
    /// For groups.
    pub gids: IdMap,
}

/// Ranges of ids, as in `/proc/self/uid_map` (user_namespaces(7)).
///
/// ```
/// # use layercage::policy::IdMap;
/// let map = IdMap::new(["0:100000:1000".parse()?, "5000:200000:1".parse()?])?;
/// assert_eq!([map.outside(0), map.outside(999), map.outside(1000)], [Some(100_000), Some(100_999), None]);
/// # Ok::<(), layercage::policy::BadIdMap>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdMap(Box<[IdRange]>);

/// Consecutive ids, inside of a container and outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdRange {
    /// The first id of the layer.
    pub inside: u32,
    /// The id that it is mapped to.
    pub outside: u32,
    /// The number of ids.
    pub count: u32,
}

/// The reason why ranges are not a valid map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadIdMap {
    /// A range is not three decimal numbers with colons between them.
    #[error("not a range of ids: expected INSIDE:OUTSIDE:COUNT, three decimal numbers")]
    Malformed,
    /// A range is empty, or has an id above 2³²-2.
    #[error("{0} is empty, or has an id above 4294967294")]
    OutOfRange(IdRange),
    /// Two ranges have an id in common, on one side or the other.
    #[error("{0} and {1} overlap")]
    Overlap(IdRange, IdRange),
}

impl IdMap {
    /// Creates a map of these ranges, in any order.
    ///
    /// # Errors
    ///
    /// [`BadIdMap`] if the kernel would refuse the map, too.
    pub fn new(ranges: impl IntoIterator<Item = IdRange>) -> Result<Self, BadIdMap> {
        let mut ranges: Vec<_> = ranges.into_iter().collect();
        if let Some(&range) = ranges.iter().find(|range| !range.is_valid()) {
            return Err(BadIdMap::OutOfRange(range));
        }
        for side in [|range: &IdRange| range.outside, |range: &IdRange| range.inside] {
            ranges.sort_unstable_by_key(side);
            let overlap = ranges.iter().zip(ranges.iter().skip(1)).find(|(a, b)| side(b) - side(a) < a.count);
            if let Some((&a, &b)) = overlap {
                return Err(BadIdMap::Overlap(a, b));
            }
        }
        Ok(Self(ranges.into()))
    }

    /// Parses a map as the kernel writes it (`/proc/PID/uid_map` and `gid_map`): one range a line, three numbers. The user
    /// namespace of the process has the ids inside, and the reader has the ids outside.
    ///
    /// # Errors
    ///
    /// [`BadIdMap`]; a map without ranges maps nothing.
    pub fn parse_proc(text: &str) -> Result<Self, BadIdMap> {
        let range = |line: &str| line.split_ascii_whitespace().collect::<Vec<_>>().join(":").parse();
        Self::new(text.lines().map(range).collect::<Result<Vec<_>, _>>()?)
    }

    /// Maps ids from `first` on to the subordinate ids of a user, one range after another, as subuid(5) and subgid(5) list
    /// them: lines `USER:FIRST:COUNT`. USER is a name, or a user id in decimal digits. Other lines are ignored.
    ///
    /// # Errors
    ///
    /// [`BadIdMap`], if a line of this user is malformed or ranges overlap.
    pub fn parse_subordinate(text: &str, users: &[&str], first: u32) -> Result<Self, BadIdMap> {
        let mut ranges = Vec::new();
        let mut inside = first;
        for line in text.lines() {
            let Some((_, range)) = line.split_once(':').filter(|(user, _)| users.contains(user)) else { continue };
            let range: IdRange = format!("{inside}:{range}").parse()?;
            inside = inside.checked_add(range.count).ok_or(BadIdMap::OutOfRange(range))?;
            ranges.push(range);
        }
        Self::new(ranges)
    }

    /// The number of ids that are mapped.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| u64::from(range.count)).sum()
    }

    /// The id that an id of the layer is mapped to; `None` if no range has it.
    pub fn outside(&self, id: u32) -> Option<u32> {
        let after = self.0.partition_point(|range| range.inside <= id);
        let range = self.0.get(after.checked_sub(1)?)?;
        let offset = id.checked_sub(range.inside)?;
        (offset < range.count).then(|| range.outside.checked_add(offset)).flatten()
    }

    /// The ranges, by the ids of the layer.
    pub fn ranges(&self) -> &[IdRange] {
        &self.0
    }
}

impl IdRange {
    fn is_valid(&self) -> bool {
        let fits = |first: u32| u64::from(first) + u64::from(self.count) <= u64::from(u32::MAX);
        self.count > 0 && fits(self.inside) && fits(self.outside)
    }
}

impl Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.inside, self.outside, self.count)
    }
}

impl FromStr for IdRange {
    type Err = BadIdMap;

    fn from_str(text: &str) -> Result<Self, BadIdMap> {
        let number = |part: &str| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| digits).ok_or(BadIdMap::Malformed)
        };
        match *text.split(':').collect::<Vec<_>>() {
            [inside, outside, count] => {
                Ok(Self { inside: number(inside)?, outside: number(outside)?, count: number(count)? })
            }
            _ => Err(BadIdMap::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ranges: &[&str]) -> Result<IdMap, BadIdMap> {
        IdMap::new(ranges.iter().map(|range| range.parse().unwrap()))
    }

    #[test]
    fn maps_of_the_kernel_and_of_subordinate_ids_are_read() {
        let proc = IdMap::parse_proc("         0       1000          1\n         1     100000      65536\n").unwrap();
        assert_eq!([proc.outside(0), proc.outside(65_536), proc.outside(65_537)], [Some(1000), Some(165_535), None]);
        assert_eq!((proc.count(), IdMap::parse_proc("").unwrap().count()), (65_537, 0));
        assert_eq!(IdMap::parse_proc("0 0"), Err(BadIdMap::Malformed));
        assert_eq!(IdMap::parse_proc("0 0 1 2"), Err(BadIdMap::Malformed));

        let text = "root:100000:65536\nann:300000:10\n\n# no line\n1000:400000:5\nann:500000:7\nannabel:1:1\n";
        let ann = IdMap::parse_subordinate(text, &["ann", "1000"], 1).unwrap();
        let ranges: Vec<_> = ann.ranges().iter().map(ToString::to_string).collect();
        assert_eq!(ranges, ["1:300000:10", "11:400000:5", "16:500000:7"]);
        assert_eq!(IdMap::parse_subordinate(text, &["nobody"], 0).unwrap().count(), 0);
        assert_eq!(IdMap::parse_subordinate("a:5\n", &["a"], 0), Err(BadIdMap::Malformed));
        assert!(IdMap::parse_subordinate("a:5:2\na:6:2\n", &["a"], 0).is_err());
        assert!(IdMap::parse_subordinate("a:5:4294967295\n", &["a"], 1).is_err());
    }

    #[test]
    fn an_id_is_mapped_by_the_range_that_has_it_or_not_at_all() {
        let map = map(&["1000:0:1", "0:100000:1000", "65534:4294967294:1"]).unwrap();
        let pairs =
            [(0, Some(100_000)), (999, Some(100_999)), (1000, Some(0)), (1001, None), (65_534, Some(u32::MAX - 1))];
        for (inside, outside) in pairs {
            assert_eq!(map.outside(inside), outside, "{inside}");
        }
        assert_eq!(map.outside(u32::MAX - 1), None);
        assert_eq!(IdMap::new([]).unwrap().outside(0), None);
    }

    #[test]
    fn every_choice_of_owners_without_a_map_comes_back_from_its_text() {
        let ids = map(&["0:100000:1000"]).unwrap();
        for &kind in OwnersKind::ALL {
            let map = (kind == OwnersKind::Map).then(|| OwnerMap { uids: ids.clone(), gids: ids.clone() });
            let owners = Owners::new(kind, map.clone()).unwrap();
            assert_eq!(owners.to_string().parse(), Ok(kind));
            assert_eq!(Owners::new(owners.to_string().parse().unwrap(), map), Some(owners));
        }
    }

    #[test]
    fn a_map_is_one_that_the_kernel_would_take() {
        for ranges in [&["0:0:0"][..], &["0:0:4294967296"], &["1:0:4294967295"], &["0:4294967295:1"]] {
            let parsed: Result<Vec<IdRange>, _> = ranges.iter().map(|range| range.parse()).collect();
            assert!(parsed.and_then(IdMap::new).is_err(), "{ranges:?}");
        }
        assert!(map(&["0:0:4294967295"]).is_ok());
        assert!(map(&["0:10:5", "5:0:10"]).is_ok());
        for ranges in [["0:10:5", "4:100:1"], ["0:10:5", "100:14:1"], ["0:10:5", "0:100:5"]] {
            assert!(matches!(map(&ranges), Err(BadIdMap::Overlap(..))), "{ranges:?}");
        }
        for text in ["", "0", "0:0", "0:0:1:1", "a:0:1", "+1:0:1", "-1:0:1", " 0:0:1"] {
            assert_eq!(text.parse::<IdRange>(), Err(BadIdMap::Malformed), "{text:?}");
        }
    }
}
