//! What rustdoc lists of the crate, read from its pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::surface::{Kind, Line, Surface};

/// Each page, each part of an item and each implementation, as one line.
pub(super) fn listed(pages: &Path, surface: &Surface) -> BTreeSet<String> {
    let is_other = |line: &&Line| line.kind == Kind::Alternative;
    let others = surface.lines.iter().filter(is_other).map(|line| (line.owner.as_str(), line.name.as_str()));
    let mut listing = Listing { others: others.collect(), lines: BTreeSet::new() };
    listing.read_folder(pages, "");
    listing.lines
}

/// The same of what was read from the source.
pub(super) fn expected(surface: &Surface) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let is_hidden = |text: &str| text.starts_with("#[doc(hidden)]");
    for line in surface.lines.iter().filter(|line| !is_hidden(&line.text)) {
        let (owner, name) = (&line.owner, &line.name);
        lines.insert(match line.kind {
            // Its page is that of the item.
            Kind::Alternative => continue,
            Kind::Module => format!("mod {owner}"),
            Kind::Struct => format!("struct {owner}"),
            Kind::Enum => format!("enum {owner}"),
            Kind::Trait => format!("trait {owner}"),
            Kind::Alias => format!("type {owner}"),
            Kind::Function => format!("fn {owner}"),
            Kind::Constant => format!("constant {owner}"),
            Kind::Variant => format!("{owner} variant.{name}"),
            Kind::Field => format!("{owner} structfield.{name}"),
            Kind::AssociatedType => format!("{owner} associatedtype.{name}"),
            Kind::AssociatedConstant => format!("{owner} associatedconstant.{name}"),
            Kind::Constructor | Kind::Method => format!("{owner} method.{name}"),
            Kind::RequiredMethod => format!("{owner} tymethod.{name}"),
            Kind::Implementation => implementation(&line.text),
        });
    }
    lines
}

/// `impl Trait for Type`, without parameters, conditions and the modules of names.
fn implementation(text: &str) -> String {
    let (_, from) = text.split_once("impl").unwrap();
    let from = if from.starts_with('<') { behind_list(from) } else { from };
    let end = from.find(" where ").or(from.find(" { ")).unwrap_or(from.len());
    let from = from[..end].replace("'static ", "").replace("(dyn ", "dyn ").replace(" + '_)", "");
    // The lifetime of a reference is not in the anchor of an implementation.
    let from = match from.split_once("&'") {
        Some((before, named)) => format!("{before}&{}", named.split_once(' ').unwrap().1),
        None => from,
    };
    let mut short = String::new();
    for part in from.split_inclusive(|mark: char| !mark.is_alphanumeric() && mark != '_' && mark != ':') {
        short.push_str(part.rsplit("::").next().unwrap());
    }
    format!("impl {}", short.trim())
}

/// The text behind a list in angle brackets.
fn behind_list(text: &str) -> &str {
    let mut depth = 0;
    let end = text.find(|mark| {
        depth += match mark {
            '<' => 1,
            '>' => -1,
            _ => 0,
        };
        depth == 0
    });
    &text[end.unwrap() + 1..]
}

struct Listing<'s> {
    /// Further paths of items, of which rustdoc takes one for the page.
    others: BTreeMap<&'s str, &'s str>,
    lines: BTreeSet<String>,
}

impl Listing<'_> {
    fn read_folder(&mut self, folder: &Path, path: &str) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let joined = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") };
            if entry.file_type().unwrap().is_dir() {
                if entry.path().join("index.html").exists() {
                    self.lines.insert(format!("mod {}", joined(&name)));
                }
                self.read_folder(&entry.path(), &joined(&name));
            } else if let [kind, name, "html"] = name.split('.').collect::<Vec<_>>()[..] {
                let text = fs::read_to_string(entry.path()).unwrap();
                // The page of a private path leads to that of the public one.
                if !text.contains("http-equiv=\"refresh\"") {
                    let path = joined(name);
                    let path = self.others.get(path.as_str()).map_or(path.clone(), ToString::to_string);
                    self.lines.insert(format!("{kind} {path}"));
                    self.read_page(&text, &path);
                }
            }
        }
    }

    /// Reads the anchors of an item's page. Those of its sections say what belongs to the item itself.
    fn read_page(&mut self, text: &str, path: &str) {
        let mut section = "";
        for anchor in text.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            match anchor {
                "implementations"
                | "trait-implementations"
                | "synthetic-implementations"
                | "blanket-implementations"
                | "foreign-impls"
                | "implementors" => section = anchor,
                _ if anchor.starts_with("deref-methods") => section = "deref-methods",
                _ => (),
            }
            let anchor = decoded(anchor);
            match section {
                "" | "implementations" => {
                    if let Some((kind, name)) = anchor.split_once('.')
                        && !name.contains('.')
                        && matches!(
                            kind,
                            "variant" | "structfield" | "associatedtype" | "associatedconstant" | "method" | "tymethod"
                        )
                    {
                        self.lines.insert(format!("{path} {kind}.{}", without_number(name)));
                    }
                }
                "trait-implementations" | "foreign-impls" | "implementors" => {
                    if let Some((implemented, ty)) =
                        anchor.strip_prefix("impl-").and_then(|rest| rest.split_once("-for-"))
                        && implemented != "StructuralPartialEq"
                    {
                        self.lines.insert(format!("impl {implemented} for {}", without_number(ty)));
                    }
                }
                _ => (),
            }
        }
    }
}

/// Of anchors that would be the same, the later ones end with a number.
fn without_number(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((before, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => before,
        _ => name,
    }
}

fn decoded(anchor: &str) -> String {
    let mut parts = anchor.split('%');
    let mut text = parts.next().unwrap().replace('+', " ");
    for part in parts {
        let (code, rest) = part.split_at(2);
        text.push(char::from(u8::from_str_radix(code, 16).unwrap()));
        text.push_str(&rest.replace('+', " "));
    }
    text
}
