//! The input of a command, and the choice of one image among several.

use crate::judging::words;
use clap::Args;
use layercage::error::Escaped;
use layercage::image::{Platform, What};
use layercage::{Digest, Selector};
use std::path::PathBuf;

/// An image or a layer.
#[derive(Debug, Args)]
pub(crate) struct Input {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Read INPUT as an image or as a layer, whatever it looks like.
    ///
    /// By default, INPUT is an image if it has `oci-layout`, `index.json`, or the `manifest.json` of `docker save`, even if
    /// it is incomplete; otherwise it is a layer. `--ref`, `--platform`, `--manifest-digest`, `--image-id` and a TAG are
    /// usage errors for a layer.
    #[arg(long = "as", value_name = "WHAT", value_parser = words!(What))]
    pub(crate) taken_for: Option<What>,
    /// An image in any of its forms, as `DIR`, `DIR:TAG`, `FILE` or `FILE:TAG`, with or without skopeo's `oci:`,
    /// `oci-archive:`, `docker-archive:` or `dir:` in front; or a layer. Archives and layers may be compressed with gzip
    /// or zstd. `-` reads standard input.
    #[arg(value_name = "INPUT")]
    pub(crate) input: PathBuf,
}

/// The options that choose an image.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// The name of the image: a tag of an image layout, or a reference such as `alpine:3.19`, which may be shortened if
    /// it stays unambiguous; or `@N`, its position from 0.
    #[arg(long = "ref", value_name = "NAME")]
    reference: Option<String>,
    /// The platform of the image, or a platform that can run it; the default is the platform of this machine, which
    /// also completes OS or ARCH alone.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// The digest of the manifest or of an index. Everything is verified from this value, whatever the image lists.
    #[arg(long, value_name = "DIGEST", conflicts_with = "reference")]
    manifest_digest: Option<Digest>,
    /// The digest of the image's configuration, which `docker images` and `podman images` call IMAGE ID, in full, with
    /// or without `sha256:`. Everything is verified from this value, whatever the image lists.
    #[arg(long, value_name = "ID", value_parser = parse_image_id, conflicts_with_all = ["reference", "manifest_digest"])]
    image_id: Option<Digest>,
}

impl Selection {
    /// The option that selects an image, if there is one. None of them applies to a layer.
    pub(crate) fn asks_for(&self, tag: Option<&str>) -> Option<String> {
        match () {
            () if self.manifest_digest.is_some() => Some("`--manifest-digest`".to_owned()),
            () if self.image_id.is_some() => Some("`--image-id`".to_owned()),
            () if self.reference.is_some() => Some("`--ref`".to_owned()),
            () if self.platform.is_some() => Some("`--platform`".to_owned()),
            () => tag.map(|tag| format!("the tag {}", Escaped::new(tag.as_bytes()))),
        }
    }

    /// The selector. `tag` is the part behind the name of the file or directory. An error if the options contradict it.
    pub(crate) fn selector(&self, tag: Option<&str>) -> Result<Selector, String> {
        let shown = |tag: &str| Escaped::new(tag.as_bytes());
        match (tag, &self.reference) {
            (Some(tag), Some(reference)) if tag != reference => {
                return Err(format!("the tag {} contradicts `--ref {}`", shown(tag), shown(reference)));
            }
            (Some(tag), None) if self.manifest_digest.is_some() => {
                return Err(format!("the tag {} contradicts `--manifest-digest`, which needs no name", shown(tag)));
            }
            (Some(tag), None) if self.image_id.is_some() => {
                return Err(format!("the tag {} contradicts `--image-id`, which needs no name", shown(tag)));
            }
            _ => {}
        }
        let selector = self.platform.iter().cloned().fold(Selector::host(), Selector::with_platform);
        let selector = self.manifest_digest.into_iter().fold(selector, Selector::with_manifest_digest);
        let selector = self.image_id.into_iter().fold(selector, Selector::with_image_id);
        Ok(match self.reference.as_deref().or(tag) {
            None => selector,
            Some(name) => match position(name)? {
                Some(position) => selector.with_position(position),
                None => selector.with_reference(name),
            },
        })
    }
}

/// Reads a position, `@` and digits. No tag and no reference begins with `@`.
fn position(name: &str) -> Result<Option<usize>, String> {
    let Some(number) = name.strip_prefix('@') else { return Ok(None) };
    let number = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let position = number.and_then(|number| number.parse().ok());
    let shown = || Escaped::new(name.as_bytes());
    position.map(Some).ok_or_else(|| format!("{} is no position: that is `@` and a number from 0, as in `@0`", shown()))
}

fn parse_image_id(text: &str) -> Result<Digest, String> {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    format!("sha256:{hex}").parse().map_err(|_| {
        "an image ID is 64 lower-case hexadecimal digits, with or without sha256: in front; `docker images --no-trunc` \
         prints them all"
            .to_owned()
    })
}
