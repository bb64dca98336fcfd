//! The `config.json` of a bundle, from the configuration of an image (image-spec, conversion.md).

use super::stated::{Stated, name_of};
use super::user::User;
use layercage::image::ImageConfig;
use oci_spec::OciSpecError;
use oci_spec::runtime::{LinuxCapabilities, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, Root, RootBuilder, Spec};
use rustix::process::{Uid, getegid, geteuid};
use std::collections::{BTreeMap, HashMap};

/// The search path of a process whose image sets none.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The kind of terminal of a process whose image sets none.
const TERM: &str = "TERM=xterm";

/// The name of the machine that the container sees. Without one, a runtime leaves the name of the host.
const HOSTNAME: &str = "runc";

/// The prefix of the annotations that conversion.md defines.
const ANNOTATION: &str = "org.opencontainers.image.";

/// Who starts the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starter {
    Root,
    /// Another user, who becomes root of a user namespace that has no other ID.
    Rootless {
        uid: u32,
        gid: u32,
    },
}

impl Starter {
    /// The user that runs this command.
    pub(crate) fn current() -> Self {
        match geteuid() {
            Uid::ROOT => Self::Root,
            uid => Self::Rootless { uid: uid.as_raw(), gid: getegid().as_raw() },
        }
    }
}

/// What the process reads from and writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Console {
    /// The files that the runtime is started with.
    Inherited,
    /// A terminal of its own. The runtime then needs one, too.
    Terminal,
}

/// Converts the configuration of an image, with the program and its arguments.
pub(crate) fn convert(
    image: &ImageConfig,
    stated: &Stated,
    user: &User,
    args: Vec<String>,
    (starter, console): (Starter, Console),
) -> Result<Vec<u8>, OciSpecError> {
    let mut spec = match starter {
        Starter::Root => Spec::default(),
        Starter::Rootless { uid, gid } => rootless(uid, gid),
    };
    let root: Root = RootBuilder::default().path("rootfs").readonly(false).build()?;
    spec.set_root(Some(root))
        .set_hostname(Some(HOSTNAME.to_owned()))
        .set_annotations(Some(annotations(image, &stated.labels)));
    if let Some(resources) = spec.linux_mut().as_mut().and_then(|linux| linux.resources_mut().as_mut()) {
        // The runtime adds the devices that every container has.
        let none: LinuxDeviceCgroup = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build()?;
        resources.set_devices(Some(vec![none]));
    }
    if let Some(process) = spec.process_mut() {
        process.set_args(Some(args)).set_env(Some(environment(&stated.env, user, console)));
        process.set_terminal(Some(console == Console::Terminal));
        // By these sets, a program of a user other than root would get effective capabilities (CVE-2022-24769,
        // CVE-2022-29162).
        let mut capabilities = LinuxCapabilities::default();
        capabilities.set_inheritable(None).set_ambient(None);
        process.set_capabilities(Some(capabilities));
        process.set_cwd(working_directory(image).into());
        if starter == Starter::Root {
            let runtime_user = process.user_mut();
            runtime_user.set_uid(user.uid).set_gid(user.gid);
            runtime_user.set_additional_gids(Some(user.groups.clone()).filter(|groups| !groups.is_empty()));
        }
    }
    // A `Value` has its members in order, which a map of annotations has not.
    let mut json = serde_json::to_vec_pretty(&serde_json::to_value(&spec)?)?;
    json.push(b'\n');
    Ok(json)
}

/// The part that depends on the privilege of the starter. In a user namespace, the kernel allows no new mount of control
/// groups, which `/sys` of the host brings.
fn rootless(uid: u32, gid: u32) -> Spec {
    let mut spec = Spec::rootless(uid, gid);
    if let Some(mounts) = spec.mounts_mut() {
        // Not `/sys/`: to a path, that is `/sys` itself, which stays.
        mounts.retain(|mount| !mount.destination().starts_with("/sys/fs"));
    }
    spec
}

/// The working directory, which the runtime needs as an absolute path.
fn working_directory(image: &ImageConfig) -> String {
    match image.working_dir().unwrap_or_default() {
        absolute if absolute.starts_with('/') => absolute.to_owned(),
        relative => format!("/{relative}"),
    }
}

/// The environment of the image, and what a program expects that the image does not set.
fn environment(stated: &[String], user: &User, console: Console) -> Vec<String> {
    let mut environment = stated.to_vec();
    let home = user.home.as_deref().unwrap_or("/");
    let terminal = (console == Console::Terminal).then(|| TERM.to_owned());
    for variable in [PATH.to_owned(), format!("HOME={home}")].into_iter().chain(terminal) {
        if !environment.iter().any(|stated| name_of(stated) == name_of(&variable)) {
            environment.push(variable);
        }
    }
    environment
}

/// The annotations: what the image says of itself, and its labels, which come first where both are there.
fn annotations(image: &ImageConfig, labels: &BTreeMap<String, String>) -> HashMap<String, String> {
    let ports = image.exposed_ports().iter().map(String::as_str).collect::<Vec<_>>().join(",");
    let implied = [
        ("os", image.os()),
        ("architecture", image.architecture()),
        ("variant", image.variant()),
        ("os.version", image.os_version()),
        ("author", image.author()),
        ("created", image.created()),
        ("stopSignal", image.stop_signal()),
        ("exposedPorts", Some(ports.as_str()).filter(|ports| !ports.is_empty())),
    ];
    let implied =
        implied.into_iter().filter_map(|(name, value)| Some((format!("{ANNOTATION}{name}"), value?.to_owned())));
    let labels = labels.iter().map(|(name, value)| (name.clone(), value.clone()));
    implied.chain(labels).collect()
}
