//! The public API: what it is, that its list is complete, and what holds for all of its types.

mod collect;
mod macros;
mod names;
#[cfg(all(feature = "serde", feature = "sandbox"))]
mod rustdoc;
mod surface;
#[cfg(feature = "image")]
mod threads;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::source::Crate;
use surface::{Kind, Line, Surface};

static SURFACE: LazyLock<Surface> =
    LazyLock::new(|| surface(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")));

fn surface(root: &Path) -> Surface {
    let mut source = Crate::read(root);
    macros::expand(&mut source);
    Surface::of(&source)
}

/// The features that each feature turns on.
fn implied_features() -> BTreeMap<String, Vec<String>> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let (_, features) = manifest.split_once("\n[features]\n").unwrap();
    let lines = features.lines().take_while(|line| !line.starts_with('['));
    let features = lines.filter_map(|line| line.split_once(" = "));
    let implied = features.map(|(name, list)| {
        let list = list.trim_matches(['[', ']']).split(", ").map(|name| name.trim_matches('"').to_owned());
        (name.to_owned(), list.collect())
    });
    implied.collect()
}

#[test]
fn the_page_of_the_public_api_is_made_from_the_source() {
    let mut page = String::from(
        "# The public API: a line for each part of it, and in brackets the features that it needs.\n\
         # Paths begin at the root of the crate. `BLESS=1 cargo test --test it api` writes this file.\n",
    );
    let implied = implied_features();
    for lines in SURFACE.lines.chunk_by(|line, next| line.owner == next.owner) {
        page.push('\n');
        let (plain, others): (Vec<_>, Vec<_>) = lines.iter().partition(|line| is_plain(line));
        for line in others {
            writeln!(page, "{}{}", line.text, line.needs(&implied)).unwrap();
        }
        // One line for those that say no more than the name of the trait.
        let mut traits = BTreeMap::<_, Vec<_>>::new();
        for line in plain {
            traits.entry(line.needs(&implied)).or_default().push(line.name.as_str());
        }
        for (features, names) in traits {
            writeln!(page, "impl {} for {}{features}", names.join(", "), lines[0].owner).unwrap();
        }
    }
    crate::docs::assert_page("docs/api.txt", &page);
}

/// Whether a line is `impl Trait for Type`, without parameters, conditions or types.
fn is_plain(line: &Line) -> bool {
    line.kind == Kind::Implementation && line.text == format!("impl {} for {}", line.name, line.owner)
}

/// Each public type or trait serves the call of something that a user can reach.
#[test]
fn every_public_item_is_named_by_another_that_users_meet() {
    let met = SURFACE.met();
    let unmet: Vec<_> =
        SURFACE.definitions().map(|line| &line.owner).filter(|path| !met.contains(path.as_str())).collect();
    assert!(unmet.is_empty(), "these are in no public signature: {unmet:?}");
}

/// What rustdoc lists comes from the compiler, so an item that reading the source forgets is seen here.
#[cfg(all(feature = "serde", feature = "sandbox"))]
#[test]
fn rustdoc_lists_the_same_items() {
    let Some(pages) = std::env::var_os("LAYERCAGE_DOC") else {
        return crate::skip::skip(
            "comparing with rustdoc: LAYERCAGE_DOC names no directory of `cargo doc --all-features`",
        );
    };
    let (listed, expected) = (rustdoc::listed(Path::new(&pages), &SURFACE), rustdoc::expected(&SURFACE));
    let missing: Vec<_> = listed.difference(&expected).collect();
    let unknown: Vec<_> = expected.difference(&listed).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "rustdoc alone has {missing:#?}, the source alone has {unknown:#?}"
    );
}

/// A crate with an item behind each thing that the list must see through, or leave out.
#[test]
fn the_list_has_what_users_can_name_and_nothing_else() {
    let root = r#"
        mod hidden;
        pub mod open { pub use crate::hidden::{Inner, Shown as Renamed, words::*}; fn private() {} }
        #[cfg(feature = "more")]
        pub use hidden::Made;
        pub use open::Inner;
        #[cfg(test)] pub struct OfTests;
        pub fn start(inner: &Inner) -> Result<Box<dyn open::Renamed<Out = u8>>, std::io::Error> { todo!() }
    "#;
    let hidden = r#"
        use std::io;
        macro_rules! make {
            ($($(#[$doc:meta])* $name:ident $(= $default:expr)?),+) => {
                $(#[derive(Clone)] $(#[$doc])* pub struct $name { pub field: Vec<u8>, other: u8 })+
                $($(impl Default for $name { fn default() -> Self { $default } })?)+
            };
        }
        make!(/** Text. */ Made = todo!(), Unseen);
        pub struct Inner(pub u8, u8);
        impl Inner {
            pub const MOST: u8 = 1;
            pub(crate) fn private(&self) {}
            #[must_use] pub fn with<R: Copy>(mut self, mut r: R, all: &'static [(u8, Unseen)])
                -> io::Result<Self> where R: io::Read { todo!() }
            #[cfg(test)] pub fn of_tests(&self) {}
        }
        pub trait Shown { type Out; fn needed(&self) -> Self::Out; fn given(&self) {} }
        impl<T: Clone> Shown for Vec<T> { type Out = T; fn needed(&self) -> T { todo!() } }
        trait Private {}
        impl Private for Inner {}
        impl From<Unseen> for Inner { fn from(_: Unseen) -> Self { todo!() } }
        pub mod words { #[non_exhaustive] pub enum Word { A, #[doc(hidden)] B { at: super::Inner } } pub struct Stray; }
    "#;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lib.rs"), root).unwrap();
    fs::write(folder.path().join("hidden.rs"), hidden).unwrap();
    let surface = surface(&folder.path().join("lib.rs"));
    let none = BTreeMap::new();
    let lines: Vec<_> = surface.lines.iter().map(|line| format!("{}{}", line.text, line.needs(&none))).collect();
    let expected = [
        "pub struct Inner { .. }",
        "pub Inner.0: u8",
        "pub const Inner::MOST: u8",
        "#[must_use] pub fn Inner::with<R>(self, r: R, all: &'static [(u8, Unseen)]) -> std::io::Result<Self> \
         where R: Copy, R: std::io::Read",
        "pub struct Made { .. }  [more]",
        "pub Made.field: Vec<u8>  [more]",
        "impl Clone for Made  [more]",
        "impl Default for Made  [more]",
        "pub mod open",
        "pub use Inner as open::Inner",
        "pub trait open::Renamed",
        "pub type open::Renamed::Out",
        "pub fn open::Renamed::given(&self) { .. }",
        "pub fn open::Renamed::needed(&self) -> Self::Out",
        "impl<T> open::Renamed for Vec<T> where T: Clone { Out = T }",
        "pub struct open::Stray",
        "#[non_exhaustive] pub enum open::Word",
        "pub open::Word::A",
        "#[doc(hidden)] pub open::Word::B { at: Inner }",
        "pub fn start(inner: &Inner) -> Result<Box<dyn open::Renamed<Out = u8>>, std::io::Error>",
    ];
    assert_eq!(lines, expected);
    let met = surface.met();
    let unmet: Vec<_> =
        surface.definitions().map(|line| line.owner.as_str()).filter(|path| !met.contains(path)).collect();
    assert_eq!(unmet, ["Made", "open::Stray", "open::Word"]);
}
