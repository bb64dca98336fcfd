//! Patterns for paths of an image: `--only`.

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use globset::{GlobBuilder, GlobMatcher};
use layercage::MergedTree;
use layercage::error::Escaped;
use layercage::merged::{Kind as NodeKind, Part};
use layercage::tar::EntryPath;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The option that keeps a part of an image.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Only {
    /// Keep only these paths of the image. May be repeated. A pattern that matches nothing is a usage error.
    ///
    /// A PATH keeps itself and everything below it. A GLOB keeps each path that it matches, and everything below a
    /// directory that it matches. Parent directories of kept paths are kept too. If the target of
    /// hard links is not kept, the first of them becomes the file, and the others link to it. Symbolic links are neither followed nor changed.
    ///
    /// The policy judges the whole image, not only this part. `--devices skip` accepts devices elsewhere in the image.
    ///
    /// A leading `/` is ignored. A value with `*`, `?`, `[` or `{` is a GLOB, and any other value is a PATH. `*` and `?` do
    /// not match `/`, `**` matches any number of directories, `[a-z]` one byte of a set, and `{a,b}` either of two. In
    /// a GLOB, `\` takes the next character literally: `--only 'usr/bin/\['` keeps the file `usr/bin/[`.
    #[arg(long, value_name = "PATH|GLOB", value_parser = pattern())]
    only: Vec<Pattern>,
}

impl Only {
    /// Whether everything is kept, because there is no pattern.
    pub(crate) fn is_everything(&self) -> bool {
        self.only.is_empty()
    }

    /// The part of a tree that is kept.
    ///
    /// # Errors
    ///
    /// A pattern that matches nothing: with a misspelled path, the part would be empty.
    pub(crate) fn part<'t>(&self, tree: &'t MergedTree) -> Result<Part<'t>, Unmatched> {
        if self.is_everything() {
            return Ok(tree.whole());
        }
        let paths = tree.iter().map(|node| node.path());
        require_matches(("--only", "path of the image"), &self.only, tree, paths, Pattern::keeps)?;
        Ok(tree.part(|node| self.keeps(node.path().as_bytes())))
    }

    /// Whether a path is kept.
    pub(crate) fn keeps(&self, path: &[u8]) -> bool {
        self.is_everything() || self.only.iter().any(|pattern| pattern.keeps(path))
    }

    /// What a user may not expect: symbolic links that are kept alone.
    pub(crate) fn notes(&self, tree: &MergedTree) -> Vec<String> {
        notes(&self.only, tree)
    }
}

/// Symbolic links that patterns of `--only` keep alone, without what is below their targets.
pub(crate) fn notes(only: &[Pattern], tree: &MergedTree) -> Vec<String> {
    only.iter().filter_map(|pattern| pattern.link_kept_alone(tree)).collect()
}

/// Checks that each pattern matches one of these paths.
///
/// # Errors
///
/// The first pattern that matches none. `option` and `what` say what the user asked for.
pub(crate) fn require_matches(
    (option, what): (&str, &str),
    patterns: &[Pattern],
    tree: &MergedTree,
    mut paths: impl Iterator<Item = EntryPath>,
    matches: fn(&Pattern, &[u8]) -> bool,
) -> Result<(), Unmatched> {
    let mut open: Vec<_> = patterns.iter().collect();
    while !open.is_empty()
        && let Some(path) = paths.next()
    {
        open.retain(|pattern| !matches(pattern, path.as_bytes()));
    }
    open.first().map_or(Ok(()), |pattern| Err(pattern.unmatched((option, what), tree)))
}

/// A pattern that matches nothing.
#[derive(Debug)]
pub(crate) struct Unmatched {
    pub(crate) message: String,
    /// What to do, if that is known.
    pub(crate) help: Option<String>,
}

/// Parses a pattern, for an option of clap.
pub(crate) fn pattern() -> impl TypedValueParser<Value = Pattern> {
    OsStringValueParser::new().try_map(Pattern::parse)
}

