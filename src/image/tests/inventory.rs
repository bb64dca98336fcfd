//! What an image is said to hold.

use super::*;
use crate::image::ManifestKind;

/// Position, kind, platform, names, and the rule of a problem.
type Line = (usize, &'static str, String, Vec<String>, Option<&'static str>);

fn lines(world: &World) -> Vec<Line> {
    let listed = world.open_within(Limits::default()).unwrap().manifests().unwrap();
    let line = |listed: &crate::image::ListedManifest| {
        let platform = listed.platform().map(ToString::to_string).unwrap_or_default();
        let names = listed.names().map(str::to_owned).collect();
        (listed.position(), listed.kind().name(), platform, names, listed.problem().and_then(Error::rule_id))
    };
    listed.iter().map(line).collect()
}

fn line(position: usize, kind: &'static str, platform: &str, names: &[&str]) -> Line {
    (position, kind, platform.to_owned(), names.iter().map(|name| (*name).to_owned()).collect(), None)
}

#[test]
fn every_manifest_is_listed_once_with_what_it_is() {
    let world = World::new();
    let amd64 = with(world.image("linux", "amd64"), "platform", on("linux", "amd64"));
    let elsewhere =
        with(with(world.image("linux", "arm64"), "digest", json!(ABSENT)), "platform", on("linux", "arm64"));
    let attestation = with(world.image("Linux", "amd64"), "platform", on("unknown", "unknown"));
    let annotated = with(
        json!({"mediaType": MANIFEST, "digest": digest(b"not here"), "size": 9}),
        "annotations",
        json!({"vnd.docker.reference.type": "attestation-manifest"}),
    );
    let empty = world.bytes("application/vnd.oci.empty.v1+json", b"{}");
    let chart = world.json(MANIFEST, &world.manifest_of(&empty));
    let signature =
        json!({"mediaType": MANIFEST, "digest": digest(b"sig"), "size": 9, "artifactType": "application/x.sig"});
    let index = world.index_of(&[amd64.clone(), elsewhere, attestation, annotated]);
    let gone = json!({"mediaType": INDEX, "digest": digest(b"no index"), "size": 9});
    let unstated = world.image("", "");
    world.list(&[
        named(index.clone(), "many"),
        named(chart, "chart"),
        signature,
        named(index, "again"),
        named(amd64.clone(), "amd"),
        gone,
        unstated,
    ]);
    let mut expected = vec![
        line(0, "image", "linux/amd64", &["many", "again", "amd"]),
        line(0, "image", "linux/arm64", &["many", "again"]),
        line(0, "attestation", "unknown/unknown", &["many", "again"]),
        line(0, "attestation", "", &["many", "again"]),
        line(1, "artifact", "", &["chart"]),
        line(2, "artifact", "", &[]),
        line(5, "index", "", &[]),
        line(6, "image", "", &[]),
    ];
    (expected[1].4, expected[6].4) = (Some("blob-missing"), Some("blob-missing"));
    assert_eq!(lines(&world), expected);

    let listed = world.open_within(Limits::default()).unwrap().manifests().unwrap();
    let config = world.config("linux", "amd64");
    assert_eq!(listed[0].manifest_digest().unwrap().to_string(), amd64["digest"]);
    assert_eq!(listed[0].image_id().unwrap().to_string(), config["digest"]);
    assert_eq!((listed[1].image_id(), listed[5].image_id()), (None, None));
    assert_eq!(listed[3].artifact_type(), Some("attestation-manifest"));
    assert_eq!(listed[4].artifact_type(), Some("application/vnd.oci.empty.v1+json"));
    assert_eq!(listed[5].artifact_type(), Some("application/x.sig"));
    assert_eq!(listed[0].kind(), ManifestKind::Image);
}

#[test]
fn what_is_damaged_is_listed_with_its_rule_and_hides_nothing() {
    let world = World::new();
    let broken = world.bytes(MANIFEST, b"{");
    let lost = world.json(MANIFEST, &world.manifest_of(&with(world.config("linux", "arm"), "digest", json!(ABSENT))));
    world.list(&[broken, lost, world.image("linux", "amd64")]);
    let rules: Vec<_> = lines(&world).into_iter().map(|(_, _, platform, _, rule)| (platform, rule)).collect();
    let expected = [("", Some("json")), ("", Some("blob-missing")), ("linux/amd64", None)];
    assert_eq!(rules, expected.map(|(platform, rule)| (platform.to_owned(), rule)));
    world.index_json("{");
    let error = world.open_within(Limits::default()).unwrap().manifests().unwrap_err();
    assert_eq!(error.rule_id(), Some("json"));
}

#[test]
fn names_times_manifests_are_bounded_by_the_limit() {
    let world = World::new();
    let others: Vec<_> =
        (0..9).map(|number| with(world.image("linux", "amd64"), "digest", json!(digest(&[number])))).collect();
    let index = world.index_of(&others);
    let listed = |names: usize| {
        world.list(&(0..names).map(|name| named(index.clone(), &name.to_string())).collect::<Vec<_>>());
        // The index and nine manifests, each of them and its names.
        world.open_within(Limits::default().with(Limit::Manifests, 10 * 11)).unwrap().manifests()
    };
    assert_eq!(listed(10).unwrap().iter().map(|listed| listed.names().count()).sum::<usize>(), 90);
    assert_eq!(listed(11).unwrap_err().rule_id(), Some("limit"));
}

#[test]
fn indexes_that_name_one_another_over_and_over_are_listed_once() {
    let world = World::new();
    let mut index = world.index_of(&vec![world.image("linux", "arm64"); 1_000]);
    for _ in 0..2 {
        index = world.index_of(&vec![index; 1_000]);
    }
    world.list(&vec![index; 1_000]);
    assert_eq!(lines(&world), [line(0, "image", "linux/arm64", &[])]);
    let deep = world.index_of(&[world.index_of(&[world.index_of(&[world.index_of(&[])])])]);
    world.list(&[deep]);
    assert_eq!(lines(&world)[0].4, Some("limit"), "an index too deep is listed, and not followed");
}
