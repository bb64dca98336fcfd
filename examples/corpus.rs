//! Writes the corpus of hostile layers into a directory: `cargo run --example corpus -- DIRECTORY`.
//!
//! `corpus/README.md` says what is in it and how to use it.

#![allow(clippy::disallowed_methods, reason = "writes files where its user says")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a broken case should end it")]

#[path = "../corpus/mod.rs"]
mod corpus;

use corpus::{Case, Expected, Fact, Told};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [directory] = &arguments[..] else {
        eprintln!("usage: corpus DIRECTORY");
        return ExitCode::from(2);
    };
    match write(Path::new(directory)) {
        Ok(cases) => {
            println!("wrote {cases} cases and manifest.json to {}", directory.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error:#}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> Result<usize, Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    let mut manifest = Vec::new();
    let mut files = BTreeSet::new();
    for case in corpus::all() {
        if !files.insert(case.name) {
            return Err(format!("{} is there twice", case.name).into());
        }
        fs::write(directory.join(case.file_name()), &case.layer)?;
        if let Some(lower) = &case.lower {
            fs::write(directory.join(lower_name(&case)), lower)?;
        }
        manifest.push(describe(&case));
    }
    let text = serde_json::to_string_pretty(&manifest)?;
    fs::write(directory.join("manifest.json"), text + "\n")?;
    Ok(manifest.len())
}

fn lower_name(case: &Case) -> String {
    format!("{}.lower.tar", case.name)
}

/// One object of the manifest.
fn describe(case: &Case) -> Value {
    let [default, compatible, paranoid] = case.expected.each_ref().map(expectation);
    let limits: Map<_, _> = case.limits.iter().map(|&(limit, most)| (limit.to_owned(), most.into())).collect();
    json!({
        "name": case.name,
        "topic": case.topic,
        "sentence": case.sentence,
        "file": case.file_name(),
        "lower": case.lower.as_ref().map(|_| lower_name(case)),
        "rule": case.rules().first(),
        "first_seen": Some(case.first_seen).filter(|seen| !seen.is_empty()),
        "limits": limits,
        "told": told(case),
        "expected": { "default": default, "compatible": compatible, "paranoid": paranoid },
        "tree": case.tree.iter().map(|(path, fact)| describe_fact(path, fact)).collect::<Vec<_>>(),
    })
}

fn expectation(expected: &Expected) -> Value {
    match expected {
        Expected::Take => json!({ "verdict": "take", "rules": [] }),
        Expected::Note(rules) => json!({ "verdict": "note", "rules": rules }),
        Expected::Refuse(rule) => json!({ "verdict": "refuse", "rules": [rule] }),
    }
}

fn told(case: &Case) -> Value {
    let size = case.layer.len() as u64;
    let other = sha256(b"something else");
    match &case.told {
        Told::Nothing => json!({}),
        Told::Truth { unpacked } => {
            json!({ "digest": sha256(&case.layer), "size": size, "diff_id": sha256(unpacked) })
        }
        Told::OtherDigest => json!({ "digest": other }),
        Told::OtherSize(by) => json!({ "digest": sha256(&case.layer), "size": size.saturating_add_signed(*by) }),
        Told::OtherDiffId => json!({ "diff_id": other }),
    }
}

fn sha256(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn describe_fact(path: &str, fact: &Fact) -> Value {
    match fact {
        Fact::Absent => json!({ "path": path, "is": "absent" }),
        Fact::File(content) => {
            json!({ "path": path, "is": "file", "size": content.len(), "sha256": &sha256(content)["sha256:".len()..] })
        }
        Fact::Directory => json!({ "path": path, "is": "directory" }),
        Fact::DirectoryOf(mode) => json!({ "path": path, "is": "directory", "mode": format!("{mode:04o}") }),
        Fact::Symlink(target) => {
            json!({ "path": path, "is": "symlink", "target": String::from_utf8_lossy(target) })
        }
        Fact::Fifo => json!({ "path": path, "is": "fifo" }),
        Fact::SameAs(other) => json!({ "path": path, "is": "same-as", "other": other }),
    }
}
