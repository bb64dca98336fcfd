//! What a case is: a layer, and what should come of it.

/// One layer, and what should come of it.
#[derive(Clone)]
pub(crate) struct Case {
    /// Unique, and safe as a file name.
    pub(crate) name: &'static str,
    /// What the layer is or does, in a sentence without a full stop.
    pub(crate) sentence: &'static str,
    /// The file of this folder that the case stands in; set by [`super::all`].
    pub(crate) topic: &'static str,
    /// The layer, compressed or not.
    pub(crate) layer: Vec<u8>,
    /// A plain tar that is applied before; nothing is wrong with it.
    pub(crate) lower: Option<Vec<u8>>,
    /// Where it was seen first, as far as that is known for certain.
    pub(crate) first_seen: &'static str,
    /// Limits to be set, by the names that [layercage] has for them; the others are at their defaults.
    pub(crate) limits: Vec<(&'static str, u64)>,
    /// What the extractor is told beforehand.
    pub(crate) told: Told,
    /// What should come of it under the presets `default`, `compatible` and `paranoid`.
    pub(crate) expected: [Expected; 3],
    /// What must be true of the tree where the layer is taken.
    pub(crate) tree: Vec<(&'static str, Fact)>,
}

/// What should come of a layer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Expected {
    /// It is taken, without a word.
    Take,
    /// It is taken, with a note for each of these rules and no other.
    Note(Vec<&'static str>),
    /// It is refused by this rule.
    Refuse(&'static str),
}

/// What an extractor is told about a layer, as a manifest and a configuration would tell it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    Nothing,
    /// The digest and the size of the blob, and the digest of this, the uncompressed layer.
    Truth {
        unpacked: Vec<u8>,
    },
    /// The digest of something else.
    OtherDigest,
    /// Another size, by so many bytes.
    OtherSize(i64),
    /// The diff ID of something else.
    OtherDiffId,
}

/// Something that must be true of a path of the tree. No link is followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fact {
    /// Nothing is there.
    Absent,
    /// A regular file with this content.
    File(Vec<u8>),
    /// A directory.
    Directory,
    /// A directory with these permission bits.
    DirectoryOf(u32),
    /// A symbolic link with this target.
    Symlink(Vec<u8>),
    /// A named pipe.
    Fifo,
    /// The same inode as that path.
    SameAs(&'static str),
}

/// Begins a case.
pub(crate) fn case(name: &'static str, sentence: &'static str, layer: Vec<u8>) -> Case {
    Case {
        name,
        sentence,
        topic: "",
        layer,
        lower: None,
        first_seen: "",
        limits: Vec::new(),
        told: Told::Nothing,
        expected: [Expected::Take, Expected::Take, Expected::Take],
        tree: Vec::new(),
    }
}

impl Case {
    /// The layer comes over this one, and not over an empty root.
    pub(crate) fn over(mut self, lower: Vec<u8>) -> Self {
        self.lower = Some(lower);
        self
    }

    pub(crate) fn seen(mut self, first_seen: &'static str) -> Self {
        self.first_seen = first_seen;
        self
    }

    pub(crate) fn limit(mut self, limit: &'static str, most: u64) -> Self {
        self.limits.push((limit, most));
        self
    }

    pub(crate) fn told(mut self, told: Told) -> Self {
        self.told = told;
        self
    }

    /// Every preset takes it, without a word.
    pub(crate) fn taken(self) -> Self {
        self.expected([Expected::Take, Expected::Take, Expected::Take])
    }

    /// It is odd and known from real images: only paranoia refuses it, by the first of these rules.
    pub(crate) fn noted(self, rules: &[&'static str]) -> Self {
        let note = Expected::Note(rules.to_vec());
        self.expected([note.clone(), note, Expected::Refuse(rules[0])])
    }

    /// It is hostile or ambiguous, and engines in use take it all the same.
    pub(crate) fn refused_unless_compatible(self, rules: &[&'static str]) -> Self {
        let refuse = Expected::Refuse(rules[0]);
        self.expected([refuse.clone(), Expected::Note(rules.to_vec()), refuse])
    }

    /// Every preset refuses it.
    pub(crate) fn refused(self, rule: &'static str) -> Self {
        self.expected([Expected::Refuse(rule), Expected::Refuse(rule), Expected::Refuse(rule)])
    }

    /// What `default`, `compatible` and `paranoid` make of it.
    pub(crate) fn expected(mut self, expected: [Expected; 3]) -> Self {
        self.expected = expected;
        self
    }

    /// Where the layer is taken, this is true of a path.
    pub(crate) fn then(mut self, path: &'static str, fact: Fact) -> Self {
        self.tree.push((path, fact));
        self
    }

    pub(crate) fn then_absent(self, path: &'static str) -> Self {
        self.then(path, Fact::Absent)
    }

    pub(crate) fn then_file(self, path: &'static str, content: impl AsRef<[u8]>) -> Self {
        self.then(path, Fact::File(content.as_ref().to_vec()))
    }

    pub(crate) fn then_directory(self, path: &'static str) -> Self {
        self.then(path, Fact::Directory)
    }

    pub(crate) fn then_symlink(self, path: &'static str, target: &str) -> Self {
        self.then(path, Fact::Symlink(target.into()))
    }

    /// The rules that this case shows, the one that it is there for first.
    pub(crate) fn rules(&self) -> Vec<&'static str> {
        let mut rules = Vec::new();
        for expected in &self.expected {
            match expected {
                Expected::Take => (),
                Expected::Note(noted) => rules.extend(noted.iter().copied()),
                Expected::Refuse(rule) => rules.push(rule),
            }
        }
        let mut once: Vec<&'static str> = Vec::new();
        for rule in rules {
            if !once.contains(&rule) {
                once.push(rule);
            }
        }
        once
    }

    /// What its file is called: the extension says how the first bytes look.
    pub(crate) fn file_name(&self) -> String {
        let extension = match self.layer.as_slice() {
            [0x1f, 0x8b, ..] => "tar.gz",
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => "tar.zst",
            _ => "tar",
        };
        format!("{}.{extension}", self.name)
    }
}
