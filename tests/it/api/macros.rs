//! Expands the `macro_rules!` macros of a crate, so that the items that they define are seen like all others.

use std::collections::BTreeMap;

use crate::source::Crate;
use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::Item;
use syn::parse::{Parse, ParseStream, Parser};

/// Replaces each call of a macro of the crate among its items by the items that it defines.
pub(super) fn expand(source: &mut Crate) {
    let mut macros = BTreeMap::<_, Vec<_>>::new();
    for (module, content) in source.modules.iter().enumerate() {
        for item in &content.items {
            if let Item::Macro(definition) = item
                && let Some(name) = &definition.ident
            {
                let rules = Rules::read(definition.mac.tokens.clone());
                macros.entry(name.to_string()).or_default().push((module, rules));
            }
        }
    }
    for (module, content) in source.modules.iter_mut().enumerate() {
        let items = std::mem::take(&mut content.items);
        content.items = items.into_iter().flat_map(|item| expand_item(item, module, &macros)).collect();
    }
}

type Macros = BTreeMap<String, Vec<(usize, Rules)>>;

fn expand_item(item: Item, module: usize, macros: &Macros) -> Vec<Item> {
    let Item::Macro(call) = &item else { return vec![item] };
    let name = call.mac.path.segments.last().unwrap().ident.to_string();
    let Some(known) = macros.get(&name).filter(|_| call.ident.is_none()) else { return vec![item] };
    // Two modules may have a macro of the same name.
    let own = known.iter().find(|(other, _)| *other == module).or(known.first());
    let tokens = own.unwrap().1.apply(&name, call.mac.tokens.clone());
    let file: syn::File = syn::parse2(tokens).unwrap_or_else(|error| panic!("items of {name}!: {error}"));
    file.items.into_iter().flat_map(|item| expand_item(item, module, macros)).collect()
}

/// A macro: for each rule what it matches, and what takes its place.
struct Rules(Vec<(Vec<Pattern>, TokenStream)>);

enum Pattern {
    Token(String),
    Group(Delimiter, Vec<Pattern>),
    Fragment { name: String, kind: String },
    Repeat { patterns: Vec<Pattern>, separator: Option<String>, operator: char },
}

/// What a name of a pattern stands for.
#[derive(Clone)]
enum Binding {
    One(TokenStream),
    /// One for each repetition.
    Many(Vec<Binding>),
}

type Bindings = BTreeMap<String, Binding>;

impl Rules {
    fn read(tokens: TokenStream) -> Self {
        let trees: Vec<_> = tokens.into_iter().collect();
        let group = |tree: &TokenTree| if let TokenTree::Group(group) = tree { Some(group.stream()) } else { None };
        let groups: Vec<_> = trees.iter().filter_map(group).collect();
        Self(groups.chunks(2).map(|rule| (patterns(rule[0].clone()), rule[1].clone())).collect())
    }

    fn apply(&self, name: &str, tokens: TokenStream) -> TokenStream {
        let trees: Vec<_> = tokens.into_iter().collect();
        let found = self.0.iter().find_map(|(patterns, body)| {
            let (bindings, rest) = matched(patterns, &trees)?;
            rest.is_empty().then(|| transcribed(body.clone(), &bindings))
        });
        found.unwrap_or_else(|| panic!("no rule of {name}! matches"))
    }
}

/// The name behind a `$`, or the group and what follows it.
enum Dollar {
    Name(Ident),
    Repeat { group: Group, separator: Option<TokenTree>, operator: char },
}

/// Reads what stands behind a `$`.
fn dollar(rest: &mut std::vec::IntoIter<TokenTree>) -> Dollar {
    let group = match rest.next().unwrap() {
        TokenTree::Ident(name) => return Dollar::Name(name),
        TokenTree::Group(group) => group,
        other => panic!("`$` before {other}"),
    };
    let (separator, operator) = match rest.next().unwrap() {
        TokenTree::Punct(mark) if "*+?".contains(mark.as_char()) => (None, mark.as_char()),
        separator => match rest.next() {
            Some(TokenTree::Punct(mark)) => (Some(separator), mark.as_char()),
            other => panic!("a repetition ends with {other:?}"),
        },
    };
    Dollar::Repeat { group, separator, operator }
}

fn patterns(tokens: TokenStream) -> Vec<Pattern> {
    let mut rest = tokens.into_iter().collect::<Vec<_>>().into_iter();
    let mut patterns = Vec::new();
    while let Some(tree) = rest.next() {
        patterns.push(match tree {
            TokenTree::Punct(mark) if mark.as_char() == '$' => match dollar(&mut rest) {
                Dollar::Name(name) => {
                    let kind = rest.nth(1).unwrap().to_string();
                    Pattern::Fragment { name: name.to_string(), kind }
                }
                Dollar::Repeat { group, separator, operator } => {
                    let separator = separator.map(|tree| tree.to_string());
                    Pattern::Repeat { patterns: self::patterns(group.stream()), separator, operator }
                }
            },
            TokenTree::Group(group) => Pattern::Group(group.delimiter(), self::patterns(group.stream())),
            other => Pattern::Token(other.to_string()),
        });
    }
    patterns
}

