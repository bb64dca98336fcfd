//! What is refused, and what the user of containerd reads then.

use crate::containerd::Ends;
use crate::layer::{Tar, gzip};
use crate::world::{World, bind, overlay};
use layercage_differ::proto::services::diff::v1::ApplyRequest;
use layercage_differ::proto::types::{Descriptor, Mount};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use tar::EntryType;
use tonic::{Code, Status};

/// Every refusal has this code: containerd 1.7 goes on to its own unpacker after `Unimplemented`.
fn assert_refused(status: &Status, said: &str) {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    let message = status.message();
    assert!(message.starts_with("layercage: ") && !message.contains('\n'), "{message}");
    assert!(message.contains(said), "{said:?} is not in {message:?}");
}

#[test]
fn hostile_layers_are_refused_by_their_rules_and_change_nothing_outside() {
    let world = World::new();
    let regular = |name: &str| Tar::new().file(name, b"!");
    let through = |target: &str| Tar::new().symlink("link", target).file("link/file", b"!");
    for (number, (layer, said)) in [
        (regular("../outside/file"), "[name-climbs]"),
        (regular("a/../../../outside/file"), "[name-climbs]"),
        (regular("snapshots/.wh..."), "[whiteout"),
        (through("../../../outside"), "[link-climbs]"),
        (Tar::new().hard_link("h", "../../../outside/file"), "[hard-link-target]"),
        (Tar::new().hard_link("h", "missing"), "[hard-link-missing]"),
        (Tar::new().entry(EntryType::Char, "null", "", b"", 0o666), "devices = \"skip\""),
        (Tar::new().entry(EntryType::Block, "sda", "", b"", 0o660), "[device-node]"),
        (Tar::new().entry(EntryType::new(b'V'), "label", "", b"", 0o600), "volume label"),
        (Tar::new().file("f", b"1").file("f/x", b"!"), "f/x"),
    ]
    .into_iter()
    .enumerate()
    {
        let snapshot = world.snapshot(&number.to_string());
        let status = world.apply("default", world.request(&gzip(&layer.build()), bind(&snapshot))).unwrap_err();
        assert_refused(&status, said);
        assert_eq!(fs::read_dir(world.at("outside")).unwrap().count(), 1, "{said}");
        assert_eq!(fs::read(world.at("outside/file")).unwrap(), b"outside", "{said}");
    }
}

#[test]
fn a_blob_that_is_not_the_described_one_is_refused() {
    let world = World::new();
    let layer = gzip(&Tar::new().file("f", &[1; 9_000]).build());
    let apply = |change: &dyn Fn(&mut Descriptor), ends| {
        let mut descriptor = world.blob("default", &layer, ends);
        change(&mut descriptor);
        let request = ApplyRequest {
            diff: Some(descriptor),
            mounts: vec![bind(&world.snapshot("1"))],
            ..ApplyRequest::default()
        };
        world.apply("default", request).unwrap_err()
    };
    assert_refused(&apply(&|descriptor| descriptor.size += 1, Ends::AtItsEnd), "[size-mismatch]");
    assert_refused(&apply(&|descriptor| descriptor.size = -1, Ends::AtItsEnd), "negative");
    let other = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    assert_refused(&apply(&|descriptor| descriptor.digest = other.to_owned(), Ends::AtItsEnd), "not found");
    assert_refused(&apply(&|descriptor| descriptor.digest = "sha256:../x".to_owned(), Ends::AtItsEnd), "digest");
    assert_refused(&apply(&|_| (), Ends::WithAnError), "a bad sector");
    let encrypted = |descriptor: &mut Descriptor| descriptor.media_type.push_str("+encrypted");
    assert_refused(&apply(&encrypted, Ends::AtItsEnd), "encrypted");
    // The blob that this digest names has other bytes.
    world.store.replace("default", &layer, gzip(&Tar::new().file("f", &[2; 9_000]).build()));
    let status = world
        .apply(
            "default",
            ApplyRequest {
                diff: Some(Descriptor { size: i64::try_from(layer.len()).unwrap(), ..descriptor_of(&layer) }),
                mounts: vec![bind(&world.snapshot("2"))],
                ..ApplyRequest::default()
            },
        )
        .unwrap_err();
    assert_refused(&status, "mismatch");
}

fn descriptor_of(blob: &[u8]) -> Descriptor {
    let digest = crate::layer::sha256(blob);
    Descriptor { media_type: crate::world::GZIP.to_owned(), digest, ..Descriptor::default() }
}

#[test]
fn mounts_that_are_not_those_of_a_snapshot_are_refused() {
    let world = World::new();
    let layer = Tar::new().file("f", b"1").build();
    let snapshot = world.snapshot("1");
    symlink(world.at("outside"), world.at("snapshots/link")).unwrap();
    let mount = |mount: Mount| world.apply("default", world.request(&layer, mount)).unwrap_err();
    assert_refused(&mount(bind(&world.at("outside"))), "not beneath a snapshot root");
    assert_refused(&mount(bind(&world.at("snapshots/link"))), "cannot open");
    assert_refused(&mount(bind(&world.at("snapshots/1/../../outside"))), "not beneath a snapshot root");
    assert_refused(&mount(overlay(&world.at("outside"), &[&snapshot])), "not beneath a snapshot root");
    assert_refused(&mount(overlay(&snapshot, &[&world.at("outside")])), "not beneath a snapshot root");
    assert_refused(&mount(Mount { r#type: "erofs".to_owned(), ..bind(&snapshot) }), "erofs");
    assert_refused(&mount(Mount { options: vec!["ro".to_owned()], ..bind(&snapshot) }), "\"ro\"");
    let with = |change: &dyn Fn(&mut ApplyRequest)| {
        let mut request = world.request(&layer, bind(&snapshot));
        change(&mut request);
        world.apply("default", request).unwrap_err()
    };
    assert_refused(&with(&|request| request.mounts.clear()), "one mount");
    assert_refused(&with(&|request| request.diff = None), "descriptor");
    let payloads = HashMap::from([("any".to_owned(), prost_types::Any::default())]);
    assert_refused(&with(&|request| request.payloads = payloads.clone()), "payloads");
    assert_eq!(fs::read_dir(world.at("outside")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(&snapshot).unwrap().count(), 0);
}

#[test]
fn layers_are_not_written_so_that_containerd_writes_them_itself() {
    let status = World::new().diff();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[test]
fn requests_that_cannot_be_read_are_refused_like_all_others_and_counted() {
    let mut world = World::new();
    let request = |bytes: usize| {
        let diff =
            Descriptor { annotations: HashMap::from([("a".to_owned(), "b".repeat(bytes))]), ..Descriptor::default() };
        ApplyRequest { diff: Some(diff), ..ApplyRequest::default() }
    };
    assert_refused(&world.apply("default", request(33 << 20)).unwrap_err(), "message length too large");
    // The gRPC library answers this with the code after which containerd 1.7 would unpack by itself.
    assert_refused(&world.apply_compressed(request(1)), "compressed");
    world.wait("both are logged", |world| {
        world.log().iter().filter(|line| line["message"] == "layer refused").count() == 2
    });
    assert!(world.metrics().contains("layercage_layers_total{result=\"refused\",rule=\"\"} 2\n"));
}
