//! Names from an archive. They are checked once, when they are parsed.

use super::{Escaped, Limit, Limits, Violation};
use std::cmp::Ordering;
#[cfg(unix)]
use std::ffi::OsStr;
use std::fmt::{self, Display};
#[cfg(unix)]
use std::os::unix::ffi::OsStrExt;
#[cfg(unix)]
use std::path::Path;

/// The prefix of the last component of a whiteout.
pub(crate) const WHITEOUT: &[u8] = b".wh.";

/// One component of a name: 1 to 255 bytes, no `/`, no NUL, neither `.` nor `..`.
///
/// In the name of an [`Entry`](crate::tar::Entry) the last component of a whiteout (`.wh.NAME`) may have up to 259 bytes: there
/// the limit is that of `NAME`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Component<'a>(&'a [u8]);

impl<'a> Component<'a> {
    /// The longest component that Linux file systems take (`NAME_MAX`).
    pub const LONGEST: usize = 255;

    /// Checks one component, the text between two slashes.
    ///
    /// # Errors
    ///
    /// [`Violation::NameClimbs`], [`Violation::NameNul`], [`Violation::ComponentTooLong`];
    /// [`Violation::NameEmpty`] for an empty component, `.` and a slash.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Violation> {
        match bytes {
            b".." => Err(Violation::NameClimbs),
            b"" | b"." => Err(Violation::NameEmpty),
            _ if bytes.contains(&0) => Err(Violation::NameNul),
            _ if bytes.contains(&b'/') => Err(Violation::NameEmpty),
            _ if bytes.len() > Self::LONGEST => Err(Violation::ComponentTooLong { bytes: bytes.len() }),
            _ => Ok(Self(bytes)),
        }
    }

    /// The bytes, which need not be UTF-8.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// The directory in which AUFS keeps the files that have several names, in the root of a layer.
pub(super) const PSEUDO_LINKS: &[u8] = b".wh..wh.plnk";

/// A name in a layer: an entry's path or a hard link's target, as components from the image's root.
///
/// Split at `/`; empty and `.` components and a leading `/` vanish, so that `./etc//passwd`, `/etc/passwd`
/// and `etc/passwd` are the same name. The empty path is the root itself.
///
/// ```
/// # use layercage::Limits;
/// # use layercage::tar::EntryPath;
/// let path = EntryPath::parse(b"./etc//passwd", &Limits::default())?;
/// assert_eq!(path.as_bytes(), b"etc/passwd");
/// assert!(EntryPath::parse(b"etc/../passwd", &Limits::default()).is_err());
/// # Ok::<(), layercage::rules::Violation>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct EntryPath(Vec<u8>);

impl EntryPath {
    /// Reads a name from an archive.
    ///
    /// # Errors
    ///
    /// [`Violation::NameClimbs`] for a `..` component, [`Violation::NameNul`],
    /// [`Violation::ComponentTooLong`], and [`Violation::LimitExceeded`] for [`Limit::PathBytes`] (of the
    /// name as it is written) and [`Limit::PathDepth`].
    pub fn parse(name: &[u8], limits: &Limits) -> Result<Self, Violation> {
        Self::of_components(name, limits, |part, _| Component::parse(part))
    }

    /// A path of components that were parsed before, joined by slashes.
    #[cfg(feature = "unpack")]
    pub(crate) fn of_components_joined(path: Vec<u8>) -> Self {
        Self(path)
    }

    /// Reads the name of an entry. Unlike [`EntryPath::parse`], it accepts a whiteout if its last component is too long
    /// only because of `.wh.`: no file of that name is created, and the name that it removes is short enough. Docker
    /// and buildah write these.
    ///
    /// # Errors
    ///
    /// Those of [`EntryPath::parse`].
    pub(crate) fn of_entry(name: &[u8], limits: &Limits) -> Result<Self, Violation> {
        Self::of_components(name, limits, |part, is_last| match part.strip_prefix(WHITEOUT) {
            // `.wh..wh.` is AUFS bookkeeping, which names files that AUFS had.
            Some(removed) if is_last && !removed.starts_with(WHITEOUT) && part.len() > Component::LONGEST => {
                Component::parse(removed).map(|_| Component(part))
            }
            _ => Component::parse(part),
        })
    }

    /// Reads the target of a hard link. The error shows the target, because the message begins with the name of the
    /// entry, and that name is not the cause.
    ///
    /// # Errors
    ///
    /// [`Violation::HardLinkTarget`], and [`Violation::LimitExceeded`] like [`EntryPath::parse`].
    pub(crate) fn of_target(target: &[u8], limits: &Limits) -> Result<Self, Violation> {
        Self::parse(target, limits).map_err(|violation| {
            let because = match violation {
                Violation::NameClimbs => "it has a `..` component",
                Violation::NameNul => "it contains a NUL byte",
                Violation::ComponentTooLong { .. } => "a component is longer than 255 bytes",
                other => return other,
            };
            Violation::HardLinkTarget { target: Escaped::new(target), because }
        })
    }

