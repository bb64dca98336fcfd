//! The names of images: tags in an image layout, and references of registries.

use crate::words::{Algorithm, Escaped};
use std::collections::BTreeMap;

/// Whether the wanted name means a stated reference such as `docker.io/library/alpine:3.19`: it is the reference, a
/// shortened form of it (`alpine:3.19`), or its tag.
pub(super) fn fits(stated: &str, wanted: &str) -> bool {
    let stated_whole = whole(stated);
    let tag = stated_whole.rsplit_once(':').map(|(_, tag)| tag);
    stated == wanted || stated_whole == whole(wanted) || tag == Some(wanted)
}

/// Whether a reference ends with a digest (`alpine@sha256:…` or `alpine:3.19@sha256:…`), as registries have them.
pub(super) fn has_digest(reference: &str) -> bool {
    let digest = reference.rsplit_once('@').map(|(_, digest)| digest);
    digest.is_some_and(|digest| {
        Algorithm::ALL.iter().any(|known| digest.strip_prefix(known.name()).is_some_and(|rest| rest.starts_with(':')))
    })
}

/// Whether a stated reference ends with the wanted name. The wanted name lacks the registry, and perhaps parts of the
/// path (`sm:1` for `localhost/sm:1`, `app:1` for `quay.io/team/app:1`), as podman allows for local images. A name
/// without a tag has the tag `latest`.
///
/// Images of several registries may end alike, so a caller must check that no other name matches.
pub(super) fn ends_with(stated: &str, wanted: &str) -> bool {
    let stated = whole(stated);
    let last = wanted.rsplit('/').next().unwrap_or(wanted);
    let tag = if last.contains([':', '@']) { "" } else { ":latest" };
    let before = stated.strip_suffix(tag).and_then(|stated| stated.strip_suffix(wanted));
    !last.is_empty() && !last.starts_with([':', '@']) && before.is_some_and(|before| before.ends_with('/'))
}

/// An item of a list that can be selected by its names.
pub(super) trait Named {
    /// Whether the wanted name is one of its names, or a shortened form of a whole reference.
    fn has_name(&self, wanted: &str) -> bool;

    /// Whether both are the same image, so that there is nothing to choose.
    fn is_same(&self, other: &Self) -> bool;

    /// Whole references that stand in the place of a tag.
    fn misplaced_names(&self) -> impl Iterator<Item = &str>;

    /// Its names that are whole references.
    fn whole_names(&self) -> impl Iterator<Item = &str>;
}

/// Finds the items that have the wanted name. Three comparisons are tried, and the first one that finds an item counts:
/// an exact name or a shortened form of it; a whole reference in the place of a tag; the end of a reference.
///
/// Because of this order, the tag of one image does not become ambiguous by the whole reference of another.
pub(super) fn called<'l, T: Named>(listed: &'l [T], wanted: &str) -> Vec<(usize, &'l T)> {
    let found = |fits: &dyn Fn(&T) -> bool| -> Vec<_> {
        listed.iter().enumerate().filter(|(_, listed)| fits(listed)).collect()
    };
    let exactly = found(&|listed| listed.has_name(wanted));
    if !exactly.is_empty() {
        return exactly;
    }
    let in_full = found(&|listed| listed.misplaced_names().any(|name| fits(name, wanted)));
    if !in_full.is_empty() {
        return in_full;
    }
    found(&|listed| short_for(listed, wanted).next().is_some())
}

/// The whole references of an image that end with a short name.
fn short_for<'l>(listed: &'l impl Named, wanted: &str) -> impl Iterator<Item = &'l str> {
    listed.whole_names().chain(listed.misplaced_names()).filter(move |name| ends_with(name, wanted))
}

