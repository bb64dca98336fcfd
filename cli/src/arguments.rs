//! The arguments of the command.

use crate::judging::{Judging, words};
use crate::list::List;
use crate::only::Only;
use crate::selection::{Input, Selection};
use clap::{Args, Parser, Subcommand};
use layercage::erofs::{BlockSize, Salt};
use layercage::overlay::{OverlayFormat, OverlayNamespace, Whiteouts};
use layercage::policy::{Durability, SelinuxLabel};
use layercage::{Digest, Expected, Layer, Policy};
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Unpacks container image layers safely: confined, verified and strict.
///
/// Exit codes: 0 done, 1 a system error, 2 a usage error, 3 the image or layer was refused.
#[derive(Debug, Parser)]
#[command(name = "layercage", version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Print JSON, one object per line: results on standard output, errors on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Disable the Landlock and capability sandbox.
    ///
    /// As far as the kernel supports it, the sandbox restricts file access to the input and the output directory, forbids
    /// TCP connections and drops the privileges that the command does not need.
    #[arg(long, global = true)]
    pub(crate) no_sandbox: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Unpack an image into a directory that is empty or does not exist yet; if it fails, nothing changes.
    Unpack(Unpack),
    /// Unpack an image as a bundle for `runc` and `crun`: BUNDLE/rootfs, and BUNDLE/config.json from the configuration
    /// of the image; if it fails, nothing changes.
    ///
    /// The conversion follows image-spec, conversion.md. User names are looked up in the image's own etc/passwd and
    /// etc/group. Volumes are not mounted. Only you may enter BUNDLE, so that other users cannot run setuid programs of
    /// the image. Without root, the bundle is for a rootless container, and its only user is root.
    Bundle(Bundle),
    /// Write the final file system of an image as one tar archive, which all tar readers read alike.
    ///
    /// The same image and options give the same bytes. Hard links, holes and extended attributes are kept. Owners have no
    /// names. Entries come in the order of the layers, and within a layer in the order of its entries; a directory comes
    /// before its children.
    ///
    /// In that order, a directory may come long before its last child. To extract the archive, GNU tar then needs
    /// `--delay-directory-restore`: otherwise it sets the time of the directory too early, and without root cannot write
    /// into a read-only one. For busybox tar, which has no such option, use `--sort`.
    ///
    /// Every layer is verified before the first byte is written. Until then, content is kept in a temporary file if there
    /// is room for it, so that layers are read once. FILE is written under a temporary name and renamed when it is
    /// complete. That replaces an existing regular file. If the reader of a pipe closes it early, the exit code is 1.
    Export(Export),
    /// Write the final file system of an image as one EROFS image, which Linux mounts read-only.
    ///
    /// No privileges are needed for owners, devices and attributes, because no file of the image is created on this
    /// machine. The same image and options give the same bytes. Hard links and holes are kept. Content is not compressed.
    ///
    /// `mount -t erofs -o ro FILE DIR` mounts it with a loop device. Since Linux 6.12, mount(2) needs no loop device if
    /// FILE is on a suitable file system: ext4 is one, tmpfs is not. Blocks of 512 bytes need Linux 6.4. FILE is written
    /// under a temporary name and renamed when every layer is verified. That replaces an existing regular file.
    ///
    /// With `--layers`, FILE is a directory to create, with one EROFS image for each layer. Mount each image, and then an
    /// overlay of these mounts. The names of the images are printed, the top layer first. FILE/lower has the same names.
    Erofs(Erofs),
    /// Unpack an image as layers of overlayfs into a store, and print the options that mount them over each other.
    ///
    /// STORE keeps each layer once, for all images that have it: a layer that is there is not read again. The same layer
    /// under another policy is stored separately. Several commands may use STORE at a time. STORE is created if it does not
    /// exist, and removed again if the first layer fails. No other user may write to it.
    ///
    /// `mount -t overlay overlay -o "$(layercage overlay IMAGE STORE),upperdir=UPPER,workdir=WORK" DIR` mounts the image,
    /// with two empty directories UPPER and WORK on one file system. Without them, the mount is read-only and needs two
    /// layers.
    Overlay(Overlay),
    /// Apply one layer to an existing directory.
    Apply(Apply),
    /// Read a layer from standard input, and write the layer that the policy allows to standard output.
    ///
    /// The output is an uncompressed layer that all tar readers read alike. Over the same lower layers, it gives the
    /// same tree. Whiteouts stay whiteouts. Entries that the policy drops are missing, and a device or named pipe that
    /// it skips becomes a whiteout. Links are not followed, because there is no tree.
    ///
    /// If the layer is refused, the exit code is 3, and the output is truncated: it holds the entries before the refusal,
    /// and ends with an extended header without its content, at which tar readers fail. Use nothing of the output unless
    /// the exit code is 0. With `--digest`, `--size` or `--diff-id`, the layer is verified before the first byte is
    /// written, and the output of another layer is empty.
    ///
    /// containerd can run `filter --unchanged` as a stream processor: the diff ID of an accepted layer stays the same, and
    /// a refused layer fails the pull.
    Filter(Filter),
    /// Read an image or a layer to its end and print every finding, not only the first; write nothing.
    ///
    /// For an image, this finds everything that unpacking would find, except what depends on the machine: privileges,
    /// mounts and what the file system can store. For a layer, it finds everything that does not depend on the lower
    /// layers: it does not check whether the target of a hard link exists there, or whether a parent that the layer
    /// does not list is a link. Devices are checked as if they could be created.
    ///
    /// The exit code is 3 if the policy refuses the image or layer.
    Check(Check),
    /// Print the changes of an image or a layer, one per line, or its final file system; write nothing.
    ///
    /// The final file system is the one that all layers make together. A single layer is listed as an image with one layer.
    /// The owners are those of the layers. Devices and named pipes are listed. The first quirk of each rule that the
    /// default policy refuses is a note on standard error, or with `--json` before the list; `layercage check` prints all
    /// findings. What no policy accepts is refused.
    ///
    /// Changes are printed while a layer is read, before it is verified. Use nothing of them unless the exit code is 0. The
    /// final file system is printed after all layers are verified.
    ///
    /// On a terminal, `--tree` has colours unless NO_COLOR is set, and `--tree` and `--layers` truncate lines to its width.
    /// Output to a file or pipe is never truncated.
    List(List),
    /// Print the rules for images and layers and what each policy does about them, and the limits and their defaults.
    Rules,
    /// Explain a rule or a limit: what it means, why it matters, which tools cause it, and what to do.
    Explain {
        /// The id of a rule, as messages show it in brackets, or the name of a limit, as in `--limit`.
        #[arg(value_name = "RULE")]
        rule: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Unpack {
    #[command(flatten)]
    pub(crate) only: Only,
    #[command(flatten)]
    pub(crate) source: Source,
    /// The directory to create. An empty directory of that name is replaced.
    #[arg(value_name = "ROOTFS")]
    pub(crate) rootfs: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) only: Only,
    /// Order the entries by path. The content of all files is then kept in a temporary file, which needs as much space.
    #[arg(long)]
    pub(crate) sort: bool,
    #[command(flatten)]
    pub(crate) source: Source,
    /// The file to create or replace; `-` writes to standard output. A pipe or a device is written to directly.
    #[arg(value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
}