    fn of_components<'a>(
        name: &'a [u8],
        limits: &Limits,
        component: impl Fn(&'a [u8], bool) -> Result<Component<'a>, Violation>,
    ) -> Result<Self, Violation> {
        limits.check(Limit::PathBytes, name.len() as u64)?;
        let has_nul = name.contains(&0);
        if !has_nul && is_plain(name) {
            limits.check(Limit::PathDepth, 1 + slashes(name))?;
            return Ok(Self(name.to_vec()));
        }
        let mut path = Vec::with_capacity(name.len());
        let mut depth = 0;
        let mut parts = name.split(|&byte| byte == b'/').filter(|part| !matches!(part, [] | [b'.'])).peekable();
        while let Some(part) = parts.next() {
            let component = component(part, parts.peek().is_none())?;
            if depth > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(component.as_bytes());
            depth += 1;
        }
        limits.check(Limit::PathDepth, depth)?;
        Ok(Self(path))
    }

    /// The components joined by single slashes; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path relative to the root; `.` for the root itself. Resolve it only with a confined resolver such as
    /// openat2: the links of the image may point anywhere.
    #[cfg(unix)]
    pub fn as_path(&self) -> &Path {
        let bytes: &[u8] = if self.is_root() { b"." } else { &self.0 };
        Path::new(OsStr::from_bytes(bytes))
    }

    /// Whether this is the root of the image.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components from the root on; none for the root.
    pub fn components(&self) -> impl Iterator<Item = Component<'_>> {
        self.0.split(|&byte| byte == b'/').filter(|part| !part.is_empty()).map(Component)
    }

    /// The path of the parent (joined by slashes, empty for the root) and the last component; `None` for the root.
    pub fn split_last(&self) -> Option<(&[u8], Component<'_>)> {
        if self.is_root() {
            return None;
        }
        match self.0.iter().rposition(|&byte| byte == b'/') {
            None => Some((b"", Component(&self.0))),
            Some(slash) => Some((self.0.get(..slash)?, Component(self.0.get(slash + 1..)?))),
        }
    }

    /// The path of the parent; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        self.split_last().map(|(parent, _)| Self(parent.to_vec()))
    }

    /// The path of `name` in this directory.
    #[must_use]
    pub fn child(&self, name: Component<'_>) -> Self {
        let mut path = Vec::with_capacity(self.0.len() + 1 + name.as_bytes().len());
        path.extend_from_slice(&self.0);
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        Self(path)
    }

    /// The name of the AUFS pseudo-link that this is the path of: `NAME` of `.wh..wh.plnk/NAME`.
    ///
    /// A regular file there is [`ChangeKind::PseudoLink`](super::ChangeKind::PseudoLink). Hard links of the same layer
    /// name it as their target.
    ///
    /// ```
    /// # use layercage::Limits;
    /// # use layercage::tar::EntryPath;
    /// let target = EntryPath::parse(b"/.wh..wh.plnk/523.710", &Limits::default())?;
    /// assert_eq!(target.pseudo_link().map(|name| name.as_bytes()), Some(&b"523.710"[..]));
    /// # Ok::<(), layercage::rules::Violation>(())
    /// ```
    pub fn pseudo_link(&self) -> Option<Component<'_>> {
        self.split_last().filter(|(parent, _)| *parent == PSEUDO_LINKS).map(|(_, name)| name)
    }
}

/// Whether a name without NUL is a path as it stands: what most are, seen at one look.
fn is_plain(name: &[u8]) -> bool {
    let ends_well = !matches!(name, [] | [b'/' | b'.', ..] | [.., b'/']);
    // All of it is looked at, many bytes at once.
    let follows = |odd, (&one, &next)| odd | ((one == b'/') & ((next == b'/') | (next == b'.')));
    ends_well && name.len() <= Component::LONGEST && !name.iter().zip(name.iter().skip(1)).fold(false, follows)
}

fn slashes(name: &[u8]) -> u64 {
    name.iter().map(|&byte| u64::from(byte == b'/')).sum()
}

/// Paths are in the order of their components: a directory comes right before what lies in it.
impl Ord for EntryPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.components().cmp(other.components())
    }
}

impl PartialOrd for EntryPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl AsRef<[u8]> for EntryPath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Component<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl AsRef<[u8]> for LinkTarget {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped::new(if self.is_root() { b"." } else { &self.0 }).fmt(f)
    }
}

/// The target of a symbolic link: 1 to 4095 bytes without NUL. They are stored unchanged, and interpreted only when a
/// later name leads through the link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkTarget(Box<[u8]>);

impl LinkTarget {
    /// The longest target that Linux takes (`PATH_MAX` less the NUL).
    pub const LONGEST: usize = 4095;

