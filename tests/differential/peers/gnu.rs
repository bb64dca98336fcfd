//! GNU tar: a process for each archive.

use super::{Answer, Name, Peer, Wanted};
use crate::item::{Attributes, Item, Kind, UNKNOWN, sha256};
use crate::ours::LARGEST_FILE;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

pub(crate) struct GnuTar {
    version: String,
    /// The archive, and what comes of it on standard error: files, so that neither side waits for the other.
    archive: File,
    listing: File,
}

impl GnuTar {
    pub(crate) fn find() -> Option<Self> {
        let output = Command::new("tar").arg("--version").output().ok()?;
        let first = String::from_utf8(output.stdout).ok()?.lines().next()?.to_owned();
        let version = first.strip_prefix("tar (GNU tar) ")?.to_owned();
        let [archive, listing] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        Some(Self { version, archive, listing })
    }

    /// Extracts to standard output, where all contents come one after another, and lists on standard error: the
    /// code that extracts has the last word on types and sizes.
    fn run(&mut self, archive: &[u8], wanted: Wanted) -> Answer {
        rewind(&mut self.archive);
        self.archive.write_all(archive).unwrap();
        rewind(&mut self.listing);
        let output = self.extract(&["-vv".as_ref(), "--to-stdout".as_ref()])?;
        let mut listing = Vec::new();
        self.listing.rewind().unwrap();
        self.listing.read_to_end(&mut listing).unwrap();
        // What is taken off a name is said as it is, and may hold newlines: then the warning goes on.
        let mut goes_on = false;
        let lines = listing.split(|&byte| byte == b'\n').filter(|line| {
            let is_warning = goes_on || line.starts_with(b"tar: ");
            let is_whole = line.ends_with(b"' from hard link targets") || line.ends_with(b"' from member names");
            goes_on = (goes_on || line.starts_with(b"tar: Removing leading ")) && !is_whole;
            // The end of a warning about a type that is a newline.
            let is_end_of_warning = *line == b"', extracted as normal file";
            !line.is_empty() && !is_warning && !is_end_of_warning
        });
        // The label of a global header has a line, and is no entry: nothing is extracted.
        let lines = lines.filter(|line| !(line.starts_with(b"V") && line.ends_with(b"--Volume Header--")));
        let lines = lines.map(|line| Line::parse(line).unwrap_or_else(|| panic!("GNU tar: {}", line.escape_ascii())));
        let lines: Vec<_> = lines.collect();
        if lines.iter().any(|line| line.size > LARGEST_FILE) {
            return Err("too large to compare".to_owned());
        }
        let files: u64 = lines.iter().map(|line| line.size).sum();
        if wanted == Wanted::Nothing {
            return Ok(lines.iter().map(|line| line.item("")).collect());
        }
        if may_have_holes(archive) {
            return Ok(self.contents_on_disk(&lines));
        }
        // It lists a name with a slash at its end as a directory, and may extract a file all the same.
        if files != output.len() as u64 {
            return Err("extracts what it does not list".to_owned());
        }
        let mut rest = &output[..];
        let items = lines.iter().map(|line| {
            let (content, behind) = rest.split_at(usize::try_from(line.size).unwrap());
            rest = behind;
            line.item(&sha256(content))
        });
        Ok(items.collect())
    }

    /// The contents of files as they are extracted: into a pipe it writes wrong ones where there are holes.
    fn contents_on_disk(&mut self, lines: &[Line]) -> Vec<Item> {
        let place = tempfile::tempdir().unwrap();
        // What is wrong with the tree, a hard link to nothing say, is not the reader's.
        drop(self.extract(&["--no-same-owner".as_ref(), "--directory".as_ref(), place.path().as_os_str()]));
        // Modes may keep even us out; they are not compared.
        drop(Command::new("chmod").args(["-R", "u+rwX"]).arg(place.path()).stderr(Stdio::null()).status());
        let mut items: Vec<_> = lines.iter().map(|line| line.item(UNKNOWN)).collect();
        for index in 0..items.len() {
            let Item { kind: Kind::File, name, size, .. } = &items[index] else { continue };
            let path = place.path().join(OsStr::from_bytes(name));
            let twice = items.iter().filter(|item| item.name == *name).count() > 1;
            let there = std::fs::symlink_metadata(&path).is_ok_and(|file| file.is_file() && file.len() == *size);
            if !twice && there {
                items[index].content = sha256(&std::fs::read(path).unwrap());
            }
        }
        items
    }

