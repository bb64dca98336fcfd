//! What is printed about a hash tree.

use layercage::erofs::Verity;
use serde_json::{Value, json};

/// What `veritysetup` needs: the root hash, and where the superblock of the tree is.
pub(crate) fn arguments(verity: &Verity) -> String {
    format!("{} --hash-offset={}", verity.root_hash.hex(), verity.hash_offset)
}

/// Adds the hash tree to an object, if there is one.
pub(crate) fn add(object: &mut Value, verity: Option<&Verity>) {
    if let (Some(verity), Value::Object(members)) = (verity, object) {
        members.insert(
            "verity".to_owned(),
            json!({
                "root_hash": verity.root_hash.hex(),
                "salt": verity.salt.to_string(),
                "hash_offset": verity.hash_offset,
                "data_block_bytes": verity.data_block_bytes,
                "data_blocks": verity.data_blocks,
            }),
        );
    }
}
