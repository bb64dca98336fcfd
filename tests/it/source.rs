//! The source of a crate as the compiler sees it: its modules, what each file names, and where a path leads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// A crate, without the modules and items that are compiled for tests alone.
pub(crate) struct Crate {
    pub(crate) modules: Vec<Module>,
}

/// A module, in a file of its own or inline.
pub(crate) struct Module {
    pub(crate) file: PathBuf,
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, usize>,
    /// Everything the module defines: types, functions, macros and so on.
    pub(crate) items: Vec<Item>,
    pub(crate) imports: Vec<Import>,
    /// Every path in the code of this module, re-exports excepted.
    pub(crate) paths: BTreeSet<Vec<String>>,
}

/// One name of a `use` declaration.
pub(crate) struct Import {
    /// `None` is a glob.
    pub(crate) name: Option<String>,
    pub(crate) path: Vec<String>,
    /// Whether users of the crate can see it, if they can see the module.
    pub(crate) public: bool,
    pub(crate) attributes: Vec<Attribute>,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Module(usize),
    /// An item by its name, in the module that defines it.
    Item(usize, String),
}

/// The root of a crate.
const ROOT: usize = 0;

/// Re-exports of re-exports end somewhere; a loop of them does not.
const MOST_STEPS: u8 = 16;

impl Crate {
    /// Reads the crate whose root is this file.
    pub(crate) fn read(root: &Path) -> Self {
        let mut this = Self { modules: Vec::new() };
        let folder = root.parent().unwrap().to_owned();
        this.read_file(None, root, &folder);
        this
    }

    /// Reads a file; its child modules lie in `folder`.
    fn read_file(&mut self, parent: Option<usize>, file: &Path, folder: &Path) -> usize {
        let text = fs::read_to_string(file).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.add(parent, file, folder, parsed.items)
    }

    fn add(&mut self, parent: Option<usize>, file: &Path, folder: &Path, items: Vec<Item>) -> usize {
        let id = self.modules.len();
        let file = file.to_owned();
        let (children, imports, paths) = Default::default();
        self.modules.push(Module { file: file.clone(), parent, children, items: Vec::new(), imports, paths });
        for item in items.into_iter().filter(|item| !is_for_tests(attributes(item))) {
            if let Item::Mod(module) = &item {
                let name = module.ident.unraw().to_string();
                let inside = folder.join(&name);
                let child = match &module.content {
                    Some((_, items)) => self.add(Some(id), &file, &inside, items.clone()),
                    None => {
                        let own = folder.join(format!("{name}.rs"));
                        let own = if own.exists() { own } else { inside.join("mod.rs") };
                        self.read_file(Some(id), &own, &inside)
                    }
                };
                self.modules[id].children.insert(name, child);
            }
            Names(&mut self.modules[id]).visit_item(&item);
            self.modules[id].items.push(item);
        }
        id
    }

    /// Where a path leads that a module says; `None` is another crate or a name inside of the code.
    pub(crate) fn resolve(&self, from: usize, path: &[String]) -> Option<Target> {
        self.resolve_in(from, path, MOST_STEPS)
    }

    fn resolve_in(&self, from: usize, path: &[String], steps: u8) -> Option<Target> {
        let steps = steps.checked_sub(1)?;
        let mut at = from;
        for segment in path {
            match segment.as_str() {
                "crate" => at = ROOT,
                "self" => (),
                "super" => at = self.modules[at].parent?,
                name => match self.lookup(at, name, steps)? {
                    Target::Module(module) => at = module,
                    // What follows is a variant or an associated item.
                    item @ Target::Item(..) => return Some(item),
                },
            }
        }
        Some(Target::Module(at))
    }

