//! Images as data for machines, described in docs/json.md.

use super::inventory::ListedManifest;
use super::selected::Selected;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Which image it is: an object that is enough to ask for the same one again.
impl Serialize for Selected {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "image")?;
        map.serialize_entry("name", &self.name())?;
        map.serialize_entry("platform", &self.platform().map(ToString::to_string))?;
        map.serialize_entry("manifest", &self.manifest().map(|manifest| manifest.digest().to_string()))?;
        map.serialize_entry("config", &self.config().digest().to_string())?;
        map.end()
    }
}

impl Serialize for ListedManifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", "manifest")?;
        map.serialize_entry("position", &self.position())?;
        map.serialize_entry("kind", self.kind().name())?;
        map.serialize_entry("platform", &self.platform().map(ToString::to_string))?;
        map.serialize_entry("manifest", &self.manifest_digest().map(ToString::to_string))?;
        map.serialize_entry("config", &self.image_id().map(ToString::to_string))?;
        map.serialize_entry("names", &self.names().collect::<Vec<_>>())?;
        if let Some(artifact_type) = self.artifact_type() {
            map.serialize_entry("artifact_type", artifact_type)?;
        }
        if let Some(problem) = self.problem() {
            map.serialize_entry("problem", problem)?;
        }
        map.end()
    }
}
