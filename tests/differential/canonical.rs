//! What `filter` and `export` write: every other reader takes it, and reads what we read, without an exception.

use super::compare::differences;
use super::corpus;
use super::generate;
use super::ours;
use super::peers::{self, Peer, Wanted};
use super::trees::write_image;
use super::{number, runner};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use layercage::sink::TarSink;
use layercage::{Image, Layer, Policy, Selector, Unpacker};
use proptest::strategy::{Strategy, ValueTree};

/// What a peer does not read of any archive, so that it says nothing about this one.
fn is_unable(peer: &str) -> bool {
    // It has no PAX times, no sparse files of PAX, and no newlines in records.
    peer == "tar crate"
}

/// A layer as a canonical archive; `None` if it is refused.
fn canonical(layer: &[u8]) -> Option<Vec<u8>> {
    let mut sink = TarSink::new(Vec::new());
    let policy: Policy = ours::policy();
    Unpacker::new(policy).with_limits(ours::limits()).apply(Layer::new(layer), &mut sink).ok()?;
    Some(sink.into_inner())
}

/// The file system that a layer makes, as an archive; `None` if it is refused.
fn exported(layer: &[u8]) -> Option<Vec<u8>> {
    let place = tempfile::tempdir().unwrap();
    write_image(place.path(), &[&ours::unpacked(layer)?]);
    let directory = Dir::open_ambient_dir(place.path(), ambient_authority()).unwrap();
    let image = Image::open_within(&directory, ours::limits()).unwrap();
    let selected = image.select(&Selector::host().with_reference("latest")).unwrap();
    let mut archive = Vec::new();
    selected.export_tar(&mut archive, &ours::policy()).ok()?;
    Some(archive)
}

/// What any reader makes otherwise of a canonical archive.
fn wrong(archive: &[u8], peers: &mut [Box<dyn Peer>]) -> Vec<String> {
    let seen = ours::read(archive).unwrap_or_else(|rule| panic!("what was written is refused: {rule}"));
    let mut wrong = Vec::new();
    for peer in peers {
        for (name, answer) in peer.names().into_iter().zip(peer.read(archive, Wanted::Everything)) {
            match answer {
                _ if is_unable(name.name) => (),
                Err(error) => wrong.push(format!("{} refuses it: {error}", name.name)),
                Ok(items) => {
                    let found = differences(&seen, &items);
                    wrong.extend(found.iter().map(|difference| format!("{}: {difference}", name.name)));
                }
            }
        }
    }
    wrong
}

#[test]
fn what_filter_writes_is_read_alike_by_all() {
    read_alike(u64::MAX - 1, number("LAYERCAGE_CANONICAL").unwrap_or(150), canonical);
}

#[test]
fn what_export_writes_is_read_alike_by_all() {
    read_alike(u64::MAX - 2, number("LAYERCAGE_CANONICAL").unwrap_or(150), exported);
}

/// Compares what readers make of the corpus and of generated archives, once these were written anew.
fn read_alike(stream: u64, generated: u64, rewrite: fn(&[u8]) -> Option<Vec<u8>>) {
    let mut peers = peers::installed();
    let (mut archives, mut failures) = (0, Vec::new());
    let mut compare = |what: &str, layer: &[u8]| {
        if let Some(archive) = rewrite(layer) {
            archives += 1;
            failures.extend(wrong(&archive, &mut peers).into_iter().map(|wrong| format!("{what}: {wrong}")));
        }
    };
    for case in corpus::all() {
        compare(case.name, &case.layer);
    }
    let seed = number("LAYERCAGE_SEED").unwrap_or(1);
    let mut runner = runner(seed, stream);
    let strategy = generate::archives();
    for index in 0..generated {
        let spec = strategy.new_tree(&mut runner).unwrap().current();
        compare(&format!("archive {index} of seed {seed}"), &spec.bytes());
    }
    println!("{archives} canonical archives are read alike");
    assert!(archives >= 100, "{archives} are too few to say much");
    assert!(failures.is_empty(), "{} differences\n{}", failures.len(), failures.join("\n"));
}
