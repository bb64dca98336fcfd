//! The configuration that sends every layer to this program.

use super::{DIFF_SERVICE, TRANSFER, Version};
use crate::arguments::Named;

/// The configuration for a version of containerd, and for these snapshotters.
///
/// # Errors
///
/// The version cannot use a differ.
pub(crate) fn print(version: Version, named: &Named, snapshotters: &[String]) -> Result<String, String> {
    if let Some(why) = version.refused() {
        return Err(why);
    }
    let Named { name, socket } = named;
    let platform = platform();
    let format = if version.is_second() { 3 } else { 2 };
    let unpack = snapshotters.iter().map(|snapshotter| {
        format!(
            "\n[[plugins.\"{TRANSFER}\".unpack_config]]\n  platform = \"{platform}\"\n  \
             snapshotter = {snapshotter:?}\n  differ = {name:?}\n"
        )
    });
    let unpack: String = unpack.collect();
    Ok(format!(
        "version = {format}\n\n\
         [proxy_plugins.{name:?}]\n  type = \"diff\"\n  address = {socket:?}\n\n\
         # What Kubernetes, Docker and `ctr --local` unpack. \"walking\" writes layers (`commit`).\n\
         [plugins.\"{DIFF_SERVICE}\"]\n  default = [{name:?}, \"walking\"]\n\n\
         # What the transfer service unpacks (`ctr`, nerdctl, Kubernetes from containerd 2.1 on): this replaces its list.{unpack}"
    ))
}

/// The platform of this machine, in the words of containerd.
fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    };
    format!("linux/{architecture}")
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    fn named() -> Named {
        Named { name: "layercage".to_owned(), socket: "/run/layercage/differ.sock".to_owned() }
    }

    #[test]
    fn what_is_printed_for_a_version_passes_the_check_for_it() {
        for (version, format) in [("1.7.4", "version = 2"), ("2.0.0", "version = 3"), ("2.3.4", "version = 3")] {
            let version = Version::parse(version).unwrap();
            let text = print(version, &named(), &["overlayfs".to_owned(), "native".to_owned()]).unwrap();
            assert!(text.starts_with(format));
            let checked = check(&text, Some(version), &named()).unwrap();
            assert_eq!(checked.problems, Vec::<String>::new(), "{text}");
            assert_eq!(checked.right.len(), 3, "{:?}", checked.right);
        }
    }

    #[test]
    fn nothing_is_printed_for_a_version_that_cannot_load_a_differ() {
        assert!(print(Version::parse("1.6.20").unwrap(), &named(), &[]).unwrap_err().contains("panic"));
    }
}
