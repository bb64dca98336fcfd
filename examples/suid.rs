//! Lists the programs of an image that have privileges of their own: setuid, setgid, file capabilities.
//!
//! ```sh
//! cargo run --release --example suid -- app.oci.tar
//! ```
//!
//! Hidden programs come last. If a hard link to one remains, containers still have it under that name.

#![allow(clippy::disallowed_methods, reason = "opens the image that its user names")]

use cap_std::ambient_authority;
use layercage::merged::{Hidden, Node};
use layercage::policy::Devices;
use layercage::tar::Metadata;
use layercage::{Image, Policy, Selector};
use sha2::{Digest, Sha256};
use std::io::{self, Read, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: suid IMAGE")?;
    let selected = Image::open_ambient(path, ambient_authority())?.select(&Selector::host())?;
    let tree = selected.merge(&Policy::default().with_devices(Devices::Skip))?;

    let mut lines = Vec::new();
    let is_wanted = |node: Node<'_>| !privileges(&node.metadata()).is_empty();
    tree.read_files(&selected, is_wanted, |node, content| {
        let digest = sha256(content)?;
        for name in [node].into_iter().chain(node.links()) {
            lines.push(format!("{digest} layer {} {} {}", name.layer(), privileges(&name.metadata()), name.path()));
        }
        Ok(())
    })?;
    let is_wanted = |hidden: Hidden<'_>| !privileges(&hidden.metadata()).is_empty();
    tree.read_hidden(&selected, is_wanted, |hidden, content| {
        let (digest, privileges) = (sha256(content)?, privileges(&hidden.metadata()));
        let by = format!("{} by layer {}", hidden.how(), hidden.hidden_by());
        lines.push(format!("{digest} layer {} {privileges} {} ({by})", hidden.layer(), hidden.path()));
        Ok(())
    })?;
    // Only now, every layer that was read is verified.
    Ok(lines.iter().try_for_each(|line| writeln!(io::stdout(), "{line}"))?)
}

/// The privileges that a program has, with commas between them.
fn privileges(Metadata { mode, xattrs, .. }: &Metadata) -> String {
    let has_capabilities = xattrs.iter().any(|xattr| xattr.name == b"security.capability");
    let all = [(mode & 0o4000 != 0, "setuid"), (mode & 0o2000 != 0, "setgid"), (has_capabilities, "capabilities")];
    all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect::<Vec<_>>().join(",")
}

fn sha256(content: &mut dyn Read) -> io::Result<String> {
    let (mut hasher, mut chunk) = (Sha256::new(), Vec::new());
    while content.take(64 << 10).read_to_end(&mut chunk)? > 0 {
        hasher.update(&chunk);
        chunk.clear();
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