    fn lookup(&self, at: usize, name: &str, steps: u8) -> Option<Target> {
        let module = &self.modules[at];
        if let Some(&child) = module.children.get(name) {
            return Some(Target::Module(child));
        }
        if module.items.iter().any(|item| name_of(item).is_some_and(|own| own == name)) {
            return Some(Target::Item(at, name.to_owned()));
        }
        let named = module.imports.iter().filter(|import| import.name.as_deref() == Some(name));
        // `use tar::Header` in a module `tar` is of the crate, not of itself.
        let named = named.filter(|import| import.path.first().is_none_or(|first| first != name));
        if let Some(found) = named.into_iter().find_map(|import| self.resolve_in(at, &import.path, steps)) {
            return Some(found);
        }
        let globs = module.imports.iter().filter(|import| import.name.is_none());
        globs.into_iter().find_map(|import| match self.resolve_in(at, &import.path, steps)? {
            Target::Module(other) if other != at => self.lookup(other, name, steps.checked_sub(1)?),
            _ => None,
        })
    }

    /// The file that a path of a module leads to; `None` where it ends at a module, for then what follows it decides.
    pub(crate) fn file_of(&self, from: usize, path: &[String]) -> Option<&Path> {
        match self.resolve(from, path)? {
            Target::Item(module, _) => Some(&self.modules[module].file),
            Target::Module(_) => None,
        }
    }
}

/// Collects what the code of a module names.
struct Names<'m>(&'m mut Module);

impl Visit<'_> for Names<'_> {
    fn visit_item(&mut self, item: &Item) {
        match item {
            // A module of its own.
            Item::Mod(_) => (),
            _ if is_for_tests(attributes(item)) => (),
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, function: &syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, declaration: &syn::ItemUse) {
        if declaration.leading_colon.is_some() {
            return;
        }
        let mut leaves = Vec::new();
        leaves_of(&declaration.tree, &mut Vec::new(), &mut leaves);
        for (name, path) in leaves {
            if matches!(declaration.vis, Visibility::Inherited) {
                self.0.paths.insert(path.clone());
            }
            let public = matches!(declaration.vis, Visibility::Public(_));
            self.0.imports.push(Import { name, path, public, attributes: declaration.attrs.clone() });
        }
    }

    fn visit_path(&mut self, path: &syn::Path) {
        if path.leading_colon.is_none() {
            self.0.paths.insert(path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &syn::Macro) {
        self.visit_path(&call.path);
        self.visit_tokens(call.tokens.clone());
    }
}

impl Names<'_> {
    /// Takes each chain of `name::name` in a macro's tokens for a path.
    fn visit_tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.0.paths.insert(std::mem::take(&mut path));
                    }
                    path.push(name.unraw().to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.visit_tokens(group.stream());
                    self.0.paths.insert(std::mem::take(&mut path));
                }
                _ => {
                    self.0.paths.insert(std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.0.paths.insert(path);
        self.0.paths.remove(&Vec::new());
    }
}

/// The names that a `use` declaration brings in, each with its path.
fn leaves_of(tree: &UseTree, before: &mut Vec<String>, leaves: &mut Vec<(Option<String>, Vec<String>)>) {
    let joined = |before: &[String], name: &syn::Ident| {
        let name = name.unraw().to_string();
        // `words::{self}` is `words`.
        if name == "self" && !before.is_empty() { before.to_owned() } else { [before, &[name]].concat() }
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.unraw().to_string());
            leaves_of(&path.tree, before, leaves);
            before.pop();
        }
        UseTree::Name(name) => {
            let path = joined(before, &name.ident);
            leaves.push((path.last().cloned(), path));
        }
        UseTree::Rename(rename) => {
            leaves.push((Some(rename.rename.unraw().to_string()), joined(before, &rename.ident)));
        }
        UseTree::Glob(_) => leaves.push((None, before.clone())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves_of(tree, before, leaves)),
    }
}

/// Whether `#[cfg(test)]` or `#[test]` stands before an item.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// The attributes of an item.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The name that an item defines.
pub(crate) fn name_of(item: &Item) -> Option<&syn::Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref(),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}
