//! Documentation only: what is behind the rules, and how to come here from elsewhere. Nothing in it is code.
//!
//! - [`attacks`]: what broke others, each with the test of ours that shows it
//! - [`defaults`]: every rule, what each policy does about it, and every limit
//! - [`coming_from`]: what differs from tar libraries and from other unpackers
//! - [`async_code`]: layers that arrive in an async runtime

pub mod async_code;
pub mod coming_from;

#[doc = include_str!("../docs/attacks.md")]
pub mod attacks {}

#[doc = include_str!("../docs/rules.md")]
pub mod defaults {}