    /// Checks a target.
    ///
    /// # Errors
    ///
    /// [`Violation::LinkTargetEmpty`], [`Violation::LinkTargetTooLong`], [`Violation::LinkTargetNul`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        match bytes {
            [] => Err(Violation::LinkTargetEmpty),
            _ if bytes.len() > Self::LONGEST => Err(Violation::LinkTargetTooLong { bytes: bytes.len() }),
            _ if bytes.contains(&0) => Err(Violation::LinkTargetNul),
            _ => Ok(Self(bytes.into())),
        }
    }

    /// The bytes, verbatim.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &[u8]) -> Result<EntryPath, Violation> {
        EntryPath::parse(name, &Limits::default())
    }

    #[test]
    fn spellings_of_one_name_are_one_path() {
        for name in [&b"a/b"[..], b"/a/b", b"./a/b/", b"a//./b", b"//a/b/."] {
            assert_eq!(parse(name).unwrap().as_bytes(), b"a/b", "{}", Escaped::new(name));
        }
        for name in [&b""[..], b".", b"./", b"/", b"//."] {
            assert!(parse(name).unwrap().is_root());
        }
    }

    #[test]
    fn names_that_climb_or_do_not_fit_are_refused() {
        for name in [&b".."[..], b"a/..", b"../a", b"a/../b"] {
            assert_eq!(parse(name), Err(Violation::NameClimbs));
        }
        assert_eq!(parse(b"a\0b"), Err(Violation::NameNul));
        assert_eq!(parse(&[b'a'; 256]), Err(Violation::ComponentTooLong { bytes: 256 }));
        assert!(parse(&[b'a'; 255]).is_ok());
        assert!(parse(&b"a/".repeat(2048)).is_ok());
        assert!(matches!(parse(&b"a".repeat(4097)), Err(Violation::LimitExceeded { limit: Limit::PathBytes, .. })));
        let shallow = Limits::default().with(Limit::PathDepth, 2);
        assert!(EntryPath::parse(b"a/b", &shallow).is_ok());
        assert!(EntryPath::parse(b"a/b/c", &shallow).is_err());
    }

    #[test]
    fn the_limit_on_a_whiteouts_component_is_that_of_the_name_it_removes() {
        let entry = |front: &str, bytes: usize, behind: &str| {
            let name = [front.as_bytes(), &vec![b'n'; bytes], behind.as_bytes()].concat();
            EntryPath::of_entry(&name, &Limits::default()).map(|path| path.as_bytes().to_vec())
        };
        for bytes in [251, 252, 255] {
            assert_eq!(entry(".wh.", bytes, ""), Ok([b".wh.", &vec![b'n'; bytes][..]].concat()));
            assert_eq!(entry("./a//.wh.", bytes, "/."), Ok([b"a/.wh.", &vec![b'n'; bytes][..]].concat()));
        }
        let too_long = |bytes| Err(Violation::ComponentTooLong { bytes });
        assert_eq!(entry(".wh.", 256, ""), too_long(256));
        assert_eq!(entry("", 256, ""), too_long(256));
        // A name of the bookkeeping, one that is not the last, and a name that is no entry's.
        assert_eq!(entry(".wh..wh.", 248, ""), too_long(256));
        assert_eq!(entry(".wh.", 252, "/a"), too_long(256));
        assert_eq!(parse(&[b".wh.", &vec![b'n'; 252][..]].concat()), Err(Violation::ComponentTooLong { bytes: 256 }));
    }

    #[test]
    fn every_short_name_is_its_components_one_by_one() {
        let limits = Limits::default().with(Limit::PathDepth, 3);
        let mut names = vec![Vec::new()];
        for length in 0..8 {
            for name in &names {
                let parts = name.split(|&byte| byte == b'/').filter(|part| !matches!(part, [] | [b'.']));
                let components: Result<Vec<_>, _> = parts.map(Component::parse).collect();
                let expected = components.and_then(|components| {
                    limits.check(Limit::PathDepth, components.len() as u64)?;
                    Ok(components.iter().map(|component| component.as_bytes()).collect::<Vec<_>>().join(&b'/'))
                });
                let path = EntryPath::parse(name, &limits).map(|path| path.as_bytes().to_vec());
                assert_eq!(path, expected, "{}", Escaped::new(name));
            }
            let longer = |name: Vec<u8>| [b'a', b'.', b'/', 0].map(|byte| [&name[..], &[byte]].concat());
            names = if length < 7 { names.into_iter().flat_map(longer).collect() } else { Vec::new() };
        }
    }

    #[test]
    fn paths_are_in_the_order_of_their_components() {
        let mut paths = ["a-b", "a/c", "b", "a", "", "a/b/c"].map(|path| parse(path.as_bytes()).unwrap());
        paths.sort();
        assert_eq!(
            paths.each_ref().map(|path| path.as_path().to_str().unwrap()),
            [".", "a", "a/b/c", "a/c", "a-b", "b"]
        );
        assert_eq!(parse(b"a/b").unwrap().parent().unwrap().as_bytes(), b"a");
        assert_eq!(parse(b"a").unwrap().parent().unwrap().as_bytes(), b"");
    }
}
