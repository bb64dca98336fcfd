//! What the command takes.

use crate::judging::{Judging, limits, parse_limit, words};
use crate::selection::Selection;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use layercage::{Digest, Durability, Limit, Limits, Policy, What};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Unpacks container image layers safely: confined, verified and strict.
///
/// Exit codes: 0 done, 1 the system failed, 2 wrong usage, 3 the image or layer was refused.
#[derive(Debug, Parser)]
#[command(name = "layercage", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Print JSON, an object a line: what was asked for on standard output, errors on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Disable the sandbox of Landlock rules and dropped capabilities, which limits this command to its input and output,
    /// as far as the kernel can.
    #[arg(long, global = true)]
    pub(crate) no_sandbox: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Unpack an image into a directory that does not exist yet, or is empty: all of it, or nothing.
    Unpack(Unpack),
    /// Apply one layer over a directory that exists.
    Apply(Apply),
    /// Read an image or a layer to its end and print every finding, not only the first; write nothing.
    ///
    /// Of an image all is seen that unpacking it would meet, but for what the machine decides: rights, mounts, and what
    /// its file system can keep. Of a layer only that is told which is so whatever lies below it: not whether a hard
    /// link's target is there, or what a path leads through whose parents it does not list. What is told of devices is
    /// told as if they were made.
    ///
    /// Exit code 3 when the policy asked for would refuse it.
    Check(Check),
    /// Print the changes of an image or a layer, one a line.
    List(List),
    /// Print the rules by which images are judged, and what each policy does about them.
    Rules,
    /// Explain a rule or a limit: what it is about, why it matters, which tools write it, and what to do.
    Explain {
        /// The id of a rule, as messages show it in brackets, or of a limit, as `--limit` takes it.
        #[arg(value_name = "RULE")]
        rule: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Unpack {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) judging: Judging,
    #[command(flatten)]
    pub(crate) working: Working,
    /// An OCI image layout, a `docker save` archive, or a `skopeo copy` directory, as `DIR`, `DIR:TAG`, `FILE` or
    /// `FILE:TAG`, with or without skopeo's `oci:`, `oci-archive:`, `docker-archive:` or `dir:` in front; `@N` as TAG is
    /// a position; archives may be compressed; `-` reads one from standard input.
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// The directory to make. An empty one of that name is replaced.
    #[arg(value_name = "ROOTFS")]
    pub(crate) rootfs: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The digest of LAYER as it is stored; checked before DIR is touched.
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    pub(crate) digest: Option<Digest>,
    /// The size of LAYER in bytes; checked before DIR is touched.
    #[arg(long, value_name = "BYTES")]
    pub(crate) size: Option<u64>,
    /// The digest of the uncompressed layer; checked before DIR is touched.
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    pub(crate) diff_id: Option<Digest>,
    /// Apply LAYER even if it looks like the archive of an image, which is wrong usage otherwise. A layer whose
    /// `--digest` or `--diff-id` is given is applied anyway.
    #[arg(long = "as", value_name = "WHAT", value_parser = ["layer"])]
    taken_for: Option<String>,
    #[command(flatten)]
    pub(crate) judging: Judging,
    #[command(flatten)]
    pub(crate) working: Working,
    /// A tar archive, plain or compressed with gzip or zstd; `-` reads standard input.
    #[arg(value_name = "LAYER")]
    pub(crate) layer: PathBuf,
    /// The directory to change.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

impl Apply {
    /// Whether an image may have been given by mistake.
    pub(crate) fn refuses_images(&self) -> bool {
        self.taken_for.is_none() && self.digest.is_none() && self.diff_id.is_none()
    }
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) judging: Judging,
    #[command(flatten)]
    pub(crate) input: Input,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print what images INPUT holds instead, one a line: position, kind, platform, digest of the manifest, image ID,
    /// names.
    #[arg(long)]
    pub(crate) images: bool,
    /// Change a limit; an unknown name lists them all.
    #[arg(long, value_name = "NAME=AMOUNT", value_parser = parse_limit)]
    limit: Vec<(Limit, u64)>,
    #[command(flatten)]
    pub(crate) input: Input,
}

impl List {
    pub(crate) fn limits(&self) -> Limits {
        limits(&self.limit)
    }
}

/// An image or a layer.
#[derive(Debug, Args)]
pub(crate) struct Input {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Judge INPUT as an image or as a layer, whatever it looks like.
    ///
    /// Without this, INPUT is an image when it has `oci-layout` or `index.json`, or the `manifest.json` of `docker
    /// save`, whether or not all that these name is there; otherwise it is a layer. `--ref`, `--platform`,
    /// `--manifest-digest`, `--image-id` and a TAG are wrong usage for a layer.
    #[arg(long = "as", value_name = "WHAT", value_parser = words!(What))]
    pub(crate) taken_for: Option<What>,
    /// An image in any of its forms, as `DIR`, `DIR:TAG`, `FILE` or `FILE:TAG`, with or without skopeo's `oci:`,
    /// `oci-archive:`, `docker-archive:` or `dir:` in front; or a layer. Archives and layers may be compressed with gzip
    /// or zstd. `-` reads standard input.
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,
}

/// With what it is done.
#[derive(Debug, Args)]
pub(crate) struct Working {
    /// Use so many threads: with 1 all is done one after another, more than 3 are not used. As many as there are
    /// processors by default.
    #[arg(long, value_name = "THREADS")]
    jobs: Option<NonZeroUsize>,
    /// Wait until everything is on the disk: before ROOTFS takes its name and after, or when LAYER is applied.
    #[arg(long)]
    sync: bool,
}

impl Working {
    /// The policy asked for, and what is to be on the disk.
    pub(crate) fn policy(&self, judging: &Judging) -> Result<Policy, String> {
        let policy = judging.policy()?;
        Ok(if self.sync { policy.with_durability(Durability::Synced) } else { policy })
    }

    pub(crate) fn jobs(&self) -> NonZeroUsize {
        self.jobs.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }
}

pub(crate) fn parse_digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|_| "a digest is sha256: and 64, or sha512: and 128 lower-case hexadecimal digits".to_owned())
}
