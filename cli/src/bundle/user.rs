//! The user of a container: names resolved in the image's own `etc/passwd` and `etc/group`, never in the machine's.

use std::fmt;

/// The accounts of an image: the contents of its `etc/passwd` and `etc/group`. A file that is missing is empty.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    pub(crate) passwd: Vec<u8>,
    pub(crate) group: Vec<u8>,
}

/// A user as the runtime takes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The supplementary groups, in ascending order.
    pub(crate) groups: Vec<u32>,
    /// The home directory, if `etc/passwd` has one.
    pub(crate) home: Option<String>,
}

/// Why a user cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// A name that `etc/passwd` does not have.
    User(String),
    /// A name that `etc/group` does not have.
    Group(String),
    /// A number that runtimes do not take.
    Number(u32),
}

/// The largest user or group ID that runtimes take: runc reads them as signed numbers of 32 bits.
const LARGEST: u32 = i32::MAX as u32;

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "the image's etc/passwd has no user {name:?}"),
            Self::Group(name) => write!(f, "the image's etc/group has no group {name:?}"),
            Self::Number(id) => write!(f, "{id} is no user or group ID for a runtime, which takes at most {LARGEST}"),
        }
    }
}

impl Accounts {
    /// Resolves `USER` or `USER:GROUP`, each by name or number (image-spec, config.md, `User`). Without a group, the user's
    /// own group and its supplementary groups apply.
    pub(crate) fn resolve(&self, stated: &str) -> Result<User, Unresolved> {
        let (name, group) = match stated.split_once(':') {
            Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
            None => (stated, None),
        };
        let name = if name.is_empty() { "0" } else { name };
        let account = self.account(name);
        let uid = match (&account, number(name.as_bytes())) {
            (Some(account), _) => account.uid,
            (None, Some(uid)) => uid,
            (None, None) => return Err(Unresolved::User(name.to_owned())),
        };
        let (gid, groups) = match (group, &account) {
            (Some(group), _) => (self.group(group)?, Vec::new()),
            (None, Some(account)) => (account.gid, self.groups_of(account)),
            (None, None) => (0, Vec::new()),
        };
        if let Some(&id) = [uid, gid].iter().chain(&groups).find(|&&id| id > LARGEST) {
            return Err(Unresolved::Number(id));
        }
        Ok(User { uid, gid, groups, home: account.and_then(|account| account.home) })
    }

    /// The account of a name. A number that is no name is a user ID.
    fn account(&self, name: &str) -> Option<Account> {
        let accounts = || lines(&self.passwd).filter_map(Account::parse);
        let by_name = accounts().find(|account| account.name == name.as_bytes());
        by_name.or_else(|| number(name.as_bytes()).and_then(|uid| accounts().find(|account| account.uid == uid)))
    }

    fn group(&self, name: &str) -> Result<u32, Unresolved> {
        let mut groups = lines(&self.group).filter_map(Group::parse);
        match (groups.find(|group| group.name == name.as_bytes()), number(name.as_bytes())) {
            (Some(group), _) => Ok(group.gid),
            (None, Some(gid)) => Ok(gid),
            (None, None) => Err(Unresolved::Group(name.to_owned())),
        }
    }

    fn groups_of(&self, account: &Account) -> Vec<u32> {
        let groups = lines(&self.group).filter_map(Group::parse);
        let groups = groups.filter(|group| group.members.split(|byte| *byte == b',').any(|name| name == account.name));
        let mut groups: Vec<u32> = groups.map(|group| group.gid).filter(|gid| *gid != account.gid).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// A line of `etc/passwd`: name, password, user ID, group ID, comment, home directory, shell.
struct Account {
    name: Vec<u8>,
    uid: u32,
    gid: u32,
    home: Option<String>,
}

impl Account {
    /// `None` for a line that is no account: a comment, say.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?.to_vec();
        let (uid, gid) = (number(fields.nth(1)?)?, number(fields.next()?)?);
        let home = fields.nth(1).and_then(|home| String::from_utf8(home.to_vec()).ok());
        Some(Self { name, uid, gid, home: home.filter(|home| !home.is_empty() && !home.contains('\0')) })
    }
}

/// A line of `etc/group`: name, password, group ID, members.
struct Group<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

impl<'a> Group<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = number(fields.nth(1)?)?;
        Some(Self { name, gid, members: fields.next().unwrap_or_default() })
    }
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)
}

/// A number of digits alone. A sign makes it a name.
fn number(field: &[u8]) -> Option<u32> {
    std::str::from_utf8(field).ok().filter(|field| !field.starts_with('+'))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: b"# a comment\nroot:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34:web,,,:/var/www:/bin/false\n\
                1000:x:7:8::/seven:\nnohome:x:5:5\nnul:x:6:6::/a\0b:\n"
                .to_vec(),
            group: b"root:x:0:\nwheel:x:10:root,web\nweb:x:34:web\nmail:x:8:other,web\nmail2:x:8:web\ndocker:x:999:\n"
                .to_vec(),
        }
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let user = |uid, gid, groups: &[u32], home: Option<&str>| {
            Ok(User { uid, gid, groups: groups.to_vec(), home: home.map(str::to_owned) })
        };
        for (stated, expected) in [
            ("", user(0, 0, &[10], Some("/root"))),
            ("root", user(0, 0, &[10], Some("/root"))),
            ("web", user(33, 34, &[8, 10], Some("/var/www"))),
            ("33", user(33, 34, &[8, 10], Some("/var/www"))),
            ("web:", user(33, 34, &[8, 10], Some("/var/www"))),
            ("web:docker", user(33, 999, &[], Some("/var/www"))),
            ("web:5", user(33, 5, &[], Some("/var/www"))),
            (":web", user(0, 34, &[], Some("/root"))),
            // A name of digits is a name first, as engines read it.
            ("1000", user(7, 8, &[], Some("/seven"))),
            ("4711", user(4711, 0, &[], None)),
            ("4711:4712", user(4711, 4712, &[], None)),
            ("nohome", user(5, 5, &[], None)),
            ("nul", user(6, 6, &[], None)),
            ("nobody", Err(Unresolved::User("nobody".to_owned()))),
            ("broken", Err(Unresolved::User("broken".to_owned()))),
            ("-1", Err(Unresolved::User("-1".to_owned()))),
            ("4294967296", Err(Unresolved::User("4294967296".to_owned()))),
            ("+0", Err(Unresolved::User("+0".to_owned()))),
            ("0:+0", Err(Unresolved::Group("+0".to_owned()))),
            ("2147483647", user(LARGEST, 0, &[], None)),
            ("2147483648", Err(Unresolved::Number(2_147_483_648))),
            ("web:4294967295", Err(Unresolved::Number(u32::MAX))),
            ("web:nogroup", Err(Unresolved::Group("nogroup".to_owned()))),
        ] {
            assert_eq!(accounts().resolve(stated), expected, "{stated:?}");
        }
        assert_eq!(Accounts::default().resolve(""), user(0, 0, &[], None));
        assert_eq!(Accounts::default().resolve("7"), user(7, 0, &[], None));
    }
}
