//! The names that images have: tags of an image layout, references of registries.

use crate::words::Escaped;

/// Whether a stated reference, `docker.io/library/alpine:3.19` say, is what somebody asks for: the same in any of its
/// shortened forms (`alpine:3.19`), or its tag alone.
pub(super) fn fits(stated: &str, wanted: &str) -> bool {
    let stated_whole = whole(stated);
    let tag = stated_whole.rsplit_once(':').map(|(_, tag)| tag);
    stated == wanted || stated_whole == whole(wanted) || tag == Some(wanted)
}

/// A reference with all that its shortened forms leave out: registry, `library/` and tag.
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

/// The names of one image, as a message shows them.
pub(super) fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    match list(names.into_iter().map(|name| Escaped::new(name.as_bytes()).to_string())) {
        none if none.is_empty() => "one without a reference name".to_owned(),
        names => names,
    }
}

/// How many items a message shows.
pub(super) const SHOWN: usize = 12;

/// The first of these, as a message shows them: a dozen, or fewer where these are long.
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
}
