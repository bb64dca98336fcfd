//! Which of several images is meant.

use crate::arguments::parse_digest;
use clap::Args;
use layercage::{Digest, Escaped, Platform, Selector};

/// The options that say so.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// The name of the image: a tag of an image layout, or a reference such as `alpine:3.19`.
    #[arg(long = "ref", value_name = "NAME")]
    reference: Option<String>,
    /// The platform whose files are meant, or what it runs besides; that of this machine unless it is given.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = parse_platform)]
    platform: Option<Platform>,
    /// The digest of the manifest, or of an index; all is verified from this one value, whatever the image lists.
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest, conflicts_with = "reference")]
    manifest_digest: Option<Digest>,
}

impl Selection {
    /// What was asked for of an image, if anything: none of it says anything of a layer.
    pub(crate) fn asks_for(&self, tag: Option<&str>) -> Option<String> {
        match () {
            () if self.manifest_digest.is_some() => Some("`--manifest-digest`".to_owned()),
            () if self.reference.is_some() => Some("`--ref`".to_owned()),
            () if self.platform.is_some() => Some("`--platform`".to_owned()),
            () => tag.map(|tag| format!("the tag {}", Escaped::new(tag.as_bytes()))),
        }
    }

    /// `tag` is what stood behind the name of the file or directory; or why the options are not of one mind with it.
    pub(crate) fn selector(&self, tag: Option<&str>) -> Result<Selector, String> {
        let shown = |tag: &str| Escaped::new(tag.as_bytes());
        match (tag, &self.reference) {
            (Some(tag), Some(reference)) if tag != reference => {
                return Err(format!("the tag {} contradicts `--ref {}`", shown(tag), shown(reference)));
            }
            (Some(tag), None) if self.manifest_digest.is_some() => {
                return Err(format!("the tag {} contradicts `--manifest-digest`, which needs no name", shown(tag)));
            }
            _ => {}
        }
        let selector = self.platform.iter().cloned().fold(Selector::host(), Selector::platform);
        let selector = self.manifest_digest.into_iter().fold(selector, Selector::manifest_digest);
        Ok(self.reference.as_deref().or(tag).into_iter().fold(selector, Selector::reference))
    }
}

fn parse_platform(text: &str) -> Result<Platform, String> {
    text.parse().map_err(|_| "os/arch or os/arch/variant is needed, such as linux/arm/v7".to_owned())
}
