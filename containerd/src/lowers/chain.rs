//! Chain IDs (image-spec, config.md, "Layer ChainID").

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The part of an image configuration that names its layers.
#[derive(Debug, Deserialize)]
struct Configuration {
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// The chain IDs of the layers below one, from the bottom, if the configuration has the layer with this chain ID.
///
/// The chain ID is a hash over all that it stands for: a configuration cannot lie about it.
pub(super) fn below(configuration: &[u8], chain_id: &str) -> Option<Vec<String>> {
    let Configuration { rootfs } = serde_json::from_slice(configuration).ok()?;
    let mut chain_ids: Vec<String> = Vec::new();
    for diff_id in rootfs.diff_ids {
        let next = match chain_ids.last() {
            None => diff_id,
            Some(last) => sha256(format!("{last} {diff_id}").as_bytes()),
        };
        if next == chain_id {
            return Some(chain_ids);
        }
        chain_ids.push(next);
    }
    None
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layers_below_one_are_found_by_its_chain_id() {
        let diff_ids = ["1", "2", "3"].map(|digit| format!("sha256:{}", digit.repeat(64)));
        let configuration = serde_json::json!({ "rootfs": { "type": "layers", "diff_ids": diff_ids } }).to_string();
        let first = diff_ids[0].clone();
        let second = sha256(format!("{first} {}", diff_ids[1]).as_bytes());
        let third = sha256(format!("{second} {}", diff_ids[2]).as_bytes());
        let below = |chain_id: &str| below(configuration.as_bytes(), chain_id);
        assert_eq!(below(&first), Some(vec![]));
        assert_eq!(below(&third), Some(vec![first.clone(), second]));
        assert_eq!(below(&diff_ids[1]), None);
        assert_eq!(super::below(b"{}", &first), None);
    }
}
