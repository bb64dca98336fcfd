//! Python's tarfile, and libarchive (which bsdtar is made of) by way of Python's ctypes: one process for all archives.

use super::{Answer, Name, Peer, Wanted};
use crate::item::{Item, Kind};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const READERS: [&str; 2] = ["tarfile", "libarchive"];

pub(crate) struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    names: Vec<Name>,
}

impl Python {
    pub(crate) fn find() -> Option<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("peers.py")]).env("LC_ALL", "C.UTF-8");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut python = Self { child, input, output, names: Vec::new() };
        let versions = python.line();
        let names =
            READERS.iter().filter_map(|&name| Some(Name { name, version: versions[name].as_str()?.to_owned() }));
        python.names = names.collect();
        Some(python)
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("peers.py says {line:?}: {error}"))
    }
}

impl Drop for Python {
    /// Lets it come to its end, and waits for that.
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.child.wait());
    }
}

impl Peer for Python {
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
    match kind {
        Kind::File => Item { size: number(&item[2]), content: item[3].as_str().unwrap().to_owned(), ..read },
        _ => read,
    }
}

/// A character stands for the byte of its number.
fn bytes(text: &Value) -> Vec<u8> {
    text.as_str().unwrap().chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
}