/// A path of an image or a glob over such paths.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// What the user typed.
    stated: OsString,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// A path without `/` in front. The root is empty.
    Path(Vec<u8>),
    Glob {
        itself: GlobMatcher,
        /// What lies below a directory that the glob matches. The glob alone would have to be matched against each parent
        /// directory of a path, which takes the square of the path's length.
        below: GlobMatcher,
    },
}

impl Pattern {
    /// Parses what the user typed.
    ///
    /// # Errors
    ///
    /// An empty pattern, a `..` component, and a malformed glob.
    pub(crate) fn parse(stated: OsString) -> Result<Self, BadPattern> {
        let bytes = stated.as_bytes();
        if bytes.is_empty() {
            return Err(BadPattern::Empty);
        }
        if bytes.contains(&0) {
            return Err(BadPattern::Nul);
        }
        let parts: Vec<_> = bytes.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")).collect();
        if parts.contains(&&b".."[..]) {
            return Err(BadPattern::Climbs);
        }
        let path = parts.join(&b'/');
        let kind = if is_glob(&path) { glob(path)? } else { Kind::Path(path) };
        Ok(Self { stated, kind })
    }

    /// Whether the pattern itself matches a path of the image.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        match &self.kind {
            Kind::Path(own) => own == path,
            Kind::Glob { itself, .. } => itself.is_match(OsStr::from_bytes(path)),
        }
    }

    /// Whether the pattern matches a path of the image or a directory that it lies in.
    pub(crate) fn keeps(&self, path: &[u8]) -> bool {
        match &self.kind {
            Kind::Path(own) if own.is_empty() => true,
            Kind::Path(own) => path.strip_prefix(&own[..]).is_some_and(|rest| matches!(rest, [] | [b'/', ..])),
            Kind::Glob { below, .. } => self.matches(path) || below.is_match(OsStr::from_bytes(path)),
        }
    }

    /// Says that the pattern matches nothing in a tree.
    fn unmatched(&self, (option, what): (&str, &str), tree: &MergedTree) -> Unmatched {
        let stated = shown(self.stated.as_bytes());
        let help = match &self.kind {
            Kind::Path(path) => {
                real_path(path, tree).map(|real| format!("it is behind a symbolic link: `{option} {real}`"))
            }
            Kind::Glob { .. } if !self.stated.as_bytes().contains(&b'/') => {
                Some(format!("`{option} '**/{stated}'` matches in all directories"))
            }
            Kind::Glob { itself, .. } => {
                let (directory, rest) = literal_and_rest(itself.glob().glob());
                let real = tree.get(directory).map(|node| node.path());
                let real = real.filter(|real| !directory.is_empty() && real.as_bytes() != directory.as_bytes());
                let real = real.map(|real| shown(real.as_bytes()));
                real.map(|real| format!("`{directory}` is a symbolic link to {real}: `{option} '{real}/{rest}'`"))
            }
        };
        Unmatched { message: format!("`{option} {stated}` matches no {what}"), help }
    }

    /// A note if the pattern is the path of a symbolic link to a directory, as `lib` is in many images.
    fn link_kept_alone(&self, tree: &MergedTree) -> Option<String> {
        let Kind::Path(path) = &self.kind else { return None };
        let as_path = Path::new(OsStr::from_bytes(path));
        let node = tree.get_nofollow(as_path).filter(|node| node.path().as_bytes() == path)?;
        let real = tree.get(as_path).filter(|real| real.is_directory())?;
        let is_link = matches!(node.kind(), NodeKind::Symlink { .. });
        let (stated, real) = (shown(self.stated.as_bytes()), shown(real.path().as_bytes()));
        is_link.then(|| format!("`--only {stated}` keeps a symbolic link alone; it leads to {real}: `--only {real}`"))
    }
}

fn shown(bytes: &[u8]) -> String {
    Escaped::whole(bytes).unquoted()
}