impl Export {
    pub(crate) fn is_to_standard_output(&self) -> bool {
        self.file.as_os_str() == "-"
    }
}

#[derive(Debug, Args)]
pub(crate) struct Erofs {
    /// Drop the content of files that a later entry or an upper layer hides. Otherwise it is dead space in FILE. With
    /// `--layers`, only content that the same layer hides is dropped. Layers with content are read twice for this.
    #[arg(long)]
    pub(crate) compact: bool,
    /// The size of blocks in bytes, 512 or 4096. The default is 512, or 4096 with `--verity`. With 4096, the ends of files
    /// are kept in a temporary file beside FILE until all layers are read.
    #[arg(long, value_name = "BYTES", value_parser = words!(BlockSize))]
    pub(crate) block_size: Option<BlockSize>,
    /// Append the hash tree of dm-verity, and print the root hash and `--hash-offset`.
    ///
    /// `veritysetup open FILE NAME FILE ROOT-HASH --hash-offset=OFFSET` creates a block device, and Linux verifies each
    /// block that is read from it.
    #[arg(long)]
    pub(crate) verity: bool,
    /// The salt of the hash tree, in hexadecimal digits, at most 256 bytes; `-` is no salt, the default.
    #[arg(long, value_name = "HEX", requires = "verity")]
    pub(crate) salt: Option<Salt>,
    /// Write one EROFS image for each layer, for overlayfs. FILE is then the name of a directory, which must be empty or
    /// must not exist. Each image is a file `ALGORITHM-DIGEST.erofs`, named by the chain ID of its layer. The file `lower`
    /// lists them.
    ///
    /// Removed paths are marked for overlayfs. A hard link to a file of a lower layer becomes a copy of the file. With
    /// `--verity`, each printed line also has the root hash and `--hash-offset`.
    #[arg(long)]
    pub(crate) layers: bool,
    /// How removed paths are marked in layers: as devices with the number 0:0, the default, or as files with an attribute,
    /// which need Linux 6.7.
    #[arg(long, value_name = "KIND", value_parser = words!(Whiteouts), requires = "layers")]
    whiteouts: Option<Whiteouts>,
    /// The attributes of overlayfs in layers: `trusted`, the default, or `user`, for mounts with `userxattr`, as in a user
    /// namespace.
    #[arg(long, value_name = "NAMESPACE", value_parser = words!(OverlayNamespace), requires = "layers")]
    xattr_namespace: Option<OverlayNamespace>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// The file to create or replace; with `--layers`, the directory to create.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

impl Erofs {
    /// The format of layers.
    pub(crate) fn format(&self) -> OverlayFormat {
        completed(self.whiteouts, self.xattr_namespace, OverlayFormat::ORDINARY)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Bundle {
    /// The user of the process, by name or number, instead of the user that the image states.
    ///
    /// Without root, another user than root is a usage error.
    #[arg(long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<String>,
    /// Give the process a terminal, and TERM unless the image sets it. The runtime must then be started on a terminal.
    #[arg(long)]
    pub(crate) tty: bool,
    #[command(flatten)]
    pub(crate) source: Source,
    /// The directory to create. An empty directory of that name is replaced.
    #[arg(value_name = "BUNDLE")]
    pub(crate) directory: PathBuf,
    /// The command to run instead of the `Cmd` of the image. It is added to the image's `Entrypoint`.
    #[arg(value_name = "COMMAND", last = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Overlay {
    /// Remove IMAGE from STORE instead, and the layers that no other image in it needs. IMAGE may be the digest of the
    /// manifest. Unmount the image first: this is not checked.
    #[arg(long)]
    pub(crate) remove: bool,
    /// How removed paths are marked: as devices with the number 0:0, or as files with an attribute, which Linux 6.7
    /// understands. The default is `device` for root, otherwise `xattr`.
    #[arg(long, value_name = "KIND", value_parser = words!(Whiteouts))]
    whiteouts: Option<Whiteouts>,
    /// The attributes of overlayfs: `trusted`, which needs root, or `user`, for mounts with `userxattr`, as in a user
    /// namespace. The default is `trusted` for root, otherwise `user`.
    #[arg(long, value_name = "NAMESPACE", value_parser = words!(OverlayNamespace))]
    xattr_namespace: Option<OverlayNamespace>,
    #[command(flatten)]
    pub(crate) source: Source,
    /// The directory with the layers of all images.
    #[arg(value_name = "STORE")]
    pub(crate) store: PathBuf,
}

impl Overlay {
    /// The format of layers: the given one, completed by what is possible.
    pub(crate) fn format(&self, possible: OverlayFormat) -> OverlayFormat {
        completed(self.whiteouts, self.xattr_namespace, possible)
    }
}

/// What was given of a format of layers, completed by another format.
fn completed(whiteouts: Option<Whiteouts>, namespace: Option<OverlayNamespace>, other: OverlayFormat) -> OverlayFormat {
    OverlayFormat { whiteouts: whiteouts.unwrap_or(other.whiteouts), namespace: namespace.unwrap_or(other.namespace) }
}

/// The image to unpack or export, and how.
#[derive(Debug, Args)]
pub(crate) struct Source {
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
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) known: Known,
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
pub(crate) struct Filter {
    /// Write the uncompressed bytes of the layer unchanged if the policy accepts it, and write nothing if the policy
    /// refuses it. Nothing is dropped or adjusted, so options that ask for it are usage errors. The layer is kept in a
    /// temporary file.
    #[arg(long)]
    pub(crate) unchanged: bool,
    #[command(flatten)]
    pub(crate) known: Known,
    #[command(flatten)]
    pub(crate) judging: Judging,
    #[command(flatten)]
    pub(crate) threads: Threads,
}

/// The known digests and size of a layer.
#[derive(Debug, Args)]
pub(crate) struct Known {
    /// The digest of the layer as it is stored; checked before anything is changed or written.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<Digest>,
    /// The size of the layer as it is stored, in bytes; checked before anything is changed or written.
    #[arg(long, value_name = "BYTES")]
    size: Option<u64>,
    /// The digest of the uncompressed layer; checked before anything is changed or written.
    #[arg(long, value_name = "DIGEST")]
    diff_id: Option<Digest>,
    /// Treat the input as a layer even if it looks like the archive of an image, which is otherwise a usage error.
    /// `--digest` and `--diff-id` have the same effect.
    #[arg(long = "as", value_name = "WHAT", value_parser = ["layer"])]
    taken_for: Option<String>,
}

impl Known {
    /// Whether an image may have been given by mistake.
    fn refuses_images(&self) -> bool {
        self.taken_for.is_none() && self.digest.is_none() && self.diff_id.is_none()
    }

    /// Whether the layer is compared with anything.
    pub(crate) fn is_anything(&self) -> bool {
        self.digest.is_some() || self.size.is_some() || self.diff_id.is_some()
    }

    /// The layer with the expected digests and size.
    pub(crate) fn expect<R: Read>(&self, layer: Layer<R>) -> Layer<R> {
        let layer = if self.refuses_images() { layer.refuse_images() } else { layer };
        let expected = self.digest.into_iter().fold(Expected::unchecked(), Expected::with_digest);
        let expected = self.size.into_iter().fold(expected, Expected::with_size);
        layer.expecting(self.diff_id.into_iter().fold(expected, Expected::with_diff_id))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) judging: Judging,
    #[command(flatten)]
    pub(crate) input: Input,
}

/// How many threads work.
#[derive(Debug, Args)]
pub(crate) struct Threads {
    /// The number of threads. With 1, there is no parallelism; more than one more than the layers are not used. The default
    /// is the number of processors.
    #[arg(long, value_name = "THREADS", value_parser = parse_jobs)]
    jobs: Option<NonZeroUsize>,
}

impl Threads {
    pub(crate) fn jobs(&self) -> NonZeroUsize {
        self.jobs.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN)
    }
}

/// Options for the work itself.
#[derive(Debug, Args)]
pub(crate) struct Working {
    #[command(flatten)]
    threads: Threads,
    /// Synchronize ROOTFS or FILE to the disk before it is renamed into place and its parent directory afterwards, or DIR
    /// after LAYER is applied.
    #[arg(long)]
    sync: bool,
    /// The SELinux label of all files, directories and links that are created. Labels that the image states are dropped in
    /// any case.
    #[arg(long, value_name = "CONTEXT")]
    selinux_label: Option<SelinuxLabel>,
}

impl Working {
    /// The policy that the options select, with its durability.
    pub(crate) fn policy(&self, judging: &Judging) -> Result<Policy, String> {
        let policy = judging.policy()?;
        let policy = self.selinux_label.iter().cloned().fold(policy, Policy::with_selinux_label);
        Ok(if self.sync { policy.with_durability(Durability::Synced) } else { policy })
    }

    pub(crate) fn jobs(&self) -> NonZeroUsize {
        self.threads.jobs()
    }
}

fn parse_jobs(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "a number of threads from 1 is needed".to_owned())
}
