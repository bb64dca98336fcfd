//! Pages of the documentation that are made from the code: compared here, and written anew with `BLESS=1`.

use layercage::policy::Verdict;
use layercage::rules::{Limit, QuirkRule, Row, ViolationRule};
use std::fmt::Write;
use std::fs;
use std::path::Path;

#[test]
fn the_page_of_rules_is_made_from_the_table() {
    let mut page = String::from(
        "# Rules\n\n\
         This page is generated from the table in `src/words/rule.rs` and from `cli/src/explained.md`. \
         A policy decides about a *quirk*: it passes without a note, passes with a note, or is refused. \
         `--allow RULE` and `--refuse RULE` decide about a single quirk, and options such as `--devices` about several. \
         A *violation* is refused under every policy. \
         [Below](#explained), each rule is explained; `layercage explain RULE` prints the same text.\n\n\
         ## Quirks\n\n| rule | what an archive has | default | compatible | paranoid |\n|---|---|---|---|---|\n",
    );
    for Row { id, sentence, verdicts, .. } in QuirkRule::ALL.iter().map(|rule| rule.row()) {
        let [default, compatible, paranoid] = verdicts.map(Verdict::name);
        writeln!(page, "| [`{id}`](#{id}) | {sentence} | {default} | {compatible} | {paranoid} |").unwrap();
    }
    page.push_str("\n## Violations\n\n| rule | what an archive has |\n|---|---|\n");
    for Row { id, sentence, .. } in ViolationRule::ALL.iter().map(|rule| rule.row()) {
        writeln!(page, "| [`{id}`](#{id}) | {sentence} |").unwrap();
    }
    page.push_str(
        "\n## Limits\n\nAn archive that exceeds a limit is refused by the rule `limit`. `--limit NAME=AMOUNT` changes a limit. \
         `audit-bytes` limits the memory of `check` and `filter`. `tree-bytes` limits that of merged trees: those of the \
         library, of `bundle`, `erofs` and `export`, of `unpack --only`, and of `list` with `--final`, `--tree`, `--layers`, \
         `--hidden` or `--files`.\n\n\
         Some limits bound the work that a small layer can cause:\n\n\
         - `implied-directories` counts parent directories that no entry lists. A name of 4 KiB creates 2,048 of them, \
         and 4 KiB of zstd can hold many such names. A Debian system with compilers and their documentation has 33,000 \
         directories in total. Creating half a million takes seconds.\n\
         - `layer-link-steps` counts the components of the targets of links, each time that a link is followed. 39 links \
         of 4 KiB are 64,000 steps for one name. Real names take fewer than ten.\n\
         - `layer-opens` counts opened directories. A deep one counts several times, because Landlock checks each level \
         above it.\n\
         - `image-steps` adds up this work over all layers of an image, which may name the same small layer 500 times.\n\
         - `layer-places` bounds the memory for a layer that adds millions of files to directories of lower layers.\n\n\
         `check` counts this work as unpacking does, and refuses at the same entry. \
         For a single layer, it counts only what does not depend on the lower layers, because they may have the \
         directory already.\n\n",
    );
    page.push_str("| limit | default |\n|---|---|\n");
    for limit in Limit::ALL {
        match limit.default() {
            Limit::OFF => writeln!(page, "| [`{limit}`](#{limit}) | off |").unwrap(),
            amount => writeln!(page, "| [`{limit}`](#{limit}) | {amount} |").unwrap(),
        }
    }
    page.push_str("\n## Explained\n");
    let explained = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/src/explained.md")).unwrap();
    let rules =
        QuirkRule::ALL.iter().map(|rule| rule.row().id).chain(ViolationRule::ALL.iter().map(|rule| rule.row().id));
    for id in rules.chain(Limit::ALL.iter().map(|limit| limit.id())) {
        let (_, section) = explained.split_once(&format!("\n## {id}\n")).unwrap();
        let text = section.split("\n## ").next().unwrap().trim();
        write!(page, "\n### {id}\n\n{text}\n").unwrap();
    }
    assert_page("docs/rules.md", &page);
}

/// Its rows are written by hand; that none of the choices is forgotten is seen here.
#[test]
fn the_page_of_policies_has_every_choice() {
    use layercage::policy::{Devices, Fifos, Links, SetId, Xattrs};
    let words = |choices: &[&'static str]| choices.to_vec();
    let rows = [
        ("devices", Devices::ALL.iter().map(|choice| choice.name()).collect()),
        ("fifos", Fifos::ALL.iter().map(|choice| choice.name()).collect()),
        ("setid", SetId::ALL.iter().map(|choice| choice.name()).collect()),
        ("xattrs", Xattrs::ALL.iter().map(|choice| choice.name()).collect()),
        ("links", Links::ALL.iter().map(|choice| choice.name()).collect()),
        ("owners", layercage::policy::OwnersKind::ALL.iter().map(|choice| choice.name()).collect()),
        ("mtime", words(&["keep", "clamp=SECONDS"])),
    ];
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md")).unwrap();
    for (option, choices) in rows {
        let row = page.lines().find(|line| line.starts_with(&format!("| `--{option}` |"))).unwrap();
        for choice in choices {
            assert!(row.contains(&format!("`{choice}`")), "--{option} {choice}");
        }
    }
}

/// The form that the page shows is one that is read.
#[cfg(feature = "serde")]
#[test]
fn the_policy_of_the_page_is_one() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md")).unwrap();
    let (_, shown) = page.split_once("## As JSON").unwrap();
    let (_, shown) = shown.split_once("```json\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    let policy: layercage::Policy = serde_json::from_str(shown).unwrap();
    assert_eq!(policy.devices(), layercage::policy::Devices::Skip);
}

pub(crate) fn assert_page(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "{name} is not what the code says; BLESS=1 writes it anew");
}
