//! The arguments of the command.

use crate::policy::PolicyFile;
use clap::{Args, Parser, Subcommand};
use std::num::{NonZeroU16, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

/// Applies the layers of containerd's images with layercage: containerd sends each layer to this program, which verifies
/// it, judges it, and writes it to the snapshot.
///
/// Exit codes: 0 done, 1 a system error, 2 a usage error or a policy file that is not valid, 3 a configuration that does not
/// send every layer to this program.
#[derive(Debug, Parser)]
#[command(name = "layercage-differ", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve containerd until SIGTERM. SIGHUP reads the policy file again.
    Serve(Serve),
    /// Check that a configuration of containerd sends every layer to this program.
    ///
    /// If a key is missing, containerd unpacks with its own differ and reports nothing.
    CheckConfig(CheckConfig),
    /// Check a policy file.
    CheckPolicy {
        /// The policy file.
        #[arg(value_name = "FILE", default_value = POLICY)]
        file: PathBuf,
    },
    /// Print the configuration that a version of containerd needs, for a file that /etc/containerd/config.toml imports.
    PrintConfig {
        /// The version, as `containerd --version` prints it: 1.7.24, for example.
        #[arg(value_name = "VERSION")]
        version: String,
        #[command(flatten)]
        named: Named,
        /// The snapshotter of the images. May be repeated.
        #[arg(long, value_name = "NAME", default_value = "overlayfs")]
        snapshotter: Vec<String>,
    },
    /// Exit with 0 if a running differ answers, for probes.
    Health {
        /// The socket of the differ.
        #[arg(long, value_name = "PATH", default_value = SOCKET)]
        socket: PathBuf,
    },
}

pub(crate) const SOCKET: &str = "/run/layercage/differ.sock";

const POLICY: &str = "/etc/layercage/differ.toml";

/// Where the default configuration of containerd has its snapshots.
const SNAPSHOTS: [&str; 2] = [
    "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots",
    "/var/lib/containerd/io.containerd.snapshotter.v1.native/snapshots",
];

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The socket to serve on. Only root and the user of this program can connect. Its directory must not be writable by
    /// others. It is created if it is missing.
    #[arg(long, value_name = "PATH", default_value = SOCKET, value_parser = absolute)]
    pub(crate) socket: PathBuf,
    /// The socket of containerd, from which blobs are read.
    #[arg(long, value_name = "PATH", default_value = "/run/containerd/containerd.sock", value_parser = absolute)]
    pub(crate) containerd: PathBuf,
    /// Read blobs from this directory, the root of containerd's content store, instead of its socket. It must exist. The
    /// digests of the blobs are verified in any case.
    #[arg(long, value_name = "DIR", value_parser = absolute)]
    pub(crate) content_root: Option<PathBuf>,
    /// A directory beneath which snapshots may lie. May be repeated. The defaults are the directories of the snapshotters
    /// `overlayfs` and `native` beneath `/var/lib/containerd`. Directories that are missing are created.
    #[arg(long, value_name = "DIR", default_values = SNAPSHOTS, value_parser = absolute)]
    pub(crate) snapshot_root: Vec<PathBuf>,
    /// The policy file. If this option is not given and /etc/layercage/differ.toml is missing at the start, the default
    /// policy applies.
    #[arg(long, value_name = "FILE", value_parser = absolute)]
    policy: Option<PathBuf>,
    /// Serve metrics for Prometheus on this socket, at `/metrics`.
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    pub(crate) metrics: Option<PathBuf>,
    /// The number of threads for one layer.
    #[arg(long, value_name = "THREADS", default_value = "2")]
    pub(crate) jobs: NonZeroUsize,
    /// The number of layers applied at the same time. Further layers wait. The default is the number of processors, and at
    /// least 3.
    #[arg(long, value_name = "LAYERS")]
    layers: Option<NonZeroU16>,
    /// The longest time without a byte of a blob from containerd. Then its layer fails, and another one has its turn.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    pub(crate) blob_timeout: NonZeroU64,
    /// The time that layers have to end after SIGTERM. Then they are cancelled.
    #[arg(long, value_name = "SECONDS", default_value = "20")]
    pub(crate) grace: u64,
    /// Do not start if the kernel cannot restrict files by Landlock.
    #[arg(long, conflicts_with = "no_sandbox")]
    pub(crate) require_sandbox: bool,
    /// Disable the Landlock and capability sandbox.
    #[arg(long)]
    pub(crate) no_sandbox: bool,
}

impl Serve {
    pub(crate) fn policy_file(&self) -> PolicyFile {
        match &self.policy {
            Some(path) => PolicyFile::stated(path.clone()),
            None => PolicyFile::optional(PathBuf::from(POLICY)),
        }
    }

    pub(crate) fn layers(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.layers.map_or(processors.max(3), |layers| layers.get().into())
    }
}

/// A path of `serve`, whose working directory is not that of its caller.
fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.is_absolute() {
        true => Ok(path),
        false => Err("an absolute path is needed".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckConfig {
    /// The output of `containerd config dump`; `-` reads standard input.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The version of containerd, as `containerd --version` prints it. The configuration does not state it.
    #[arg(long, value_name = "VERSION")]
    pub(crate) containerd_version: Option<String>,
    #[command(flatten)]
    pub(crate) named: Named,
}

/// How containerd knows the differ.
#[derive(Debug, Clone, Args)]
pub(crate) struct Named {
    /// The name of the proxy plugin.
    #[arg(long, value_name = "NAME", default_value = "layercage")]
    pub(crate) name: String,
    /// The socket of the differ.
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    pub(crate) socket: String,
}
