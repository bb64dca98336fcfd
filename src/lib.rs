//! layercage unpacks container image layers safely.

#![forbid(unsafe_code)]

mod words;

pub use words::*;
