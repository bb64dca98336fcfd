//! Bundles of the runtime-spec: a root filesystem, and a `config.json` by which a runtime starts it.

mod config;
mod stated;
mod user;

use crate::arguments::Bundle;
use crate::tell::{self, Failure};
use config::{Console, Starter, convert};
use layercage::error::Escaped;
use layercage::image::ImageConfig;
use layercage::{Error, MergedTree, Selected, Session};
use stated::Stated;
use std::io::Read;
use user::Accounts;

/// The bytes of `etc/passwd` and `etc/group` that are read. Larger files are cut, and names behind the cut are unknown.
const ACCOUNT_BYTES: u64 = 4 << 20;

/// Reads the accounts of an image from its final file system. A link leads where a container would see it.
pub(crate) fn accounts(session: &mut Session<'_>, tree: &MergedTree, image: &Selected) -> Result<Accounts, Error> {
    let inode = |path| tree.get(path).filter(|node| node.is_file()).map(|node| node.inode());
    let (passwd, group) = (inode("etc/passwd"), inode("etc/group"));
    let mut accounts = Accounts::default();
    session.read_files(
        tree,
        image,
        |node| [passwd, group].contains(&Some(node.inode())),
        |node, content| {
            let mut bytes = Vec::new();
            content.take(ACCOUNT_BYTES).read_to_end(&mut bytes)?;
            // Both names may be of one file.
            if passwd == Some(node.inode()) {
                accounts.passwd.clone_from(&bytes);
            }
            if group == Some(node.inode()) {
                accounts.group = bytes;
            }
            Ok(())
        },
    )?;
    Ok(accounts)
}

/// The `config.json` of a bundle.
pub(crate) fn config(image: &Selected, accounts: &Accounts, bundle: &Bundle, json: bool) -> Result<Vec<u8>, Failure> {
    let config: ImageConfig = image.image_config().map_err(Failure::read)?;
    let args = args(&config, &bundle.command)?;
    let mut stated = Stated::of(&config, &args).map_err(Failure::usage)?;
    let user = bundle.user.as_deref().or(config.user()).unwrap_or_default();
    let user = accounts
        .resolve(user)
        .map_err(|unresolved| Failure::usage(format!("{unresolved}; `--user UID:GID` chooses a user by number")))?;
    let starter = Starter::current();
    if starter != Starter::Root && (user.uid, user.gid) != (0, 0) {
        if let Some(asked) = &bundle.user {
            let asked = Escaped::new(asked.as_bytes()).unquoted();
            return Err(Failure::usage(format!(
                "`--user {asked}` is {}:{}, and without root, the only user of a bundle is root",
                user.uid, user.gid
            )));
        }
        stated.notes.push(format!(
            "the image's user is {}:{}, but the bundle's user is root: without root, no other user is possible",
            user.uid, user.gid
        ));
    }
    let console = if bundle.tty { Console::Terminal } else { Console::Inherited };
    let made = convert(&config, &stated, &user, args, (starter, console));
    let made = made
        .map_err(|error| Failure::usage(format!("cannot convert the image's configuration to config.json: {error}")))?;
    tell::say_notes(&stated.notes, json);
    Ok(made)
}

/// The program and its arguments. `command` takes the place of the image's `Cmd` unless it is empty.
fn args(image: &ImageConfig, command: &[String]) -> Result<Vec<String>, Failure> {
    let command = if command.is_empty() { image.cmd() } else { command };
    let args = [image.entrypoint(), command].concat();
    match args.first() {
        Some(program) if !program.is_empty() => Ok(args),
        _ => Err(Failure::usage(
            "the image states no program to run; give one: `layercage bundle IMAGE BUNDLE -- PROGRAM`".to_owned(),
        )),
    }
}
