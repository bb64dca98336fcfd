//! Further documentation. This module has no code.
//!
//! - [`attacks`]: attacks that worked on other tools, each with our test
//! - [`defaults`]: every rule, what each policy does about it, and every limit
//! - [`policies`]: every choice of a policy, owners in user namespaces, and the JSON form
//! - [`coming_from`]: differences from tar libraries and from other unpackers
//! - [`async_code`]: layers that arrive in an async runtime

pub mod async_code;
pub mod coming_from;

#[doc = include_str!("../docs/attacks.md")]
pub mod attacks {}

#[doc = include_str!("../docs/rules.md")]
pub mod defaults {}

// On the page itself, these links are to the file beside it. Of two definitions the first counts.
/// [rules]: crate::manual::defaults
/// [limit]: crate::manual::defaults#limits
/// [`unwritable`]: crate::manual::defaults#unwritable
#[doc = ""]
#[doc = include_str!("../docs/policy.md")]
pub mod policies {}
