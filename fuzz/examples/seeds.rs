//! Writes where fuzzing starts: `cargo run --manifest-path fuzz/Cargo.toml --example seeds -- DIRECTORY`.

use std::fs;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(std::io::Error::other("usage: seeds DIRECTORY"));
    };
    for target in layercage_fuzz::TARGETS {
        let folder = directory.join(target.0);
        fs::create_dir_all(&folder)?;
        for (name, seed) in layercage_fuzz::seeds::of(target.0) {
            fs::write(folder.join(name), seed)?;
        }
    }
    Ok(())
}
