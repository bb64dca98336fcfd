//! Maps of owners that this machine has: those of a process, and the subordinate ids of a user.

#![expect(clippy::disallowed_methods, reason = "files of the system, which are read before the sandbox is entered")]

use layercage::error::Escaped;
use layercage::policy::{IdMap, IdRange, OwnerMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

/// The smallest number of ids for a container: distributions use ids up to 65534, and engines hand out as many.
const ENOUGH: u64 = 65_536;

/// The maps of the user namespace of a process.
pub(crate) fn maps_of_process(process: u32) -> Result<OwnerMap, String> {
    let map = |name: &str| {
        let path = format!("/proc/{process}/{name}");
        let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
        let map = IdMap::parse_proc(&text).map_err(|bad| format!("{path}: {bad}"))?;
        match map.count() {
            0 => Err(format!("{path} has no ranges: the user namespace of the process has no ids yet")),
            _ => Ok(map),
        }
    };
    Ok(OwnerMap { uids: map("uid_map")?, gids: map("gid_map")? })
}

/// The user whose subordinate ids are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subordinate {
    Caller,
    User(String),
}

impl FromStr for Subordinate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "auto" => Ok(Self::Caller),
            Some(("auto", user)) if !user.is_empty() && !user.contains(':') => Ok(Self::User(user.to_owned())),
            _ => Err("`auto` or `auto=USER` is needed".to_owned()),
        }
    }
}

/// A user of this machine.
struct User {
    /// The name and the id, by which the files may list it.
    names: Vec<String>,
    /// The ids that it has anyway. Root of the machine has none: files of a container must not belong to it.
    own: Option<(u32, u32)>,
}

impl Subordinate {
    /// The maps of these ids: from 0 on, or for other users than root from 1 on, after the user's own id.
    pub(crate) fn maps(&self) -> Result<OwnerMap, String> {
        let user = match self {
            Self::Caller => caller()?,
            Self::User(name) => User { names: vec![name.clone()], own: None },
        };
        let own = |id: fn((u32, u32)) -> u32| user.own.map(id);
        Ok(OwnerMap {
            uids: map("/etc/subuid", &user.names, own(|(uid, _)| uid))?,
            gids: map("/etc/subgid", &user.names, own(|(_, gid)| gid))?,
        })
    }
}

fn map(path: &str, users: &[String], own: Option<u32>) -> Result<IdMap, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let users: Vec<_> = users.iter().map(String::as_str).collect();
    let wrong = |bad| format!("{path}: {bad}");
    let subordinate = IdMap::parse_subordinate(&text, &users, own.map_or(0, |_| 1)).map_err(wrong)?;
    if subordinate.count() < ENOUGH {
        let users: Vec<_> = users.iter().map(|user| Escaped::whole(user.as_bytes()).unquoted()).collect();
        let found = match subordinate.count() {
            0 => format!("{path} has no ids for {}", users.join(" or ")),
            count => format!("{path} gives {count} ids to {}", users.join(" and ")),
        };
        return Err(format!(
            "{found}, and a container needs {ENOUGH}; `usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST USER` adds \
             some"
        ));
    }
    let own = own.map(|outside| IdRange { inside: 0, outside, count: 1 });
    IdMap::new(own.into_iter().chain(subordinate.ranges().iter().copied())).map_err(wrong)
}

/// The user who runs the command.
fn caller() -> Result<User, String> {
    let own = fs::metadata("/proc/self").map_err(|error| format!("cannot look at /proc/self: {error}"))?;
    let uid = own.uid().to_string();
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    let names = name.into_iter().chain([uid]).collect();
    Ok(User { names, own: (own.uid() != 0).then(|| (own.uid(), own.gid())) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_user_is_the_caller_or_another_one() {
        assert_eq!("auto".parse(), Ok(Subordinate::Caller));
        assert_eq!("auto=containers".parse(), Ok(Subordinate::User("containers".to_owned())));
        for wrong in ["", "keep", "auto=", "auto=a:b", "AUTO"] {
            assert!(wrong.parse::<Subordinate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_maps_of_this_process_are_read() {
        let maps = maps_of_process(std::process::id()).unwrap();
        assert!(maps.uids.count() > 0 && maps.gids.count() > 0);
        assert!(maps_of_process(u32::MAX).unwrap_err().contains("cannot read /proc/4294967295/uid_map"));
    }
}
