//! Writes types and signatures with the names that users write, wherever the source imports them from.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Crate, Target};
use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};

/// The public path of each public item, by the module that defines it and its name there.
pub(super) type Paths = BTreeMap<(usize, String), String>;

/// Gives the paths of a module's code the names that users write, and collects those of the crate.
pub(super) struct Renamer<'s> {
    source: &'s Crate,
    paths: &'s Paths,
    module: usize,
    /// Names that a path may begin with and that are no items: parameters of the definition.
    parameters: BTreeSet<String>,
    /// The public path of every item of the crate that was named.
    pub(super) named: BTreeSet<String>,
    /// Whether an item of the crate was named that users cannot see.
    pub(super) is_private: bool,
}

impl<'s> Renamer<'s> {
    pub(super) fn new(source: &'s Crate, paths: &'s Paths, module: usize, generics: &[&syn::Generics]) -> Self {
        let parameters = generics.iter().flat_map(|generics| generics.type_params());
        let parameters = parameters.map(|parameter| parameter.ident.to_string());
        let parameters = parameters.chain(["Self".to_owned()]).collect();
        Self { source, paths, module, parameters, named: BTreeSet::new(), is_private: false }
    }

    pub(super) fn ty(&mut self, mut ty: syn::Type) -> String {
        self.visit_type_mut(&mut ty);
        written(ty.into_token_stream())
    }

    pub(super) fn path(&mut self, mut path: syn::Path) -> String {
        self.visit_path_mut(&mut path);
        written(path.into_token_stream())
    }

    pub(super) fn bounds(&mut self, bounds: impl IntoIterator<Item = syn::TypeParamBound>) -> String {
        let bounds = bounds.into_iter().map(|mut bound| {
            self.visit_type_param_bound_mut(&mut bound);
            written(bound.into_token_stream())
        });
        bounds.collect::<Vec<_>>().join(" + ")
    }

    /// The parameters of a definition, in brackets and without bounds, and its bounds as those of a `where` clause.
    pub(super) fn generics(&mut self, generics: &syn::Generics) -> (String, Vec<String>) {
        let mut names = Vec::new();
        let mut bounds = Vec::new();
        for parameter in &generics.params {
            match parameter {
                syn::GenericParam::Lifetime(parameter) => names.push(parameter.lifetime.to_string()),
                syn::GenericParam::Const(parameter) => names.push(written(parameter.to_token_stream())),
                syn::GenericParam::Type(parameter) => {
                    names.push(parameter.ident.to_string());
                    if !parameter.bounds.is_empty() {
                        bounds.push(format!("{}: {}", parameter.ident, self.bounds(parameter.bounds.clone())));
                    }
                }
            }
        }
        for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
            let mut predicate = predicate.clone();
            self.visit_where_predicate_mut(&mut predicate);
            bounds.push(written(predicate.into_token_stream()));
        }
        (if names.is_empty() { String::new() } else { format!("<{}>", names.join(", ")) }, bounds)
    }

    /// Parameters and result of a function, and its bounds.
    pub(super) fn signature(&mut self, signature: &syn::Signature) -> (String, Vec<String>) {
        let (names, bounds) = self.generics(&signature.generics);
        let mut inputs = Vec::new();
        for input in &signature.inputs {
            let mut input = input.clone();
            // How a parameter is bound inside of the function is not part of the interface.
            match &mut input {
                syn::FnArg::Receiver(receiver) if matches!(receiver.kind, syn::ReceiverKind::Value) => {
                    receiver.mutability = None;
                }
                syn::FnArg::Typed(typed) => {
                    if let syn::Pat::Ident(name) = &mut *typed.pat {
                        name.mutability = None;
                    }
                }
                syn::FnArg::Receiver(_) => (),
            }
            self.visit_fn_arg_mut(&mut input);
            inputs.push(written(input.into_token_stream()));
        }
        let output = match &signature.output {
            syn::ReturnType::Default => String::new(),
            syn::ReturnType::Type(_, ty) => format!(" -> {}", self.ty((**ty).clone())),
        };
        (format!("{names}({}){output}", inputs.join(", ")), bounds)
    }

    /// What a path is called, from its first segments: how many of them, and the segments in their place.
    fn renamed(&mut self, segments: &[String]) -> Option<(usize, String)> {
        for count in 1..=segments.len() {
            if let Some(Target::Item(module, name)) = self.source.resolve(self.module, &segments[..count]) {
                let Some(path) = self.paths.get(&(module, name)) else {
                    self.is_private = true;
                    return None;
                };
                self.named.insert(path.clone());
                return Some((count, path.clone()));
            }
        }
        // An item of another crate, which the module imports.
        let imports = self.source.modules[self.module].imports.iter();
        let import = imports.into_iter().find(|import| import.name.as_ref() == Some(&segments[0]))?;
        (import.path.len() > 1 && !matches!(import.path[0].as_str(), "crate" | "super" | "self"))
            // These two modules re-export nothing that serde itself has not.
            .then(|| (1, import.path.join("::").replace("serde::ser::", "serde::").replace("serde::de::", "serde::")))
    }
}

impl VisitMut for Renamer<'_> {
    fn visit_path_mut(&mut self, path: &mut syn::Path) {
        visit_mut::visit_path_mut(self, path);
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if path.leading_colon.is_some() || self.parameters.contains(&segments[0]) {
            return;
        }
        let Some((count, name)) = self.renamed(&segments) else { return };
        let arguments = path.segments[count - 1].arguments.clone();
        let mut renamed: syn::Path = syn::parse_str(&name).unwrap();
        renamed.segments.last_mut().unwrap().arguments = arguments;
        renamed.segments.extend(path.segments.iter().skip(count).cloned());
        *path = renamed;
    }
}

/// Tokens as text, with the spaces that rustfmt would write.
pub(super) fn written(tokens: TokenStream) -> String {
    let mut words = Vec::new();
    words_of(tokens, &mut words);
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 && is_spaced(&words[index - 1], word) {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

fn words_of(tokens: TokenStream, words: &mut Vec<String>) {
    let mut joined = false;
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                words.push(open.to_owned());
                words_of(group.stream(), words);
                words.push(close.to_owned());
                joined = false;
            }
            TokenTree::Punct(mark) => {
                // `>>` are two, which close two lists.
                let one = joined && mark.as_char() != '<' && words.last().is_none_or(|last| last != ">");
                match words.last_mut().filter(|_| one) {
                    Some(last) => last.push(mark.as_char()),
                    None => words.push(mark.as_char().to_string()),
                }
                joined = mark.spacing() == Spacing::Joint && !"&<".contains(mark.as_char());
            }
            other => {
                match words.last_mut().filter(|last| *last == "'") {
                    Some(lifetime) => lifetime.push_str(&other.to_string()),
                    None => words.push(other.to_string()),
                }
                joined = false;
            }
        }
    }
}

fn is_spaced(before: &str, word: &str) -> bool {
    let is_name = |word: &str| word.starts_with(|first: char| first.is_alphanumeric() || "_'\"".contains(first));
    match (before, word) {
        ("(" | "[" | "<" | "&" | "::" | "!" | "?" | "." | "", _) => false,
        (_, ")" | "]" | ">" | "," | ";" | ":" | "::" | "." | "") => false,
        // A generic list, a call; `&mut (…)` and `-> (…)` are none.
        (before, "<" | "(" | "[") if is_name(before) => before.starts_with('\'') || matches!(before, "mut" | "dyn"),
        (">", "(") => false,
        _ => true,
    }
}
