//! Patterns for paths of an image: `--only`.

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use globset::{GlobBuilder, GlobMatcher};
use layercage::MergedTree;
use layercage::error::Escaped;
use layercage::merged::Part;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The option that keeps a part of an image.
#[derive(Debug, Args)]
pub(crate) struct Only {
    /// Keep only these paths of the image. May be repeated.
    ///
    /// A PATH keeps itself and everything below it. A GLOB keeps each path that it matches, and everything below a
    /// directory that it matches. Parent directories of kept paths are kept too. A hard link whose target is not kept
    /// becomes a copy. Symbolic links are neither followed nor changed.
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
    pub(crate) fn part<'t>(&self, tree: &'t MergedTree) -> Result<Part<'t>, String> {
        if self.is_everything() {
            return Ok(tree.whole());
        }
        let mut has_match = vec![false; self.only.len()];
        let part = tree.part(|node| {
            let path = node.path();
            let matches = self.only.iter().zip(&mut has_match).filter(|(pattern, _)| pattern.keeps(path.as_bytes()));
            // Each of them has a match, not only the first.
            matches.map(|(_, has_match)| *has_match = true).count() > 0
        });
        match self.only.iter().zip(has_match).find(|(_, has_match)| !has_match) {
            Some((pattern, _)) => Err(pattern.unmatched(tree)),
            None => Ok(part),
        }
    }
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
    fn unmatched(&self, tree: &MergedTree) -> String {
        let message =
            format!("`--only {}` matches no path of the image", Escaped::whole(self.stated.as_bytes()).unquoted());
        let Kind::Path(path) = &self.kind else { return message };
        match tree.get_nofollow(Path::new(OsStr::from_bytes(path))) {
            Some(node) => format!("{message}: behind a symbolic link, it is {}", node.path()),
            None => message,
        }
    }
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
