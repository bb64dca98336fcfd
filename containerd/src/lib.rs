//! layercage as a differ of containerd: containerd sends each layer of an image to this program, which verifies it, judges
//! it, and applies it to a snapshot.
//!
//! The program is `layercage-differ`. This library is for its tests: [`proto`] has the services of containerd.

mod answer;
mod apply;
mod arguments;
mod blob;
mod call;
mod cancel;
mod command;
mod config;
mod differ;
mod health;
mod lowers;
mod media_type;
mod metrics;
mod mounts;
mod namespace;
mod policy;
pub mod proto;
mod refusal;
mod roots;
mod server;
mod socket;
mod syntax;

pub use command::main;
