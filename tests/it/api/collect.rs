//! Lists the parts of each public item: what its definition says, and what `impl` blocks and derives give to it.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{Paths, Renamer, written};
use super::surface::{Kind, Line, add, with};
use crate::source::{self, Crate, is_for_tests};
use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, Meta, TraitItem, Visibility};

pub(super) struct Collector<'s> {
    pub(super) source: &'s Crate,
    pub(super) paths: &'s Paths,
    /// What the path of each item needs.
    pub(super) features: BTreeMap<&'s str, &'s BTreeSet<String>>,
    pub(super) lines: Vec<Line>,
}

/// What the lines of one item have in common.
struct Owner<'o> {
    path: &'o str,
    module: usize,
    features: &'o BTreeSet<String>,
    generics: Vec<&'o syn::Generics>,
}

impl Collector<'_> {
    fn renamer(&self, owner: &Owner<'_>) -> Renamer<'_> {
        Renamer::new(self.source, self.paths, owner.module, &owner.generics)
    }

    fn push(
        &mut self,
        owner: &Owner<'_>,
        kind: Kind,
        name: &str,
        attributes: &[Attribute],
        (text, named): (String, BTreeSet<String>),
    ) {
        let hidden = attributes.iter().any(|attribute| {
            attribute.path().is_ident("doc") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "hidden")
        });
        let open = attributes.iter().any(|attribute| attribute.path().is_ident("non_exhaustive"));
        let marks = [(hidden, "#[doc(hidden)] "), (open, "#[non_exhaustive] ")];
        let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        let mut features = with(owner.features, attributes);
        features.extend(self.features.get(owner.path).copied().into_iter().flatten().cloned());
        let owner_path = owner.path.to_owned();
        let text = format!("{marks}{text}");
        self.lines.push(Line { owner: owner_path, kind, name: name.to_owned(), text, named, features });
    }

    /// Lists an item with all that its definition says.
    pub(super) fn define(&mut self, (module, name): &(usize, String), names: &BTreeMap<String, BTreeSet<String>>) {
        let own = &self.paths[&(*module, name.clone())];
        let items = &self.source.modules[*module].items;
        let definitions = items.iter().filter(|item| source::name_of(item).is_some_and(|known| known == name));
        for (path, features) in names {
            let owner = Owner { path, module: *module, features, generics: Vec::new() };
            if path != own {
                let text = (format!("pub use {own} as {path}"), BTreeSet::from([own.clone()]));
                self.push(&owner, Kind::Alternative, own, &[], text);
                continue;
            }
            for definition in definitions.clone() {
                self.definition(&owner, definition);
            }
        }
    }

    fn definition(&mut self, owner: &Owner<'_>, item: &Item) {
        let attributes = source::attributes(item);
        let path = owner.path;
        let generics = match item {
            Item::Struct(item) => &item.generics,
            Item::Enum(item) => &item.generics,
            Item::Trait(item) => &item.generics,
            Item::Type(item) => &item.generics,
            Item::Fn(item) => &item.sig.generics,
            _ => &syn::Generics::default(),
        };
        let owner = &Owner { generics: vec![generics], ..*owner };
        let mut names = self.renamer(owner);
        let (parameters, bounds) = names.generics(generics);
        let bounds = condition(&bounds);
        let (kind, text) = match item {
            Item::Struct(item) => {
                let private = item.fields.iter().any(|field| !matches!(field.vis, Visibility::Public(_)));
                let private = if private { " { .. }" } else { "" };
                (Kind::Struct, format!("pub struct {path}{parameters}{private}{bounds}"))
            }
            Item::Enum(_) => (Kind::Enum, format!("pub enum {path}{parameters}{bounds}")),
            Item::Trait(item) => {
                let above = names.bounds(item.supertraits.iter().cloned());
                let above = if above.is_empty() { above } else { format!(": {above}") };
                (Kind::Trait, format!("pub trait {path}{parameters}{above}{bounds}"))
            }
            Item::Type(item) => {
                (Kind::Alias, format!("pub type {path}{parameters} = {}{bounds}", names.ty((*item.ty).clone())))
            }
            Item::Fn(item) => {
                let (signature, bounds) = names.signature(&item.sig);
                let constant = if item.sig.constness.is_some() { "const " } else { "" };
                (Kind::Function, format!("pub {constant}fn {path}{signature}{}", condition(&bounds)))
            }
            Item::Const(item) => (Kind::Constant, format!("pub const {path}: {}", names.ty((*item.ty).clone()))),
            other => panic!("{path} is something new: {}", written(other.to_token_stream())),
        };
        let named = names.named;
        self.push(owner, kind, path, attributes, (text, named));
        match item {
            Item::Struct(item) => self.fields(owner, &item.fields),
            Item::Enum(item) => item.variants.iter().for_each(|variant| self.variant(owner, variant)),
            Item::Trait(item) => item.items.iter().for_each(|item| self.trait_item(owner, item)),
            _ => (),
        }
        self.derives(owner, attributes, &parameters);
    }

    fn fields(&mut self, owner: &Owner<'_>, fields: &Fields) {
        for (index, field) in fields.iter().enumerate() {
            if !matches!(field.vis, Visibility::Public(_)) {
                continue;
            }
            let name = field.ident.as_ref().map_or(index.to_string(), ToString::to_string);
            let mut names = self.renamer(owner);
            let text = format!("pub {}.{name}: {}", owner.path, names.ty(field.ty.clone()));
            let named = names.named;
            self.push(owner, Kind::Field, &name, &field.attrs, (text, named));
        }
    }

    fn variant(&mut self, owner: &Owner<'_>, variant: &syn::Variant) {
        let mut names = self.renamer(owner);
        let mut fields = Vec::new();
        for field in &variant.fields {
            let ty = names.ty(field.ty.clone());
            fields.push(field.ident.as_ref().map_or(ty.clone(), |name| format!("{name}: {ty}")));
        }
        let data = match &variant.fields {
            Fields::Unit => String::new(),
            Fields::Named(_) => format!(" {{ {} }}", fields.join(", ")),
            Fields::Unnamed(_) => format!("({})", fields.join(", ")),
        };
        let text = format!("pub {}::{}{data}", owner.path, variant.ident);
        let named = names.named;
        self.push(owner, Kind::Variant, &variant.ident.to_string(), &variant.attrs, (text, named));
    }

    fn trait_item(&mut self, owner: &Owner<'_>, item: &TraitItem) {
        match item {
            TraitItem::Fn(function) => {
                let kind = if function.default.is_some() { Kind::Method } else { Kind::RequiredMethod };
                let end = if function.default.is_some() { " { .. }" } else { "" };
                self.function(owner, kind, &function.attrs, &function.sig, &[], end);
            }
            TraitItem::Type(ty) => {
                let mut names = self.renamer(owner);
                let bounds = names.bounds(ty.bounds.clone());
                let bounds = if bounds.is_empty() { bounds } else { format!(": {bounds}") };
                let text = format!("pub type {}::{}{bounds}", owner.path, ty.ident);
                let named = names.named;
                self.push(owner, Kind::AssociatedType, &ty.ident.to_string(), &ty.attrs, (text, named));
            }
            TraitItem::Const(constant) => {
                self.constant(owner, &constant.attrs, &constant.ident.to_string(), &constant.ty);
            }
            other => panic!("{} has something new: {}", owner.path, written(other.to_token_stream())),
        }
    }

    fn constant(&mut self, owner: &Owner<'_>, attributes: &[Attribute], name: &str, ty: &syn::Type) {
        let mut names = self.renamer(owner);
        let text = format!("pub const {}::{name}: {}", owner.path, names.ty(ty.clone()));
        let named = names.named;
        self.push(owner, Kind::AssociatedConstant, name, attributes, (text, named));
    }

    fn function(
        &mut self,
        owner: &Owner<'_>,
        kind: Kind,
        attributes: &[Attribute],
        signature: &syn::Signature,
        above: &[String],
        end: &str,
    ) {
        let own = Owner { generics: [&owner.generics[..], &[&signature.generics]].concat(), ..*owner };
        let mut names = self.renamer(&own);
        let (text, bounds) = names.signature(signature);
        let bounds = condition(&[above, &bounds].concat());
        let constant = if signature.constness.is_some() { "const " } else { "" };
        let must_use = if attributes.iter().any(|it| it.path().is_ident("must_use")) { "#[must_use] " } else { "" };
        let name = signature.ident.to_string();
        let text = format!("{must_use}pub {constant}fn {}::{name}{text}{bounds}{end}", owner.path);
        let named = names.named;
        self.push(owner, kind, &name, attributes, (text, named));
    }

    /// Lists what is derived, which for a type with parameters holds where it holds for these.
    fn derives(&mut self, owner: &Owner<'_>, attributes: &[Attribute], parameters: &str) {
        for attribute in attributes {
            let (condition, paths) = derived(attribute);
            let features = condition.iter().fold(owner.features.clone(), |mut features, condition| {
                add(&mut features, condition);
                features
            });
            let owner = Owner { features: &features, generics: owner.generics.clone(), ..*owner };
            for path in paths {
                let mut names = self.renamer(&owner);
                let name = names.path(path);
                let named = std::mem::take(&mut names.named);
                for name in derived_traits(&name) {
                    let text = format!("impl {name} for {}{parameters}", owner.path);
                    self.push(&owner, Kind::Implementation, name, &[], (text, named.clone()));
                }
            }
        }
    }

    /// Lists what the `impl` blocks of a module give to public items.
    pub(super) fn implementations(&mut self, module: usize) {
        let features = self.features_of(module);
        for item in &self.source.modules[module].items {
            let Item::Impl(block) = item else { continue };
            let features = with(&features, &block.attrs);
            let mut names = Renamer::new(self.source, self.paths, module, &[&block.generics]);
            let subject = names.ty((*block.self_ty).clone());
            let base = subject.split('<').next().unwrap();
            let owner = names.named.iter().find(|path| *path == base).cloned();
            match &block.trait_ {
                None => {
                    let Some(path) = owner else { continue };
                    let (_, bounds) = names.generics(&block.generics);
                    let owner = Owner { path: &path, module, features: &features, generics: vec![&block.generics] };
                    block.items.iter().for_each(|item| self.inherent(&owner, item, &bounds));
                }
                Some((interface, _)) => self.implementation(module, &features, block, interface, names, &subject),
            }
        }
    }

    fn inherent(&mut self, owner: &Owner<'_>, item: &ImplItem, bounds: &[String]) {
        match item {
            ImplItem::Fn(function)
                if matches!(function.vis, Visibility::Public(_)) && !is_for_tests(&function.attrs) =>
            {
                let kind = if function.sig.receiver().is_some() { Kind::Method } else { Kind::Constructor };
                self.function(owner, kind, &function.attrs, &function.sig, bounds, "");
            }
            ImplItem::Const(constant) if matches!(constant.vis, Visibility::Public(_)) => {
                self.constant(owner, &constant.attrs, &constant.ident.to_string(), &constant.ty);
            }
            ImplItem::Macro(call) => panic!("{}: a macro of items, {}", owner.path, written(call.to_token_stream())),
            _ => (),
        }
    }

    fn implementation(
        &mut self,
        module: usize,
        features: &BTreeSet<String>,
        block: &syn::ItemImpl,
        interface: &syn::Path,
        mut names: Renamer<'_>,
        subject: &str,
    ) {
        let name = names.path(interface.clone());
        // A trait or a type that users cannot see.
        if names.is_private {
            return;
        }
        // Where the type is from elsewhere, it belongs to the item in the trait's parameters, or to the trait.
        let base = subject.trim_start_matches('&').split('<').next().unwrap();
        let Some(path) = names.named.get(base).or(names.named.first()).cloned() else { return };
        let (parameters, bounds) = names.generics(&block.generics);
        let types = block.items.iter().filter_map(|item| match item {
            ImplItem::Type(ty) => Some(format!("{} = {}", ty.ident, names.ty(ty.ty.clone()))),
            _ => None,
        });
        let types: Vec<_> = types.collect();
        let types = if types.is_empty() { String::new() } else { format!(" {{ {} }}", types.join(", ")) };
        let text = format!("impl{parameters} {name} for {subject}{}{types}", condition(&bounds));
        let named = names.named;
        let owner = Owner { path: &path, module, features, generics: Vec::new() };
        self.push(&owner, Kind::Implementation, &name, &block.attrs, (text, named));
    }

    /// What a module and those around it need.
    fn features_of(&self, module: usize) -> BTreeSet<String> {
        let modules = &self.source.modules;
        let Some(parent) = modules[module].parent else { return BTreeSet::new() };
        let above = self.features_of(parent);
        let (name, _) = modules[parent].children.iter().find(|(_, child)| **child == module).unwrap();
        let declared = modules[parent].items.iter().find_map(|item| match item {
            Item::Mod(child) if child.ident == name => Some(&child.attrs),
            _ => None,
        });
        with(&above, declared.unwrap())
    }
}

fn condition(bounds: &[String]) -> String {
    if bounds.is_empty() { String::new() } else { format!(" where {}", bounds.join(", ")) }
}

/// What an attribute derives, and under which condition.
fn derived(attribute: &Attribute) -> (Option<Meta>, Vec<syn::Path>) {
    type List<T> = syn::punctuated::Punctuated<T, syn::Token![,]>;
    let (condition, metas) = match attribute.path() {
        path if path.is_ident("derive") => (None, vec![attribute.meta.clone()]),
        path if path.is_ident("cfg_attr") => {
            let mut parts = attribute.parse_args_with(List::<Meta>::parse_terminated).unwrap().into_iter();
            (parts.next(), parts.filter(|part| part.path().is_ident("derive")).collect())
        }
        _ => return (None, Vec::new()),
    };
    let paths = metas.iter().flat_map(|meta| match meta {
        Meta::List(list) => list.parse_args_with(List::<syn::Path>::parse_terminated).unwrap(),
        _ => List::new(),
    });
    (condition, paths.collect())
}

/// The traits that a derive macro implements.
fn derived_traits(name: &str) -> Vec<&str> {
    match name {
        "thiserror::Error" => vec!["std::error::Error", "std::fmt::Display"],
        other => vec![other],
    }
}
