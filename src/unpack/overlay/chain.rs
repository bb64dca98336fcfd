//! Chain IDs.

use crate::read::Hasher;
use crate::words::{Algorithm, Digest};

/// Identifies a layer with all layers below it (image-spec, config.md, "Layer ChainID").
pub(super) fn chain_id(below: Option<&Digest>, diff_id: &Digest) -> Digest {
    match below {
        None => *diff_id,
        Some(below) => Hasher::over(Algorithm::Sha256, format!("{below} {diff_id}").as_bytes()).finish(),
    }
}

/// The chain IDs of layers, from the bottom.
pub(in crate::unpack) fn chain_ids<'a>(diff_ids: impl Iterator<Item = &'a Digest>) -> impl Iterator<Item = Digest> {
    diff_ids.scan(None, |below: &mut Option<Digest>, diff_id| {
        let chain_id = chain_id(below.as_ref(), diff_id);
        *below = Some(chain_id);
        *below
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_id_is_that_of_image_spec() {
        let diff_id = |byte| Digest::Sha256([byte; 32]);
        let first = chain_id(None, &diff_id(1));
        assert_eq!(first, diff_id(1));
        // echo -n 'sha256:0101… sha256:0202…' | sha256sum
        let second = chain_id(Some(&first), &diff_id(2));
        let text = format!("sha256:{} sha256:{}", "01".repeat(32), "02".repeat(32));
        assert_eq!(second, Hasher::over(Algorithm::Sha256, text.as_bytes()).finish());
        assert_eq!(chain_id(Some(&second), &diff_id(3)).algorithm(), Algorithm::Sha256);
    }
}
