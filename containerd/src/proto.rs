//! The services of containerd, as generated code. `tests/generated.rs` makes it from `proto/`.

#![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used, reason = "generated code")]

/// Descriptors and mounts.
pub mod types {
    include!("generated/containerd.types.rs");
}

pub mod services {
    pub mod content {
        /// The content store, from which blobs are read.
        pub mod v1 {
            include!("generated/containerd.services.content.v1.rs");
        }
    }
    pub mod namespaces {
        /// The names of the namespaces.
        pub mod v1 {
            include!("generated/containerd.services.namespaces.v1.rs");
        }
    }
    pub mod snapshots {
        /// The snapshots, from which the layers below one are found.
        pub mod v1 {
            include!("generated/containerd.services.snapshots.v1.rs");
        }
    }
    pub mod diff {
        /// The service that this program is.
        pub mod v1 {
            include!("generated/containerd.services.diff.v1.rs");
        }
    }
}