/// Matches as much as the patterns take, and returns the rest.
fn matched<'t>(patterns: &[Pattern], mut trees: &'t [TokenTree]) -> Option<(Bindings, &'t [TokenTree])> {
    let mut bindings = Bindings::new();
    for pattern in patterns {
        match pattern {
            Pattern::Token(token) => {
                let (first, rest) = trees.split_first()?;
                if first.to_string() != *token {
                    return None;
                }
                trees = rest;
            }
            Pattern::Group(delimiter, patterns) => {
                let (TokenTree::Group(group), rest) = trees.split_first()? else { return None };
                let inside: Vec<_> = group.stream().into_iter().collect();
                let (found, left) = matched(patterns, &inside)?;
                if group.delimiter() != *delimiter || !left.is_empty() {
                    return None;
                }
                bindings.extend(found);
                trees = rest;
            }
            Pattern::Fragment { name, kind } => {
                let (fragment, rest) = fragment(kind, trees)?;
                bindings.insert(name.clone(), Binding::One(fragment));
                trees = rest;
            }
            Pattern::Repeat { patterns, separator, operator } => {
                let mut names = Vec::new();
                names_of(patterns, &mut names);
                let mut all: BTreeMap<_, _> = names.into_iter().map(|name| (name, Vec::new())).collect();
                let mut count = 0;
                while let Some((found, rest)) = repetition(patterns, separator.as_deref(), count, trees) {
                    found.into_iter().for_each(|(name, binding)| all.get_mut(&name).unwrap().push(binding));
                    (trees, count) = (rest, count + 1);
                    if *operator == '?' {
                        break;
                    }
                }
                if *operator == '+' && count == 0 {
                    return None;
                }
                bindings.extend(all.into_iter().map(|(name, found)| (name, Binding::Many(found))));
            }
        }
    }
    Some((bindings, trees))
}

fn repetition<'t>(
    patterns: &[Pattern],
    separator: Option<&str>,
    count: usize,
    trees: &'t [TokenTree],
) -> Option<(Bindings, &'t [TokenTree])> {
    let trees = match separator {
        Some(separator) if count > 0 => {
            let (first, rest) = trees.split_first()?;
            (first.to_string() == separator).then_some(rest)?
        }
        _ => trees,
    };
    matched(patterns, trees).filter(|(_, rest)| rest.len() < trees.len())
}

fn names_of(patterns: &[Pattern], names: &mut Vec<String>) {
    for pattern in patterns {
        match pattern {
            Pattern::Token(_) => (),
            Pattern::Fragment { name, .. } => names.push(name.clone()),
            Pattern::Group(_, patterns) | Pattern::Repeat { patterns, .. } => names_of(patterns, names),
        }
    }
}

/// Takes a fragment of a kind from the beginning.
fn fragment<'t>(kind: &str, trees: &'t [TokenTree]) -> Option<(TokenStream, &'t [TokenTree])> {
    match kind {
        "expr" => parsed::<syn::Expr>(trees),
        "ident" => parsed::<Ident>(trees),
        "literal" => parsed::<syn::Lit>(trees),
        "meta" => parsed::<syn::Meta>(trees),
        "path" => parsed::<syn::Path>(trees),
        "tt" => parsed::<TokenTree>(trees),
        "ty" => parsed::<syn::Type>(trees),
        other => panic!("a fragment of the kind {other}"),
    }
}

fn parsed<T: Parse + ToTokens>(trees: &[TokenTree]) -> Option<(TokenStream, &[TokenTree])> {
    let parser = |input: ParseStream<'_>| {
        let fragment: T = input.parse()?;
        let rest: TokenStream = input.parse()?;
        Ok((fragment.into_token_stream(), rest.into_iter().count()))
    };
    let (fragment, left) = parser.parse2(trees.iter().cloned().collect()).ok()?;
    Some((fragment, &trees[trees.len() - left..]))
}

fn transcribed(body: TokenStream, bindings: &Bindings) -> TokenStream {
    let mut rest = body.into_iter().collect::<Vec<_>>().into_iter();
    let mut made = TokenStream::new();
    while let Some(tree) = rest.next() {
        match tree {
            TokenTree::Punct(mark) if mark.as_char() == '$' => match dollar(&mut rest) {
                Dollar::Name(name) => match bindings.get(&name.to_string()) {
                    Some(Binding::One(tokens)) => made.extend(tokens.clone()),
                    Some(Binding::Many(_)) => panic!("${name} outside of its repetition"),
                    // `$crate`.
                    None => made.extend([TokenTree::Ident(name)]),
                },
                Dollar::Repeat { group, separator, .. } => {
                    for (index, inner) in repeated(&group, bindings).iter().enumerate() {
                        made.extend(separator.clone().filter(|_| index > 0));
                        made.extend(transcribed(group.stream(), inner));
                    }
                }
            },
            TokenTree::Group(group) => {
                let inside = transcribed(group.stream(), bindings);
                made.extend([TokenTree::Group(Group::new(group.delimiter(), inside))]);
            }
            other => made.extend([other]),
        }
    }
    made
}

/// The bindings inside of a repetition, for each time that it is repeated.
fn repeated(group: &Group, bindings: &Bindings) -> Vec<Bindings> {
    let mut used = Vec::new();
    words_of(group.stream(), &mut used);
    let many = used.iter().filter_map(|name| match bindings.get(name) {
        Some(Binding::Many(found)) => Some((name, found)),
        _ => None,
    });
    let many: Vec<_> = many.collect();
    let count = many.iter().map(|(_, found)| found.len()).max().unwrap();
    let inner = |index: usize| {
        let mut inner = bindings.clone();
        inner.extend(many.iter().map(|(name, found)| (name.to_string(), found[index].clone())));
        inner
    };
    (0..count).map(inner).collect()
}

/// Every name behind a `$`.
fn words_of(tokens: TokenStream, words: &mut Vec<String>) {
    let mut after_dollar = false;
    for tree in tokens {
        match &tree {
            TokenTree::Ident(name) if after_dollar => words.push(name.to_string()),
            TokenTree::Group(group) => words_of(group.stream(), words),
            _ => (),
        }
        after_dollar = matches!(&tree, TokenTree::Punct(mark) if mark.as_char() == '$');
    }
}
