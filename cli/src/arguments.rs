//! What the command takes.

use clap::{Args, Parser, Subcommand};
use layercage::{Devices, Digest, Policy, Preset};
use std::path::PathBuf;

/// Unpacks container image layers safely: confined, verified and strict.
///
/// Exit codes: 0 done, 1 the system failed, 2 wrong usage, 3 the image or layer was refused.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Unpack an image into a directory that does not exist yet: all of it, or nothing.
    Unpack(Unpack),
    /// Apply one layer over a directory that exists.
    Apply(Apply),
}

#[derive(Debug, Args)]
pub(crate) struct Unpack {
    /// The name of the image within IMAGE (`org.opencontainers.image.ref.name`), where there are several.
    #[arg(long = "ref", value_name = "NAME")]
    pub(crate) reference: Option<String>,
    #[command(flatten)]
    pub(crate) judging: Judging,
    /// An OCI image layout directory, as `DIR` or `DIR:TAG`.
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// The directory to make.
    #[arg(value_name = "ROOTFS")]
    pub(crate) rootfs: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The digest of LAYER as it is stored; checked before DIR is touched.
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    pub(crate) digest: Option<Digest>,
    /// The size of LAYER in bytes.
    #[arg(long, value_name = "BYTES")]
    pub(crate) size: Option<u64>,
    /// The digest of the uncompressed layer; checked before DIR is touched.
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    pub(crate) diff_id: Option<Digest>,
    #[command(flatten)]
    pub(crate) judging: Judging,
    /// A tar archive, plain or compressed with gzip or zstd; `-` reads standard input.
    #[arg(value_name = "LAYER")]
    pub(crate) layer: PathBuf,
    /// The directory to change.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Judging {
    /// What becomes of oddities: `default` takes all that real images have, `compatible` what containerd
    /// takes, `paranoid` nothing.
    #[arg(long, default_value = "default", value_name = "POLICY", value_parser = parse_preset)]
    policy: Preset,
    /// What becomes of device nodes: `refuse`, `skip` or `create`.
    #[arg(long, value_name = "CHOICE", value_parser = parse_devices)]
    devices: Option<Devices>,
}

impl Judging {
    pub(crate) fn policy(&self) -> Policy {
        let policy = Policy::preset(self.policy);
        match self.devices {
            Some(devices) => policy.devices(devices),
            None => policy,
        }
    }
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|_| "a digest is sha256: and 64, or sha512: and 128 lower-case hexadecimal digits".to_owned())
}

fn parse_preset(word: &str) -> Result<Preset, String> {
    word.parse().map_err(|_| "one of default, compatible, paranoid is needed".to_owned())
}

fn parse_devices(word: &str) -> Result<Devices, String> {
    word.parse().map_err(|_| "one of refuse, skip, create is needed".to_owned())
}
