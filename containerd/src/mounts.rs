//! What the mounts of a request say: the directories to which a layer is applied. Nothing is ever mounted.

use crate::proto::types::Mount;
use layercage::overlay::OverlayNamespace;
use std::path::PathBuf;

/// Where a layer is applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A directory that has the files of all lower layers: that of the first layer, and any of the native snapshotter.
    Tree(PathBuf),
    /// The upper directory of an overlay.
    Overlay {
        /// The directory that is changed.
        upper: PathBuf,
        /// The directories below it, the top one first. `None` if layers are unpacked side by side.
        lowers: Option<Vec<PathBuf>>,
        /// The attributes that this overlay understands.
        namespace: OverlayNamespace,
    },
}

/// Options of a bind mount that change nothing about the files in it.
const OF_A_BIND: &[&str] = &["bind", "rbind", "rw"];

/// Options of an overlay that change nothing about what its layers must look like.
const OF_AN_OVERLAY: &[&str] = &[
    "rw",
    "index=off",
    "index=on",
    "metacopy=off",
    "redirect_dir=off",
    "redirect_dir=nofollow",
    "xino=auto",
    "xino=off",
    "xino=on",
];

impl Target {
    /// Reads the mounts of a request.
    ///
    /// # Errors
    ///
    /// A sentence about what is not supported. Every kind of mount and every option that is not known is an error: it might
    /// show other files than the ones that are written.
    pub(crate) fn of(mounts: &[Mount]) -> Result<Self, String> {
        let [mount] = mounts else { return Err(format!("one mount is needed, and there are {}", mounts.len())) };
        if !mount.target.is_empty() {
            return Err(format!("a mount at a path inside of the snapshot is not supported: {:?}", mount.target));
        }
        match mount.r#type.as_str() {
            "bind" => Self::of_a_bind(mount),
            "overlay" => Self::of_an_overlay(mount),
            other => Err(format!("mounts of type {other:?} are not supported, only bind and overlay")),
        }
    }

    fn of_a_bind(mount: &Mount) -> Result<Self, String> {
        match mount.options.iter().find(|option| !OF_A_BIND.contains(&option.as_str())) {
            Some(option) => Err(format!("the option {option:?} of a bind mount is not supported")),
            None => Ok(Self::Tree(PathBuf::from(&mount.source))),
        }
    }

    fn of_an_overlay(mount: &Mount) -> Result<Self, String> {
        let (mut upper, mut lowers, mut namespace) = (None, None, OverlayNamespace::Trusted);
        for option in &mount.options {
            match option.split_once('=') {
                Some(("upperdir", path)) if upper.is_none() => upper = Some(PathBuf::from(path)),
                Some(("lowerdir", paths)) if lowers.is_none() => lowers = Some(lower_directories(paths)?),
                // Only the kernel needs it.
                Some(("workdir", _)) => {}
                None if option == "userxattr" => namespace = OverlayNamespace::User,
                _ if OF_AN_OVERLAY.contains(&option.as_str()) => {}
                _ => return Err(format!("the option {option:?} of an overlay is not supported")),
            }
        }
        let upper = upper.ok_or("an overlay without an upper directory cannot be changed")?;
        Ok(Self::Overlay { upper, lowers, namespace })
    }
}

/// The paths of a `lowerdir`. containerd makes them of numbers and never escapes one.
fn lower_directories(paths: &str) -> Result<Vec<PathBuf>, String> {
    if paths.contains('\\') {
        return Err(format!("an escaped path in lowerdir is not supported: {paths:?}"));
    }
    Ok(paths.split(':').map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, source: &str, options: &[&str]) -> Mount {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Mount { r#type: kind.to_owned(), source: source.to_owned(), target: String::new(), options }
    }

    fn overlay(options: &[&str]) -> Result<Target, String> {
        Target::of(&[mount("overlay", "overlay", options)])
    }

    #[test]
    fn every_mount_that_containerd_sends_has_its_directories() {
        assert_eq!(Target::of(&[mount("bind", "/s/1/fs", &["rw", "rbind"])]), Ok(Target::Tree("/s/1/fs".into())));
        let namespace = OverlayNamespace::Trusted;
        let upper = PathBuf::from("/s/3/fs");
        let lowers = Some(vec!["/s/2/fs".into(), "/s/1/fs".into()]);
        assert_eq!(
            overlay(&["index=off", "workdir=/s/3/work", "upperdir=/s/3/fs", "lowerdir=/s/2/fs:/s/1/fs"]),
            Ok(Target::Overlay { upper: upper.clone(), lowers, namespace })
        );
        assert_eq!(
            overlay(&["rw", "upperdir=/s/3/fs"]),
            Ok(Target::Overlay { upper: upper.clone(), lowers: None, namespace })
        );
        assert_eq!(
            overlay(&["upperdir=/s/3/fs", "userxattr"]),
            Ok(Target::Overlay { upper, lowers: None, namespace: OverlayNamespace::User })
        );
    }

    #[test]
    fn every_other_mount_is_refused_by_its_name() {
        let bind = |options: &[&str]| vec![mount("bind", "/s/1/fs", options)];
        let inside = Mount { target: "/data".to_owned(), ..mount("bind", "/s/1/fs", &["rw"]) };
        for (mounts, said) in [
            (vec![], "there are 0"),
            ([bind(&["rw"]), bind(&["rw"])].concat(), "there are 2"),
            (bind(&["ro", "rbind"]), "\"ro\""),
            (bind(&["rw", "uidmap=0:100000:65536"]), "uidmap"),
            (vec![mount("erofs", "/s/1/layer.erofs", &["ro", "loop"])], "\"erofs\""),
            (vec![mount("format/overlay", "overlay", &["upperdir=/s/1/fs"])], "\"format/overlay\""),
            (vec![mount("ext4", "/dev/loop0", &[])], "\"ext4\""),
            (vec![inside], "\"/data\""),
            (vec![mount("overlay", "overlay", &["lowerdir=/s/1/fs:/s/2/fs"])], "without an upper directory"),
            (vec![mount("overlay", "overlay", &["upperdir=/s/1/fs", "volatile"])], "\"volatile\""),
            (vec![mount("overlay", "overlay", &["upperdir=/s/1/fs", "upperdir=/s/2/fs"])], "upperdir=/s/2/fs"),
            (vec![mount("overlay", "overlay", &["upperdir=/s/1/fs", "metacopy=on"])], "metacopy=on"),
            (vec![mount("overlay", "overlay", &["upperdir=/s/2/fs", "lowerdir=/s/a\\:b"])], "escaped"),
            (vec![mount("overlay", "overlay", &["upperdir=/s/1/fs", "uidmap=0:1:2"])], "uidmap"),
        ] {
            let refused = Target::of(&mounts).unwrap_err();
            assert!(refused.contains(said), "{mounts:?}: {refused}");
        }
    }
}
