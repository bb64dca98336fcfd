//! The arguments of `layercage list`.

use crate::judging::{limits, parse_limit};
use crate::only::{self, Pattern};
use crate::selection::Input;
use clap::Args;
use layercage::Limits;
use layercage::rules::Limit;

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print the paths of the final file system instead, as `ls -l` does: number of the layer, mode, hard links, owner,
    /// size, path. `+` behind the mode stands for extended attributes, such as capabilities and ACLs.
    #[arg(long = "final", help_heading = "Lists")]
    is_final: bool,
    /// Print the final file system as a tree: sizes, with sums for directories, and what upper layers did: `+` added,
    /// `~` changed, `-` removed. LAYER is the layer that added, changed or removed
    /// the file. A sum counts each file once, and no removed file.
    #[arg(long, help_heading = "Lists")]
    tree: bool,
    /// Print the layers: number, digest, size as stored and uncompressed, entries, files (everything but directories) that it
    /// added, changed and removed, bytes of its files that upper layers hid, and the step of the history that made it.
    #[arg(long, help_heading = "Lists")]
    layers: bool,
    /// Print the paths that a later entry replaced or removed, in an upper layer or in the same one: the layer that has
    /// the path, the layer that hid it, how, size, path. Their content is still in the image.
    #[arg(long, help_heading = "Lists")]
    hidden: bool,
    /// Print the paths of the final file system that match and are not directories, one per line. May be repeated.
    /// `*` does not match `/`, and `**` matches any number of directories: `--files '**/*.so*'`.
    #[arg(long, value_name = "GLOB", value_parser = only::pattern(), help_heading = "Lists")]
    files: Vec<Pattern>,
    /// Print the images that INPUT holds instead, one per line: position, kind, platform, digest of the manifest, image
    /// ID, names.
    #[arg(long, help_heading = "Lists")]
    images: bool,
    /// Add the SHA-256 of the content of files, for `--final`, `--files` and `--hidden`. Layers that have such files are
    /// read a second time. `--files` then prints regular files only, as `sha256sum` does: `sha256sum -c` checks the output
    /// in an unpacked copy. On a terminal, names are escaped. Holes are hashed as zeros, up to the limit `hole-bytes`.
    #[arg(long)]
    digest: bool,
    /// The number of levels that `--tree` prints. Sums are those of the whole tree.
    #[arg(long, value_name = "LEVELS")]
    depth: Option<usize>,
    /// List only these paths, for `--final`, `--tree` and `--hidden`. A PATH stands for itself and everything below it, a
    /// GLOB for what it matches and everything below a directory that it matches; `layercage export --help` describes globs.
    /// Parent directories are not listed. May be repeated. A pattern that matches
    /// nothing is a usage error.
    #[arg(long, value_name = "PATH|GLOB", value_parser = only::pattern())]
    only: Vec<Pattern>,
    /// Change a limit; `layercage rules` lists them. `off` removes it.
    #[arg(long, value_name = "NAME=AMOUNT", value_parser = parse_limit)]
    limit: Vec<(Limit, u64)>,
    #[command(flatten)]
    pub(crate) input: Input,
}

/// What is listed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mode<'a> {
    Changes,
    Final,
    Tree,
    Layers,
    Hidden,
    Files(&'a [Pattern]),
    Images,
}

/// Whether the content of files is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    Hashed,
    Skipped,
}

impl List {
    /// What is listed. An error if the options contradict each other.
    pub(crate) fn mode(&self) -> Result<Mode<'_>, String> {
        let modes = [
            (self.is_final, "--final", Mode::Final),
            (self.tree, "--tree", Mode::Tree),
            (self.layers, "--layers", Mode::Layers),
            (self.hidden, "--hidden", Mode::Hidden),
            (!self.files.is_empty(), "--files", Mode::Files(&self.files)),
            (self.images, "--images", Mode::Images),
        ];
        let mut given = modes.into_iter().filter(|(is_given, ..)| *is_given).map(|(_, name, mode)| (name, mode));
        let (first, second) = (given.next(), given.next());
        if let (Some((one, _)), Some((other, _))) = (first, second) {
            return Err(format!("`{one}` contradicts `{other}`: each prints another list; omit one of them"));
        }
        let mode = first.map_or(Mode::Changes, |(_, mode)| mode);
        let misplaced = match mode {
            _ if self.digest && !matches!(mode, Mode::Final | Mode::Files(_) | Mode::Hidden) => {
                "`--digest` goes with `--final`, `--files` or `--hidden`"
            }
            Mode::Files(_) if !self.only.is_empty() => "`--files` takes a pattern itself; omit `--only`",
            _ if !self.only.is_empty() && !matches!(mode, Mode::Final | Mode::Tree | Mode::Hidden) => {
                "`--only` goes with `--final`, `--tree` or `--hidden`"
            }
            _ if self.depth.is_some() && !matches!(mode, Mode::Tree) => "`--depth` goes with `--tree`",
            _ => return Ok(mode),
        };
        Err(misplaced.to_owned())
    }

    pub(crate) fn contents(&self) -> Contents {
        if self.digest { Contents::Hashed } else { Contents::Skipped }
    }

    pub(crate) fn depth(&self) -> Option<usize> {
        self.depth
    }

    pub(crate) fn only(&self) -> &[Pattern] {
        &self.only
    }

    pub(crate) fn limits(&self) -> Limits {
        limits(&self.limit)
    }
}