    fn extract(&mut self, how: &[&OsStr]) -> Result<Vec<u8>, String> {
        self.archive.rewind().unwrap();
        let mut command = Command::new("tar");
        command.args(["-xf", "-", "--numeric-owner", "--full-time"]).args(how);
        // A warning about a key may hold a newline.
        command.args(["--quoting-style=escape", "--quote-chars= ", "--warning=no-unknown-keyword"]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("TZ", "UTC0").env("LC_ALL", "C.UTF-8");
        command.stdin(self.archive.try_clone().unwrap()).stderr(self.listing.try_clone().unwrap());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = Vec::new();
        let mut pipe = child.stdout.take().unwrap().take(4 * LARGEST_FILE);
        pipe.read_to_end(&mut output).unwrap();
        drop(pipe);
        let status = child.wait().unwrap();
        match status.code() {
            _ if output.len() as u64 == 4 * LARGEST_FILE => Err("too large to compare".to_owned()),
            // 1 says that something differs, and was read all the same.
            Some(0 | 1) => Ok(output),
            code => Err(format!("exit code {code:?}")),
        }
    }
}

fn rewind(file: &mut File) {
    file.rewind().unwrap();
    file.set_len(0).unwrap();
}

impl Peer for GnuTar {
    fn names(&self) -> Vec<Name> {
        vec![Name { name: "GNU tar", version: self.version.clone() }]
    }

    fn read(&mut self, archive: &[u8], wanted: Wanted) -> Vec<Answer> {
        vec![self.run(archive, wanted)]
    }
}

/// Whether something in it looks like a file with holes.
fn may_have_holes(archive: &[u8]) -> bool {
    archive.windows(11).any(|window| window == b"GNU.sparse.")
        || archive.chunks(512).any(|block| block.get(156) == Some(&b'S'))
}

/// What it lists of an entry.
struct Line {
    kind: Kind,
    name: Vec<u8>,
    target: Vec<u8>,
    /// Of a file.
    size: u64,
    device: (u64, u64),
    attributes: Attributes,
}

impl Line {
    /// Reads a line such as `lrwxrwxrwx 0/0  0 1970-01-01 00:00:00 name -> target`; all blanks in names are escaped.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = words(line);
        // Columns are filled up with blanks; the name may be empty.
        let mut column = || words.find(|word| !word.is_empty());
        let permissions = column()?;
        let kind = match permissions.first()? {
            // What it does not know it extracts as a file.
            b'-' | b'C' | b'?' => Kind::File,
            b'h' => Kind::HardLink,
            b'l' => Kind::Symlink,
            b'd' => Kind::Directory,
            b'p' => Kind::Fifo,
            b'c' => Kind::Character,
            b'b' => Kind::Block,
            _ => Kind::Other,
        };
        let (owner, size, date) = (column()?, column()?, column()?);
        // A time that no calendar has is one number.
        let (seconds, nanoseconds) = match date.get(1..)?.contains(&b'-') {
            true => time(date, column()?)?,
            false => (std::str::from_utf8(date).ok()?.parse().ok()?, 0),
        };
        // Of a negative time with a fraction it shows what is missing to the next second, and 0 of either sign alike.
        let (seconds, nanoseconds) = match (seconds, nanoseconds) {
            (0, 1..) => (None, None),
            (..0, 1..) => (Some(seconds - 1), Some(1_000_000_000 - nanoseconds)),
            _ => (Some(seconds), Some(nanoseconds)),
        };
        let (uid, gid) = std::str::from_utf8(owner).ok()?.split_once('/')?;
        let attributes = Attributes {
            mode: Some(mode(permissions.get(1..)?)?),
            owner: Some((uid.parse().ok()?, gid.parse().ok()?)),
            seconds,
            nanoseconds,
        };
        // Times are filled up too, behind a longer one. All words of the rest but an empty name are some bytes.
        let rest: Vec<_> = words.skip_while(|word| word.is_empty()).collect();
        let (name, target) = match (kind, &rest[..]) {
            (Kind::Symlink, [name, b"->", target]) => (*name, *target),
            (Kind::Symlink, [b"->", target]) => (&b""[..], *target),
            (Kind::HardLink, [name, b"link", b"to", target]) => (*name, *target),
            (Kind::HardLink, [b"link", b"to", target]) => (&b""[..], *target),
            (_, [name, ..]) => (*name, &b""[..]),
            (_, []) => (&b""[..], &b""[..]),
        };
        let (name, target) = (unescaped(name), unescaped(target));
        let size = std::str::from_utf8(size).ok()?;
        let (mut bytes, mut device) = (0, (0, 0));
        match (kind, size.split_once(',')) {
            (Kind::File, _) => bytes = size.parse().ok()?,
            (_, Some((major, minor))) => device = (major.parse().ok()?, minor.parse().ok()?),
            _ => (),
        }
        Some(Self { kind, name, target, size: bytes, device, attributes })
    }

