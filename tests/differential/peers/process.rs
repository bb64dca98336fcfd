//! Readers of other languages, each a process for all archives: Python's tarfile, libarchive (which bsdtar is made of)
//! by way of Python's ctypes, and Go's archive/tar.

use super::{Answer, Name, Peer, Wanted};
use crate::item::{Attributes, Item, Kind};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub(crate) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    names: Vec<Name>,
}

impl Process {
    /// tarfile and libarchive.
    pub(crate) fn python() -> Option<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("peers.py")]).env("LC_ALL", "C.UTF-8");
        Self::start(command, &["tarfile", "libarchive"])
    }

    /// archive/tar, whose compiler must be installed.
    pub(crate) fn go() -> Option<Self> {
        let mut command = Command::new("go");
        command.args(["run", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential/peers/peers.go")]);
        command.env("GO111MODULE", "off").env("GOFLAGS", "");
        Self::start(command, &["archive/tar"])
    }

    fn start(mut command: Command, readers: &[&'static str]) -> Option<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut process = Self { child, input, output, names: Vec::new() };
        let versions: Value = serde_json::from_str(&process.text()).ok()?;
        let names =
            readers.iter().filter_map(|&name| Some(Name { name, version: versions[name].as_str()?.to_owned() }));
        process.names = names.collect();
        Some(process)
    }

    fn text(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    fn line(&mut self) -> Value {
        let line = self.text();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{:?} say {line:?}: {error}", self.names))
    }
}

impl Drop for Process {
    /// Lets it come to its end, and waits for that.
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.child.wait());
    }
}

impl Peer for Process {
    fn names(&self) -> Vec<Name> {
        self.names.clone()
    }

    fn read(&mut self, archive: &[u8], _: Wanted) -> Vec<Answer> {
        let length = u32::try_from(archive.len()).unwrap().to_le_bytes();
        let input = self.input.as_mut().unwrap();
        input.write_all(&[&length, archive].concat()).unwrap();
        input.flush().unwrap();
        let answers = self.line();
        self.names.iter().map(|name| answer(&answers[name.name])).collect()
    }
}

fn answer(answer: &Value) -> Answer {
    match answer["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(answer["items"].as_array().unwrap().iter().map(item).collect()),
    }
}

fn item(item: &Value) -> Item {
    let kind = match item[1].as_str().unwrap() {
        "File" => Kind::File,
        "HardLink" => Kind::HardLink,
        "Symlink" => Kind::Symlink,
        "Directory" => Kind::Directory,
        "Fifo" => Kind::Fifo,
        "Character" => Kind::Character,
        "Block" => Kind::Block,
        _ => Kind::Other,
    };
    let read = Item::new(&bytes(&item[0]), kind).with_target(&bytes(&item[4]));
    let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
    let read = read.with_device(number(&item[5]), number(&item[6]));
    let read = read.with_attributes(Attributes {
        mode: item[7].as_u64().map(|mode| u32::try_from(mode).unwrap()),
        owner: item[8].as_i64().zip(item[9].as_i64()),
        seconds: item[10].as_i64(),
        nanoseconds: item[11].as_u64().map(|fraction| u32::try_from(fraction).unwrap()),
    });
    match kind {
        Kind::File => Item { size: number(&item[2]), content: item[3].as_str().unwrap().to_owned(), ..read },
        _ => read,
    }
}

/// A character stands for the byte of its number.
fn bytes(text: &Value) -> Vec<u8> {
    text.as_str().unwrap().chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
}
