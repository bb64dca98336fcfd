//! Floor 1, names to effects: the only code that opens or changes what lies in a tree.

mod open;

pub(crate) use open::{NotOpened, open_regular};
