//! Compares the two lists that an image may have: `index.json`, and the `manifest.json` of `docker save`.
//!
//! Newer writers write both lists, so that older readers find the one that they know. The list that a reader uses
//! depends on the reader and its version. If the two lists name different images for one selector, two readers see two
//! images.

use super::by_digest::ByDigest;
use super::descriptor::Descriptor;
use super::docker_list;
use super::document::digest_of;
use super::layer::LayerPlace;
use super::manifest::parse_index;
use super::names::{INDEX_JSON, MANIFEST_JSON, blob_name, in_file};
use super::selected::Selected;
use super::selector::Selector;
use super::store::{Naming, Store};
use crate::words::{Algorithm, Digest, EntryPath, Error, Misuse, Violation};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// Why the lists disagree; `None` if they do not.
pub(super) type Disagreement = Option<String>;

/// Compares what was selected from a layout with its `manifest.json`. An image there that the selector matches must be
/// the selected one, or be for another platform and listed in the index, too.
pub(super) fn compare_with_docker(
    store: &Store,
    selected: &Selected,
    selector: &Selector,
) -> Result<Disagreement, Error> {
    let Some(listed) = store.file(MANIFEST_JSON, docker_list::parse_beside_index)? else { return Ok(None) };
    let layers = files_of(selected)?;
    // The digest, and whether the configuration is for the selected platform. Each configuration is read once.
    let mut configs: HashMap<&EntryPath, (Digest, bool)> = HashMap::new();
    let mut of_index = None;
    for (position, image) in selector.matching(&listed) {
        let (config, is_same_platform) = match configs.get(image.config()) {
            Some(known) => *known,
            None => {
                let read = store.read_config(image)?;
                let known = (*read.document.descriptor.digest(), read.config.platform.as_ref() == selected.platform());
                *configs.entry(image.config()).insert_entry(known).get()
            }
        };
        let (config, expected) = (&config, selected.config().digest());
        if config == expected && layers == image.layers() {
            continue;
        }
        if !is_same_platform {
            let of_index = match &of_index {
                Some(of_index) => of_index,
                None => &*of_index.insert(images_of_index(store)?),
            };
            if of_index.contains(&key_of(config, image.layers())) {
                continue;
            }
        }
        let name = image.name(position, Some(config));
        return Ok(Some(match config == expected {
            true => format!("`manifest.json` has other layers for {name}"),
            false => format!("`manifest.json` has the configuration {config} for {name}, `index.json` {expected}"),
        }));
    }
    Ok(None)
}

/// Compares what was selected from an archive of `docker save` with its `index.json`. The archive is no layout, because
/// `oci-layout` is missing, but not all readers look for that file.
pub(super) fn compare_with_index(
    store: &Store,
    selected: &Selected,
    selector: &Selector,
) -> Result<Disagreement, Error> {
    if store.file(INDEX_JSON, |_| Ok(()))?.is_none() {
        return Ok(None);
    }
    let other = match store.named(Naming::Layout).select_indexed(selector) {
        Err(error)
            if matches!(error.misuse(), Some(Misuse::NothingSelected { .. } | Misuse::SeveralSelected { .. })) =>
        {
            return Ok(None);
        }
        other => other?,
    };
    let (config, expected) = (other.config().digest(), selected.config().digest());
    Ok(match config == expected {
        true if files_of(&other)? == files_of(selected)? => None,
        true => Some("`index.json` has other layers".to_owned()),
        false => Some(format!("`index.json` has the configuration {config}, `manifest.json` {expected}")),
    })
}

/// All images of the index that the store holds, of any name and platform.
fn images_of_index(store: &Store) -> Result<HashSet<Digest>, Error> {
    let (mut images, mut failed) = (HashSet::new(), None);
    ByDigest { store, roots: &|| store.index(|bytes| parse_index(bytes, None)) }.each_manifest(|_, manifest| {
        let files: Result<Vec<_>, Violation> = manifest.layers.iter().map(file_of_blob).collect();
        match files {
            Ok(files) => {
                images.insert(key_of(manifest.config.digest(), &files));
                ControlFlow::Continue(())
            }
            Err(violation) => {
                failed = Some(Error::from(violation).at(in_file(INDEX_JSON)));
                ControlFlow::Break(())
            }
        }
    })?;
    failed.map_or(Ok(images), Err)
}

/// A key for a configuration and the files of its layers.
fn key_of(config: &Digest, files: &[EntryPath]) -> Digest {
    let mut bytes = config.to_string().into_bytes();
    for file in files {
        bytes.push(0);
        bytes.extend_from_slice(file.as_bytes());
    }
    digest_of(Algorithm::Sha256, &bytes)
}

/// The files that hold the layers of an image.
fn files_of(image: &Selected) -> Result<Vec<EntryPath>, Error> {
    image.layers().iter().map(|layer| file_of(layer.place())).collect()
}

/// The file that holds a layer.
fn file_of(place: &LayerPlace) -> Result<EntryPath, Error> {
    match place {
        LayerPlace::Member(name) => Ok(name.clone()),
        LayerPlace::Blob(blob) => {
            file_of_blob(blob).map_err(|violation| Error::from(violation).at(in_file(INDEX_JSON)))
        }
    }
}

fn file_of_blob(blob: &Descriptor) -> Result<EntryPath, Violation> {
    EntryPath::parse(blob_name(blob.digest()).as_bytes(), &crate::words::Limits::default())
}
