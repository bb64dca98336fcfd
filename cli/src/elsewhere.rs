//! Inputs that are not on this machine's file system: messages that say how to bring them there.

use crate::tell::{Failure, shown};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What skopeo writes in front of images that are not files, and where such an image is.
const TRANSPORTS: &[(&str, &str)] = &[
    ("docker://", "in a registry"),
    ("docker-daemon:", "in the Docker daemon"),
    ("containers-storage:", "in the storage of podman and buildah"),
    ("ostree:", "in an OSTree repository"),
];

/// The failure for an input that does not exist under the name `path`, or `None` if the name says nothing about it.
pub(crate) fn failure(path: &Path) -> Option<Failure> {
    let (bytes, name) = (path.as_os_str().as_bytes(), shown(path));
    let begins = |word: &str| bytes.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word.as_bytes()));
    if let Some((_, place)) = TRANSPORTS.iter().find(|(transport, _)| begins(transport)) {
        let failure = Failure::usage(format!("{name} is {place}, and layercage reads files and directories"));
        return Some(
            failure.with_help(format!("`skopeo copy {name} oci:DIR` writes it to a directory; then give DIR")),
        );
    }
    if begins("https://") || begins("http://") {
        let failure = Failure::usage(format!("{name} is on a server, and layercage reads files and directories"));
        return Some(failure.with_help(format!("`curl -fLO {name}` downloads it; then give the file")));
    }
    None
}

/// The part of a name in front of a digest, as in `app:1@sha256:…`.
pub(crate) fn before_digest(bytes: &[u8]) -> Option<&[u8]> {
    let marks: [&[u8]; 2] = [b"@sha256:", b"@sha512:"];
    let at = (0..bytes.len()).rev().find(|&at| {
        let rest = bytes.get(at..).unwrap_or_default();
        marks.iter().any(|mark| rest.starts_with(mark))
    })?;
    bytes.get(..at).filter(|name| !name.is_empty())
}

/// The failure for a digest behind the name of an input.
pub(crate) fn digest_behind(path: &Path) -> Failure {
    Failure::usage(format!("{}: a path takes a tag or a position, not a digest", shown(path))).with_help(
        "`--manifest-digest DIGEST` selects by the digest of the manifest; give the path without tag and digest"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_behind_a_name_is_found_and_a_name_of_that_form_is_not() {
        assert_eq!(before_digest(b"app@sha256:ab"), Some(&b"app"[..]));
        assert_eq!(before_digest(b"d/app:1@sha512:ab"), Some(&b"d/app:1"[..]));
        for name in [&b"app:sha256:ab"[..], b"app@sha1:ab", b"@sha256:ab", b"", b"app@"] {
            assert_eq!(before_digest(name), None);
        }
    }

    #[test]
    fn transports_are_recognised_and_paths_are_not() {
        for path in ["docker://alpine", "Docker://alpine", "containers-storage:a", "docker-daemon:a:1", "https://h/f"] {
            assert!(failure(Path::new(path)).is_some(), "{path}");
        }
        for path in ["docker:/alpine", "oci:a", "a:docker://b", "http:", "docker"] {
            assert!(failure(Path::new(path)).is_none(), "{path}");
        }
    }
}