/// The names that a short name may stand for, if they belong to several images. `None` if the name is not ambiguous.
/// The same name for several platforms counts once.
pub(super) fn ambiguous<T: Named>(called: &[(usize, &T)], wanted: &str) -> Option<String> {
    let is_short = |listed: &T| !listed.has_name(wanted) && !listed.misplaced_names().any(|name| fits(name, wanted));
    let is_one = called.windows(2).all(|two| matches!(two, [(_, one), (_, other)] if one.is_same(other)));
    if is_one || !called.iter().all(|(_, listed)| is_short(listed)) {
        return None;
    }
    // Keeps only as many as a message shows.
    let mut names = BTreeMap::new();
    for name in called.iter().flat_map(|(_, listed)| short_for(*listed, wanted)) {
        names.insert(whole(name), name);
        if names.len() > SHOWN + 1 {
            names.pop_last();
        }
    }
    (names.len() > 1).then(|| named(names.into_values()))
}

/// The full form of a reference: with registry, `library/` and tag.
fn whole(reference: &str) -> String {
    let (domain, rest) = match reference.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
        _ => ("docker.io", reference),
    };
    let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
    let library = if domain == "docker.io" && !rest.contains('/') { "library/" } else { "" };
    let tag = if rest.contains([':', '@']) { "" } else { ":latest" };
    format!("{domain}/{library}{rest}{tag}")
}

/// The names of one image, as a message shows them; the text of `unnamed` if it has none.
pub(super) fn named_or<'a>(names: impl IntoIterator<Item = &'a str>, unnamed: impl FnOnce() -> String) -> String {
    match named(names) {
        none if none.is_empty() => unnamed(),
        names => names,
    }
}

/// Names as a message shows them.
fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    list(names.into_iter().map(|name| Escaped::new(name.as_bytes()).to_string()))
}

/// How many items a message shows.
pub(super) const SHOWN: usize = 12;

/// The first items for a message: at most a dozen, and fewer if they are long.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    const LONG: usize = 1_000;
    let mut text = String::new();
    for (index, item) in items.enumerate() {
        if index == SHOWN || text.len() > LONG {
            text.push_str(" and more");
            break;
        }
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(&item);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_the_same_in_all_its_shortened_forms() {
        let hub = "docker.io/library/alpine:3.19";
        for wanted in [hub, "alpine:3.19", "library/alpine:3.19", "index.docker.io/library/alpine:3.19", "3.19"] {
            assert!(fits(hub, wanted) && (wanted == "3.19" || fits(wanted, hub)), "{wanted}");
        }
        for wanted in ["alpine", "alpine:3.2", "other/alpine:3.19", "quay.io/alpine:3.19", "9", "", "19"] {
            assert!(!fits(hub, wanted), "{wanted}");
        }
        assert!(fits("alpine:latest", "alpine") && fits("localhost/alpine:latest", "localhost/alpine"));
        assert!(fits("localhost:5000/a:b", "b") && !fits("localhost:5000/a:b", "a:b"));
        assert!(fits("a@sha256:12", "docker.io/library/a@sha256:12"));
    }

    #[test]
    fn a_short_name_is_the_end_of_a_reference_at_a_slash() {
        for (stated, wanted) in [
            ("localhost/sm:1", "sm:1"),
            ("localhost/sm:latest", "sm"),
            ("localhost/sm", "sm:latest"),
            ("quay.io/team/app:1", "app:1"),
            ("quay.io/team/app:1", "team/app:1"),
            ("localhost:5000/a:b", "a:b"),
            ("quay.io/a@sha256:12", "a@sha256:12"),
        ] {
            assert!(ends_with(stated, wanted), "{stated} {wanted}");
        }
        for (stated, wanted) in [
            ("localhost/sm:1", "m:1"),
            ("localhost/sm:1", "sm"),
            ("localhost/sm:1", "1"),
            ("localhost/sm:1", ":1"),
            ("localhost/sm:1", "/sm:1"),
            ("localhost/sm:1", ""),
            ("localhost/sm:1", "quay.io/sm:1"),
            ("quay.io/team/app:1", "other/app:1"),
            ("quay.io/a@sha256:12", "@sha256:12"),
        ] {
            assert!(!ends_with(stated, wanted), "{stated} {wanted}");
        }
    }
}