/// Where a path is whose parent directory is behind a symbolic link.
fn real_path(path: &[u8], tree: &MergedTree) -> Option<String> {
    tree.get_nofollow(Path::new(OsStr::from_bytes(path))).map(|node| shown(node.path().as_bytes()))
}

/// The directories in front of the first component of a glob that has special characters, and the rest.
fn literal_and_rest(glob: &str) -> (&str, &str) {
    let special = glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len());
    let slash = glob.get(..special).and_then(|literal| literal.rfind('/'));
    slash.and_then(|slash| Some((glob.get(..slash)?, glob.get(slash + 1..)?))).unwrap_or(("", glob))
}

/// Whether a byte has a meaning in globs. `\` has one only beside others, so that a path with `\` needs no escape.
fn is_glob(path: &[u8]) -> bool {
    path.iter().any(|byte| b"*?[{".contains(byte))
}

fn glob(path: Vec<u8>) -> Result<Kind, BadPattern> {
    let text = OsString::from_vec(path).into_string().map_err(|_| BadPattern::NotText)?;
    Ok(Kind::Glob { itself: matcher(&text)?, below: matcher(&format!("{text}/**"))? })
}

fn matcher(text: &str) -> Result<GlobMatcher, BadPattern> {
    let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| BadPattern::Glob(error.kind().clone()))
}

/// Why a pattern is malformed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BadPattern {
    Empty,
    Nul,
    Climbs,
    /// A glob with bytes that are not UTF-8.
    NotText,
    Glob(globset::ErrorKind),
}

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty; `/` is the root of the image"),
            Self::Nul => f.write_str("no path has a NUL byte"),
            Self::Climbs => f.write_str("no path of an image has a `..` component"),
            Self::NotText => f.write_str("a glob is UTF-8; `*` and `?` match other bytes, too"),
            Self::Glob(kind) => write!(f, "{kind}; in a glob, `\\` takes the next character literally"),
        }
    }
}