    fn item(&self, content: &str) -> Item {
        let Self { kind, size, .. } = *self;
        let item = Item::new(&self.name, kind).with_target(&self.target).with_device(self.device.0, self.device.1);
        let item = item.with_attributes(self.attributes);
        if kind == Kind::File { Item { size, content: content.to_owned(), ..item } } else { item }
    }
}

/// The bits of `rwxr-sr-t`.
fn mode(text: &[u8]) -> Option<u32> {
    let mut mode = 0;
    for (index, &letter) in text.get(..9)?.iter().enumerate() {
        let bit = 0o400 >> index;
        let special = 0o4000 >> (index / 3);
        mode |= match letter {
            b'r' | b'w' | b'x' => bit,
            b's' | b't' => bit | special,
            b'S' | b'T' => special,
            _ => 0,
        };
    }
    Some(mode)
}

/// The seconds and nanoseconds of a date and a time of day, such as `2023-11-14` and `22:13:20.5`.
fn time(date: &[u8], time: &[u8]) -> Option<(i64, u32)> {
    let (date, time) = (std::str::from_utf8(date).ok()?, std::str::from_utf8(time).ok()?);
    let (date, day) = date.rsplit_once('-')?;
    let (year, month) = date.rsplit_once('-')?;
    let (year, month, day): (i64, i64, i64) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    // Years that begin in March end with the day that not all of them have.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = days + (153 * month + 2) / 5 + day - 1 - 719_468;
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let parts: Vec<i64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = parts[..] else { return None };
    let nanoseconds = format!("{fraction:0<9}").parse().ok()?;
    Some((86_400 * days + 3600 * hour + 60 * minute + second, nanoseconds))
}

/// Splits at blanks that are not escaped.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut escaped = false;
    line.split(move |&byte| {
        let separates = byte == b' ' && !escaped;
        escaped = byte == b'\\' && !escaped;
        separates
    })
}

/// What `--quoting-style=escape` wrote.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&escape, behind)) = rest.split_first() else { break };
        rest = behind;
        out.push(match escape {
            b'a' => 7,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 11,
            b'f' => 12,
            b'r' => b'\r',
            b'0'..=b'7' => {
                let (digits, behind) = rest.split_at(2.min(rest.len()));
                rest = behind;
                digits.iter().fold(escape - b'0', |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0'))
            }
            other => other,
        });
    }
    out
}
