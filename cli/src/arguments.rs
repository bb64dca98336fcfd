//! What the command takes.

use clap::{Args, Parser, Subcommand};
use layercage::{Devices, Digest, Limit, Limits, Policy, Preset, QuirkRule, Verdict, ViolationRule};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Unpacks container image layers safely: confined, verified and strict.
///
/// Exit codes: 0 done, 1 the system failed, 2 wrong usage, 3 the image or layer was refused.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Print JSON, an object a line: what was asked for on standard output, errors on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Unpack an image into a directory that does not exist yet: all of it, or nothing.
    Unpack(Unpack),
    /// Apply one layer over a directory that exists.
    Apply(Apply),
    /// Read an image or a layer to its end and print every finding, not only the first; write nothing.
    ///
    /// Exit code 3 when the policy asked for would refuse it.
    Check(Check),
    /// Print the changes of an image or a layer, one a line.
    List(List),
    /// Print the rules by which images are judged, and what each policy does about them.
    Rules,
}

#[derive(Debug, Args)]
pub(crate) struct Unpack {
    /// The name of the image within IMAGE (`org.opencontainers.image.ref.name`), where there are several.
    #[arg(long = "ref", value_name = "NAME")]
    pub(crate) reference: Option<String>,
    #[command(flatten)]
    pub(crate) judging: Judging,
    #[command(flatten)]
    pub(crate) working: Working,
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
    /// The size of LAYER in bytes; checked before DIR is touched.
    #[arg(long, value_name = "BYTES")]
    pub(crate) size: Option<u64>,
    /// The digest of the uncompressed layer; checked before DIR is touched.
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    pub(crate) diff_id: Option<Digest>,
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

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) judging: Judging,
    #[command(flatten)]
    pub(crate) input: Input,
}

#[derive(Debug, Args)]
pub(crate) struct List {
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
    /// The name of the image within INPUT (`org.opencontainers.image.ref.name`), where there are several.
    #[arg(long = "ref", value_name = "NAME")]
    pub(crate) reference: Option<String>,
    /// An OCI image layout directory, as `DIR` or `DIR:TAG`; or a layer, plain or compressed; `-` reads a
    /// layer from standard input.
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
}

impl Working {
    pub(crate) fn jobs(&self) -> NonZeroUsize {
        self.jobs.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }
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
    /// Let a quirk pass with a note, whatever the policy says; `layercage rules` lists them.
    #[arg(long, value_name = "RULE", value_parser = parse_rule)]
    allow: Vec<QuirkRule>,
    /// Refuse a quirk, whatever the policy says.
    #[arg(long, value_name = "RULE", value_parser = parse_rule)]
    refuse: Vec<QuirkRule>,
    /// Change a limit; an unknown name lists them all.
    #[arg(long, value_name = "NAME=AMOUNT", value_parser = parse_limit)]
    limit: Vec<(Limit, u64)>,
}

impl Judging {
    /// The policy asked for; or why there is none that does all of it.
    pub(crate) fn policy(&self) -> Result<Policy, String> {
        let policy = self.allow.iter().copied().fold(Policy::preset(self.policy), Policy::allow);
        let policy = self.refuse.iter().copied().fold(policy, Policy::refuse);
        let policy = match self.devices {
            Some(devices) => policy.devices(devices),
            None => policy,
        };
        // Options that contradict each other: whichever won, somebody would get what he ruled out.
        let wanted = [("--allow", &self.allow, Verdict::Note), ("--refuse", &self.refuse, Verdict::Refuse)];
        for (option, rules, verdict) in wanted {
            if let Some(rule) = rules.iter().find(|&&rule| policy.verdict(rule) != verdict) {
                return Err(format!("`{option} {}` contradicts another option", rule.row().id));
            }
        }
        Ok(policy)
    }

    pub(crate) fn limits(&self) -> Limits {
        limits(&self.limit)
    }
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    text.parse().map_err(|_| "a digest is sha256: and 64, or sha512: and 128 lower-case hexadecimal digits".to_owned())
}

fn limits(changed: &[(Limit, u64)]) -> Limits {
    changed.iter().fold(Limits::default(), |limits, &(limit, most)| limits.with(limit, most))
}

fn parse_rule(id: &str) -> Result<QuirkRule, String> {
    if ViolationRule::ALL.iter().any(|rule| rule.row().id == id) {
        return Err("this rule holds under every policy".to_owned());
    }
    let found = QuirkRule::ALL.iter().find(|rule| rule.row().id == id);
    found.copied().ok_or_else(|| "there is no such rule; `layercage rules` lists them".to_owned())
}

fn parse_limit(text: &str) -> Result<(Limit, u64), String> {
    let (name, amount) = text.split_once('=').ok_or("NAME=AMOUNT is needed")?;
    let limit = Limit::ALL.iter().find(|limit| limit.id() == name).ok_or_else(|| {
        let default = |limit: &Limit| match limit.default() {
            Limit::OFF => "off".to_owned(),
            amount => amount.to_string(),
        };
        let all = Limit::ALL.iter().map(|limit| format!("{limit}={}", default(limit))).collect::<Vec<_>>();
        format!("the limits and their defaults are {}", all.join(", "))
    })?;
    match amount {
        "off" => Ok((*limit, Limit::OFF)),
        _ => {
            amount.parse().map(|amount| (*limit, amount)).map_err(|_| "a decimal number or `off` is needed".to_owned())
        }
    }
}

fn parse_preset(word: &str) -> Result<Preset, String> {
    word.parse().map_err(|_| "one of default, compatible, paranoid is needed".to_owned())
}

fn parse_devices(word: &str) -> Result<Devices, String> {
    word.parse().map_err(|_| "one of refuse, skip, create is needed".to_owned())
}