impl std::error::Error for BadPattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<Pattern, BadPattern> {
        Pattern::parse(OsString::from_vec(text.to_vec()))
    }

    /// Each case: a pattern, paths that it keeps, and paths that it does not keep.
    #[expect(clippy::type_complexity, reason = "a table")]
    const CASES: &[(&[u8], &[&[u8]], &[&[u8]])] = &[
        (b"etc", &[b"etc", b"etc/passwd", b"etc/a/b"], &[b"", b"et", b"etcetera", b"usr/etc", b"Etc"]),
        (b"/etc/", &[b"etc", b"etc/passwd"], &[b"etcetera"]),
        (b"./usr//lib/.", &[b"usr/lib", b"usr/lib/a"], &[b"usr", b"usr/lib64"]),
        (b"/", &[b"", b"a", b"a/b"], &[]),
        (b".", &[b"", b"a"], &[]),
        (b"*", &[b"a", b"a/b"], &[]),
        (b"*.so", &[b"a.so", b"a.so/b"], &[b"lib/a.so", b"a.so.1"]),
        (b"**/*.so", &[b"a.so", b"lib/a.so", b"lib/x/a.so", b"lib/a.so/b"], &[b"lib/a.sox"]),
        (b"/usr/*/x", &[b"usr/a/x", b"usr/a/x/y"], &[b"usr/x", b"usr/a/b/x"]),
        (b"usr/**", &[b"usr/a", b"usr/a/b"], &[b"a/usr/a"]),
        (b"a?c", &[b"abc", b"a\xffc"], &[b"a/c", b"ac"]),
        (b"[ab]", &[b"a", b"b/c"], &[b"c", b"[ab]"]),
        (b"[!a]", &[b"b"], &[b"a"]),
        (b"{etc,var/lib}/x", &[b"etc/x", b"var/lib/x"], &[b"lib/x", b"etc/y"]),
        // Each character of a glob can be taken literally.
        (b"usr/bin/\\[", &[b"usr/bin/["], &[b"usr/bin/\\["]),
        (b"\\*\\?\\{\\}\\\\", &[b"*?{}\\"], &[b"a", b"*?{}"]),
        // A path may have any byte.
        (b"a\\b", &[b"a\\b"], &[b"ab"]),
        (b"\xff/]}!-,^", &[b"\xff/]}!-,^", b"\xff/]}!-,^/x"], &[b"\xff", b"\xfe/]}!-,^"]),
        (b"..a/...", &[b"..a/..."], &[b"..a"]),
    ];

    #[test]
    fn a_path_keeps_what_is_below_it_and_a_glob_what_is_below_its_matches() {
        for (pattern, kept, dropped) in CASES {
            let parsed = parse(pattern).unwrap();
            let pattern = String::from_utf8_lossy(pattern);
            for path in *kept {
                assert!(parsed.keeps(path), "{pattern} keeps {}", String::from_utf8_lossy(path));
            }
            for path in *dropped {
                assert!(!parsed.keeps(path), "{pattern} drops {}", String::from_utf8_lossy(path));
            }
        }
    }

    #[test]
    fn a_glob_keeps_a_path_exactly_if_it_matches_the_path_or_a_parent_directory() {
        let names = ["a", "b", "ab"];
        let mut paths: Vec<String> = names.map(str::to_owned).to_vec();
        for depth in 0..3 {
            let deepest: Vec<_> = paths.iter().filter(|path| path.matches('/').count() == depth).cloned().collect();
            paths.extend(deepest.iter().flat_map(|path| names.map(|name| format!("{path}/{name}"))));
        }
        for glob in [
            "*",
            "**",
            "**/**",
            "a*",
            "a**",
            "*/b",
            "**/b",
            "a/**",
            "a/**/b",
            "{a,b/*}",
            "{a,b/**}",
            "{a,}",
            "?",
            "[ab]",
            "a[!b]",
            "a[!b]b",
            "[!a]",
            "a/[/]b",
            "*/**/*",
            "**/*b",
            "{*/a,**/ab}",
        ] {
            let pattern = parse(glob.as_bytes()).unwrap();
            for path in &paths {
                let mut above = path.match_indices('/').map(|(at, _)| &path[..at]).chain([&path[..]]);
                let expected = above.any(|above| pattern.matches(above.as_bytes()));
                assert_eq!(pattern.keeps(path.as_bytes()), expected, "{glob}: {path}");
            }
            assert_eq!(pattern.keeps(b""), pattern.matches(b""), "{glob}");
        }
    }

    /// An image of 28 KB has thousands of such paths.
    #[test]
    fn a_glob_takes_time_for_each_byte_of_a_path_and_not_for_each_parent_directory() {
        let path = ["d"; 2000].join("/").into_bytes();
        let pattern = parse(b"**/x").unwrap();
        let start = std::time::Instant::now();
        assert!((0..1000).all(|_| !pattern.keeps(&path)));
        assert!(start.elapsed() < std::time::Duration::from_secs(8), "{:?}", start.elapsed());
    }

    #[test]
    fn a_pattern_itself_matches_no_path_below() {
        for pattern in [&b"etc"[..], b"e*", b"/etc/"] {
            let pattern = parse(pattern).unwrap();
            assert!(pattern.matches(b"etc") && !pattern.matches(b"etc/passwd") && !pattern.matches(b""));
        }
        assert!(parse(b"/").unwrap().matches(b""));
    }

    #[test]
    fn a_malformed_pattern_says_what_to_do() {
        for (pattern, says) in [
            (&b""[..], "root"),
            (b"..", "`..`"),
            (b"etc/../usr", "`..`"),
            (b"/../*", "`..`"),
            (b"a\0", "NUL"),
            (b"\xff*", "UTF-8"),
            (b"usr/bin/[", "`\\`"),
            (b"{a", "`\\`"),
            (b"*\\", "`\\`"),
        ] {
            let error = parse(pattern).unwrap_err().to_string();
            assert!(error.contains(says), "{}: {error}", String::from_utf8_lossy(pattern));
        }
    }
}
