//! The final file system of an input, and the digests of files.

use super::arguments::List;
use crate::input::{Taken, open_input, require_form};
use crate::only::{Pattern, require_matches};
use crate::opened::Opened;
use crate::report::{Output, with_article};
use crate::sandbox::SandboxChoice;
use crate::tell::{self, Failure};
use layercage::blob::Algorithm;
use layercage::image::What;
use layercage::merged::{Hidden, Merger, Node};
use layercage::policy::{Devices, Fifos, Verdict};
use layercage::rules::{Note, QuirkRule};
use layercage::sink::SinkError;
use layercage::{Error, Expected, Layer, MergedTree, Policy, Selected, Session, Unpacker};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek};
use std::num::NonZeroUsize;

/// A final file system, and where its layers are.
pub(super) struct Merged {
    pub(super) tree: MergedTree,
    source: Source,
    session: Session<'static>,
}

enum Source {
    Image(Box<Selected>),
    /// A layer alone. It is the only one of its image.
    Layer(File),
}

/// SHA-256 of files, each by its number in the tree.
pub(super) type Digests = HashMap<u32, [u8; 32]>;

impl Merged {
    /// Reads an input, in the sandbox.
    pub(super) fn open(list: &List, sandbox: SandboxChoice) -> Result<Self, Failure> {
        let (input, limits) = (&list.input, list.limits());
        let opened = Opened::find(&input.input)?;
        let selector = input.selection.selector(opened.tag.as_deref()).map_err(Failure::usage)?;
        let form = opened.form;
        let taken = open_input(input, opened, sandbox, &limits)?;
        let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let mut session = Unpacker::new(everything()).with_limits(limits).with_jobs(jobs).session();
        let (source, tree) = match taken {
            Taken::Image(image) => {
                let image = require_form(*image, form, &input.input)?;
                let selected = image.and_then(|image| image.select(&selector)).map_err(Failure::read)?;
                let tree = session.merge(&selected).map_err(Failure::read)?;
                (Source::Image(Box::new(selected)), tree)
            }
            Taken::Layer(file) => {
                let tree = merge_layer(&mut session, &file).map_err(Failure::read)?;
                (Source::Layer(file), tree)
            }
        };
        Ok(Self { tree, source, session })
    }

    /// The image, if it is one.
    pub(super) fn image(&self) -> Option<&Selected> {
        match &self.source {
            Source::Image(image) => Some(image),
            Source::Layer(_) => None,
        }
    }

    /// Checks that each pattern of `--only` matches a path that the image has or that upper layers hid.
    pub(super) fn require_ever_there(&self, only: &[Pattern]) -> Result<(), Failure> {
        let paths = self.tree.iter().map(|node| node.path()).chain(self.tree.hidden().map(|hidden| hidden.path()));
        require_matches(("--only", "path of the image"), only, &self.tree, paths, Pattern::keeps)
            .map_err(Failure::unmatched)
    }

    fn what(&self) -> What {
        match self.source {
            Source::Image(_) => What::Image,
            Source::Layer(_) => What::Layer,
        }
    }

    /// Prints in JSON what the input was taken for, and the notes.
    pub(super) fn begin(&self, output: &mut Output) {
        if output.is_json() {
            output.line(|| json!({"type": "input", "what": self.what().name()}), String::new);
            self.notes().for_each(|note| output.line(|| json!(note), String::new));
        }
    }

    /// A path as JSON, with the digest of its content.
    pub(super) fn object(&self, path: &impl Serialize, digest: Option<String>) -> Value {
        let mut object = json!(path);
        if let Value::Object(members) = &mut object {
            members.insert("layers".to_owned(), json!(self.tree.layer_count()));
            members.extend(digest.map(|digest| ("sha256".to_owned(), json!(digest))));
        }
        object
    }

    /// The first note of each rule by which the default policy refuses the input.
    fn notes(&self) -> impl Iterator<Item = &Note> {
        let (policy, mut rules) = (Policy::default(), HashSet::new());
        let notes = self.session.report().notes().iter();
        notes.filter(move |Note { quirk, .. }| {
            policy.verdict(quirk.rule()) == Verdict::Refuse && rules.insert(quirk.rule())
        })
    }

    /// Ends the list, and says what the input was taken for and what the default policy refuses.
    pub(super) fn end(&self, mut output: Output) -> Result<(), Failure> {
        let finished = output.finish();
        if !output.is_json() {
            self.notes().for_each(|note| tell::say(&format_args!("layercage: note {note}")));
            tell::say(&format_args!("layercage: listed as {}", with_article(self.what())));
        }
        finished.map_err(Failure::output)
    }

    /// The digests of files of the tree.
    pub(super) fn digests(&mut self, choose: impl FnMut(Node<'_>) -> bool) -> Result<Digests, Failure> {
        let (mut digests, tree) = (Digests::new(), &self.tree);
        let read = |node: Node<'_>, content: &mut dyn Read| add(&mut digests, node.inode(), content);
        let result = match &self.source {
            Source::Image(image) => self.session.read_files(tree, image, choose, read),
            Source::Layer(file) => self.session.read_files_from(tree, |_| again(file, tree), choose, read),
        };
        result.map_err(Failure::read)?;
        Ok(digests)
    }

    /// The digests of hidden files.
    pub(super) fn hidden_digests(&mut self, choose: impl FnMut(Hidden<'_>) -> bool) -> Result<Digests, Failure> {
        let (mut digests, tree) = (Digests::new(), &self.tree);
        let read = |hidden: Hidden<'_>, content: &mut dyn Read| add(&mut digests, hidden.inode(), content);
        let result = match &self.source {
            Source::Image(image) => self.session.read_hidden(tree, image, choose, read),
            Source::Layer(file) => self.session.read_hidden_from(tree, |_| again(file, tree), choose, read),
        };
        result.map_err(Failure::read)?;
        Ok(digests)
    }
}

fn add(digests: &mut Digests, inode: u32, content: &mut dyn Read) -> Result<(), SinkError> {
    let (mut hasher, mut buffer) = (Sha256::new(), [0; 1 << 14]);
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            bytes => hasher.update(buffer.get(..bytes).unwrap_or_default()),
        }
    }
    digests.insert(inode, hasher.finalize().into());
    Ok(())
}

/// A digest in hexadecimal digits.
pub(super) fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Merges a layer alone. Its digests are computed, so that it can be compared when it is read again.
fn merge_layer(session: &mut Session<'_>, file: &File) -> Result<MergedTree, Error> {
    let expected = Expected::unchecked().compute_digest(Algorithm::Sha256).compute_diff_id(Algorithm::Sha256);
    let mut merger = Merger::new();
    session.apply(Layer::new(file).expecting(expected), &mut merger)?;
    merger.into_tree()
}

/// A layer alone, to be read again.
fn again<'f>(mut file: &'f File, tree: &MergedTree) -> Result<Layer<&'f File>, Error> {
    file.rewind().map_err(|error| Error::system("lseek", b"(the layer)", error))?;
    let expected = tree.diff_ids().flatten().fold(Expected::unchecked(), Expected::with_diff_id);
    Ok(Layer::new(file).expecting(expected))
}

/// The default policy without its refusals: every image is listed that some policy accepts. What the default policy keeps,
/// such as setuid bits, stays.
fn everything() -> Policy {
    let policy = Policy::default();
    let refused = QuirkRule::ALL.iter().copied().filter(|&rule| policy.verdict(rule) == Verdict::Refuse);
    let policy = refused.fold(policy.clone(), Policy::allow);
    policy.with_devices(Devices::Create).with_fifos(Fifos::Create)
}
