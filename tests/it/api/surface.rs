//! What users of a crate can name: every public item, the path that they write, and a line for each part of it.

use std::collections::{BTreeMap, BTreeSet};

use super::collect::Collector;
use super::names::{Paths, written};
use crate::source::{self, Crate, Import, Target};
use quote::ToTokens;
use syn::{Attribute, Item, Meta, Visibility};

/// The public items of a crate.
pub(super) struct Surface {
    pub(super) lines: Vec<Line>,
}

/// One part of the public API.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The path of the item that it belongs to, without the name of the crate.
    pub(super) owner: String,
    pub(super) kind: Kind,
    /// The name of the part, or what stands for it.
    pub(super) name: String,
    /// The whole of it, without features.
    pub(super) text: String,
    /// The paths of the crate's items that it names.
    pub(super) named: BTreeSet<String>,
    pub(super) features: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Module,
    Struct,
    Enum,
    Trait,
    Alias,
    Function,
    Constant,
    /// Another path of an item.
    Alternative,
    Variant,
    Field,
    AssociatedType,
    AssociatedConstant,
    /// An associated function without a receiver.
    Constructor,
    Method,
    /// A method of a trait that implementations must have.
    RequiredMethod,
    Implementation,
}

impl Line {
    pub(super) fn needs(&self, implied: &BTreeMap<String, Vec<String>>) -> String {
        let all = &self.features;
        let is_implied = |feature: &&String| {
            all.iter().any(|other| implied.get(other).is_some_and(|implied| implied.contains(feature)))
        };
        let needed: Vec<_> = all.iter().filter(|feature| !is_implied(feature)).cloned().collect();
        if needed.is_empty() { String::new() } else { format!("  [{}]", needed.join(", ")) }
    }
}

impl Surface {
    pub(super) fn of(source: &Crate) -> Self {
        let mut found = Found::default();
        found.walk(source, 0, "", &BTreeSet::new());
        let paths = found.paths();
        let mut lines = found.modules.clone();
        let own = paths.iter().map(|(target, path)| (path.as_str(), &found.items[target][path]));
        let mut collector = Collector { source, paths: &paths, features: own.collect(), lines: Vec::new() };
        for (target, names) in &found.items {
            collector.define(target, names);
        }
        for module in 0..source.modules.len() {
            collector.implementations(module);
        }
        lines.append(&mut collector.lines);
        let rank = |line: &Line| match line.kind {
            // In the order of the source, by which derived orders go.
            Kind::Variant | Kind::Field => String::new(),
            _ => line.text.clone(),
        };
        lines.sort_by_cached_key(|line| (line.owner.clone(), line.kind, rank(line)));
        Self { lines }
    }

    /// The lines that define items.
    pub(super) fn definitions(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.kind <= Kind::Constant && line.kind != Kind::Module)
    }

    /// The items that a user meets: those that a function, a constructor or a part of another such item names.
    pub(super) fn met(&self) -> BTreeSet<&str> {
        let mut met = BTreeSet::new();
        loop {
            let before = met.len();
            for line in &self.lines {
                let owner = line.owner.as_str();
                match line.kind {
                    Kind::Module | Kind::Alternative => continue,
                    Kind::Function | Kind::Constant | Kind::Constructor => {
                        met.insert(owner);
                    }
                    _ if !met.contains(owner) => continue,
                    _ => (),
                }
                met.extend(line.named.iter().map(String::as_str));
            }
            if met.len() == before {
                return met;
            }
        }
    }
}

/// The public paths that lead to each item, each with the features that it needs.
#[derive(Default)]
struct Found {
    items: BTreeMap<(usize, String), BTreeMap<String, BTreeSet<String>>>,
    modules: Vec<Line>,
    /// Modules whose own path is public.
    public: BTreeSet<usize>,
}

impl Found {
    fn walk(&mut self, source: &Crate, module: usize, path: &str, features: &BTreeSet<String>) {
        let content = &source.modules[module];
        self.public.insert(module);
        for item in &content.items {
            let Some(name) = source::name_of(item).filter(|_| is_public(item)) else { continue };
            let features = with(features, source::attributes(item));
            self.items.entry((module, name.to_string())).or_default().insert(joined(path, &name.to_string()), features);
        }
        for item in &content.items {
            let Item::Mod(child) = item else { continue };
            if matches!(child.vis, Visibility::Public(_)) {
                let path = joined(path, &child.ident.to_string());
                let features = with(features, &child.attrs);
                self.modules.push(Line {
                    owner: path.clone(),
                    kind: Kind::Module,
                    name: child.ident.to_string(),
                    text: format!("pub mod {path}"),
                    named: BTreeSet::new(),
                    features: features.clone(),
                });
                self.walk(source, content.children[&child.ident.to_string()], &path, &features);
            }
        }
        for import in content.imports.iter().filter(|import| import.public) {
            self.import(source, module, import, path, features);
        }
    }

    fn import(&mut self, source: &Crate, module: usize, import: &Import, path: &str, features: &BTreeSet<String>) {
        let features = with(features, &import.attributes);
        match (source.resolve(module, &import.path), &import.name) {
            (Some(Target::Item(module, name)), Some(public)) => {
                self.items.entry((module, name)).or_default().insert(joined(path, public), features);
            }
            (Some(Target::Module(module)), Some(public)) => self.walk(source, module, &joined(path, public), &features),
            (Some(Target::Module(module)), None) => self.glob(source, module, path, &features),
            (found, _) => panic!("`pub use {}` leads to {found:?}", import.path.join("::")),
        }
    }

    /// All that a module has for the public.
    fn glob(&mut self, source: &Crate, module: usize, path: &str, features: &BTreeSet<String>) {
        let content = &source.modules[module];
        for item in content.items.iter().filter(|item| is_public(item)) {
            let Some(name) = source::name_of(item) else { continue };
            let features = with(features, source::attributes(item));
            self.items.entry((module, name.to_string())).or_default().insert(joined(path, &name.to_string()), features);
        }
        for import in content.imports.iter().filter(|import| import.public) {
            self.import(source, module, import, path, features);
        }
    }

    /// For each item the path that is its own: that of a public module that defines it, or the shortest.
    fn paths(&self) -> Paths {
        let own = |(target, names): (&(usize, String), &BTreeMap<String, _>)| {
            let shortest = names.keys().min_by_key(|name| (name.matches("::").count(), name.len())).unwrap();
            (target.clone(), shortest.clone())
        };
        self.items.iter().map(own).collect()
    }
}

fn is_public(item: &Item) -> bool {
    let visibility = match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Union(item) => &item.vis,
        _ => return false,
    };
    matches!(visibility, Visibility::Public(_))
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") }
}

/// The conditions of `#[cfg]` beside those that hold already.
pub(super) fn with(features: &BTreeSet<String>, attributes: &[Attribute]) -> BTreeSet<String> {
    let mut features = features.clone();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")) {
        add(&mut features, &attribute.parse_args().unwrap());
    }
    features
}

pub(super) fn add(features: &mut BTreeSet<String>, condition: &Meta) {
    let parts = |list: &syn::MetaList| {
        list.parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated).unwrap()
    };
    match condition {
        Meta::List(list) if list.path.is_ident("all") => parts(list).iter().for_each(|part| add(features, part)),
        Meta::NameValue(pair) if pair.path.is_ident("feature") => {
            features.insert(written(pair.value.to_token_stream()).trim_matches('"').to_owned());
        }
        other => {
            features.insert(written(other.to_token_stream()));
        }
    }
}
