//! The code that was generated from the service definitions of containerd.

use std::fs;
use std::path::Path;

const DEFINITIONS: [&str; 6] = [
    "github.com/containerd/containerd/api/services/content/v1/content.proto",
    "github.com/containerd/containerd/api/services/diff/v1/diff.proto",
    "github.com/containerd/containerd/api/services/namespaces/v1/namespace.proto",
    "github.com/containerd/containerd/api/services/snapshots/v1/snapshots.proto",
    "github.com/containerd/containerd/api/types/descriptor.proto",
    "github.com/containerd/containerd/api/types/mount.proto",
];

/// `BLESS=1 cargo test --test generated` writes it again.
#[test]
fn the_generated_code_is_that_of_the_definitions() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = tempfile::tempdir().unwrap();
    let definitions = protox::compile(DEFINITIONS, [package.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        // Every chunk of a blob is one allocation, which is passed on without a copy.
        .bytes(".containerd.services.content.v1.ReadContentResponse.data")
        .out_dir(made.path())
        .compile_fds(definitions)
        .unwrap();
    let mut names: Vec<_> = fs::read_dir(made.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    let generated = package.join("src/generated");
    for name in &names {
        let new = fs::read_to_string(made.path().join(name)).unwrap();
        let path = generated.join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &new).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), new, "{}: BLESS=1 writes it again", path.display());
    }
    let mut there: Vec<_> = fs::read_dir(generated).unwrap().map(|file| file.unwrap().file_name()).collect();
    there.sort();
    assert_eq!(there, names);
}
