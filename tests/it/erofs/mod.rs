//! EROFS images: the writer alone, and whole images.

#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod images;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod layers;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod layers_mounted;
#[cfg(all(feature = "image", feature = "gzip", feature = "zstd"))]
mod mounted;
mod refused;
mod writer;
