//! The store of overlay layers: directories that are published by rename, and the images that use them.
//!
//! ```text
//! layers/ALGORITHM/CHAIN-ID/diff    the layer, for `lowerdir`
//! layers/ALGORITHM/CHAIN-ID/layer   what it was made from: a record
//! images/DIGEST/lower               the layers of an image, the top one first, as the last run found or made them
//! images/DIGEST/lower.POLICY        the layers of an image under a policy, with an end mark: no image loses these
//! ```
//!
//! A layer and an image take their names when they are complete, and lose them before anything of them is removed. So
//! what has a name is whole.
//!
//! A run holds a shared lock on the store, and removal an exclusive one: no layer goes while a run counts on it. A layer
//! that is not there is made under a lock of its own: other runs wait for it, and take over if its run is killed.

mod format;
mod images;
mod in_use;
mod layers;
mod lock;
mod record;
mod root;

pub(crate) use images::ListedImage;
pub(crate) use in_use::{InUse, Use};
pub(crate) use layers::{Claim as LayerClaim, Found, LayerKey, StoredLayer};
pub(crate) use root::Store;
