//! One image in every form that images have on disk, and one tree that comes of all of them.

use crate::skip::skip;
use crate::support::forms::{self, Parts, document, gzip};
use crate::support::layer::LayerBuilder;
use crate::support::layout::{self, Stored};
use crate::support::tree::{self, Listing};
use crate::support::{open, sha256, temporary};
use cap_std::ambient_authority;
use layercage::error::{Blame, Misuse, Remedy, SelectBy};
use layercage::image::{BlobReader, ImageForm, ManifestKind};
use layercage::rules::Limit;
use layercage::{Error, Image, Limits, Policy, Selected, Selector};
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn world() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images/world")
}

/// Unpacks what was selected, and lists the tree.
fn unpacked(selected: &Selected) -> Listing {
    let place = tempfile::tempdir().unwrap();
    selected.unpack_into(&open(place.path()), "rootfs", &Policy::default()).unwrap();
    let listing = tree::list(&place.path().join("rootfs"));
    tree::unlock(&place.path().join("rootfs"));
    listing
}

fn assert_same(name: &str, image: Result<Image, Error>, selector: &Selector) {
    static EXPECTED: OnceLock<Listing> = OnceLock::new();
    let layout = || unpacked(&Image::open(&open(&world())).unwrap().select(&Selector::host()).unwrap());
    let expected = EXPECTED.get_or_init(layout);
    let got =
        unpacked(&image.and_then(|image| image.select(selector)).unwrap_or_else(|error| panic!("{name}: {error}")));
    let differences = tree::differences(expected, &got);
    assert!(differences.is_empty(), "{name}:\n{}", differences.join("\n"));
}

#[test]
fn every_form_gives_one_tree() {
    let place = tempfile::tempdir().unwrap();
    let parts = Parts::of_layout(&world());
    let layout = forms::oci_archive(&world(), "", |archive| archive);
    for (name, bytes, reference) in [
        ("an oci-archive", layout.clone(), "latest"),
        ("an oci-archive by gzip", gzip(&layout), "latest"),
        ("an oci-archive by zstd", zstd::encode_all(&layout[..], 1).unwrap(), "latest"),
        ("an oci-archive of `tar c .`", forms::oci_archive(&world(), "./", |archive| archive.dir("./")), "latest"),
        ("an old docker-archive", parts.docker_of_old(), "example.org/world"),
        ("an old docker-archive by gzip", gzip(&parts.docker_of_old()), "latest"),
        ("a docker-archive of skopeo", parts.docker_of_skopeo(), "world"),
        ("a docker-archive of today", forms::docker_of_today(&world()), "latest"),
    ] {
        let path = place.path().join("image");
        fs::write(&path, bytes).unwrap();
        assert_same(name, Image::open_ambient(&path, ambient_authority()), &Selector::host().with_reference(reference));
        let image = Image::open_at(&open(place.path()), "image", Limits::default());
        assert_eq!(image.unwrap().select(&Selector::host()).unwrap().layers().len(), 6, "{name}");
        assert!(Image::is_archive(&File::open(&path).unwrap(), &Limits::default()).unwrap(), "{name}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "{name}: a spool has no name");
    }
    let bytes = parts.docker_of_kaniko();
    fs::write(place.path().join("image"), bytes).unwrap();
    let image = Image::open_ambient(place.path().join("image"), ambient_authority());
    assert_same("compressed layers", image, &Selector::host());

    parts.flat(&place.path().join("flat"));
    assert_same("a dir", Image::open(&open(&place.path().join("flat"))), &Selector::host());
    for image in [
        Image::open_at(&open(place.path()), "flat", Limits::default()),
        Image::open_ambient(place.path().join("flat"), ambient_authority()),
    ] {
        assert_eq!(image.unwrap().select(&Selector::host()).unwrap().layers().len(), 6, "a dir by its name");
    }
}

#[test]
fn every_form_of_skopeo_gives_one_tree() {
    if Command::new("skopeo").arg("--version").output().is_err() {
        skip("skopeo is not installed (its twin: every_form_gives_one_tree)");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    // Layers of gzip, since there is no zstd in images of Docker's kind.
    let layout = place.path().join("layout");
    let tars = Parts::of_layout(&world()).tars();
    layout::write(&layout, &tars.into_iter().map(|tar| (tar, Stored::Gzip)).collect::<Vec<_>>());
    for (transport, reference) in
        [("oci", "latest"), ("oci-archive", "latest"), ("docker-archive", "example.org/world:latest"), ("dir", "")]
    {
        let path = place.path().join(transport);
        let tag = if reference.is_empty() { String::new() } else { format!(":{reference}") };
        let to = format!("{transport}:{}{tag}", path.display());
        let from = format!("oci:{}", layout.display());
        let done = Command::new("skopeo").args(["copy", "--insecure-policy", &from, &to]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let selector = Selector::host();
        let selector = if reference.is_empty() { selector } else { selector.with_reference(reference) };
        assert_same(transport, Image::open_ambient(&path, ambient_authority()), &selector);
    }
}

/// The files of a directory in an archive, links as links.
fn packed(directory: &Path) -> Vec<u8> {
    fn add(mut archive: LayerBuilder, directory: &Path, name: &str) -> LayerBuilder {
        let mut inside: Vec<_> =
            fs::read_dir(directory.join(name)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        inside.sort();
        for inner in inside {
            let inner = format!("{name}{}", inner.to_str().unwrap());
            let path = directory.join(&inner);
            archive = match fs::read_link(&path) {
                Ok(target) => archive.symlink(&inner, target.to_str().unwrap()),
                Err(_) if path.is_dir() => add(archive.dir(&inner), directory, &format!("{inner}/")),
                Err(_) => archive.file(&inner, &fs::read(&path).unwrap()),
            };
        }
        archive
    }
    add(LayerBuilder::new(), directory, "").build()
}

#[test]
fn files_of_a_layout_may_be_links_to_others_inside() {
    let place = tempfile::tempdir().unwrap();
    let layout = place.path().join("layout");
    layout::link_all(&world(), &layout);
    assert_same("a layout of links", Image::open(&open(&layout)), &Selector::host());
    fs::write(place.path().join("archive"), packed(&layout)).unwrap();
    let archive = Image::open_at(&open(place.path()), "archive", Limits::default());
    assert_same("an archive of links", archive, &Selector::host());

    // `dir:` alike.
    let (flat, data) = (place.path().join("flat"), place.path().join("flat/data"));
    Parts::of_layout(&world()).flat(&data);
    for entry in fs::read_dir(&data).unwrap() {
        let name = entry.unwrap().file_name();
        symlink(Path::new("data").join(&name), flat.join(&name)).unwrap();
    }
    assert_same("a dir of links", Image::open(&open(&flat)), &Selector::host());
}

/// A layout of two layers that are files with holes, the same twice; what unpacking it gives.
fn layout_with_holes(layout: &Path) -> Listing {
    let content: Vec<u8> = (0..4_u8).flat_map(|number| [vec![number + 1; 4_096], vec![0; 1 << 18]].concat()).collect();
    let layer = |name| LayerBuilder::new().file(name, &content).build();
    let names = layout::write(layout, &[(layer("a"), Stored::Plain), (layer("b"), Stored::Plain)]);
    for name in &names {
        let path = layout.join(name);
        let bytes = fs::read(&path).unwrap();
        let mut file = File::create(&path).unwrap();
        file.set_len(bytes.len() as u64).unwrap();
        for (number, block) in bytes.chunks(4_096).enumerate().filter(|(_, block)| block.iter().any(|&byte| byte != 0))
        {
            file.seek(SeekFrom::Start(number as u64 * 4_096)).unwrap();
            file.write_all(block).unwrap();
        }
    }
    fs::hard_link(layout.join(&names[0]), layout.join("0-another-name")).unwrap();
    unpacked(&Image::open(&open(layout)).unwrap().select(&Selector::host()).unwrap())
}

#[test]
fn archives_that_leave_holes_out_and_link_files_are_read_where_they_lie() {
    let place = tempfile::tempdir().unwrap();
    let (layout, archive) = (place.path().join("layout"), place.path().join("archive"));
    let expected = layout_with_holes(&layout);
    let whole: u64 =
        fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    let assert_read = |name: &str| {
        assert!(
            fs::metadata(&archive).unwrap().len() < whole / 4,
            "{name}: holes are stored, so that nothing is tested"
        );
        let image = Image::open_at(&open(place.path()), "archive", Limits::default());
        let selected =
            image.and_then(|image| image.select(&Selector::host())).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tree::differences(&expected, &unpacked(&selected)), [""; 0], "{name}");
    };
    let mut writer = tar::Builder::new(File::create(&archive).unwrap());
    writer.append_dir_all("", &layout).unwrap();
    writer.finish().unwrap();
    assert_read("Rust's tar");

    let packed = |program: &str, options: &[&str]| {
        let done = Command::new(program)
            .args(options)
            .arg("-cf")
            .arg(&archive)
            .args(["-C".as_ref(), layout.as_os_str(), ".".as_ref()])
            .output();
        match done {
            Ok(done) if done.status.success() => assert_read(&format!("{program} {options:?}")),
            other => skip(&format!("{program} {options:?} does not run here ({other:?}); Rust's tar is its twin")),
        }
    };
    for format in ["gnu", "oldgnu", "posix"] {
        packed("tar", &["-S", &format!("--format={format}")]);
    }
    for version in ["0.0", "0.1", "1.0"] {
        packed("tar", &["-S", "--format=posix", &format!("--sparse-version={version}")]);
    }
    packed("bsdtar", &["--format=pax"]);
}

#[test]
fn an_archive_may_come_through_a_pipe() {
    for bytes in [forms::docker_of_today(&world()), gzip(&Parts::of_layout(&world()).docker_of_skopeo())] {
        let scratch = tempfile::tempdir().unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        let writing = std::thread::spawn(move || writer.write_all(&bytes));
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let error = Image::is_archive(&file, &Limits::default()).unwrap_err();
        assert!(error.misuse() == Some(&Misuse::NotAFile), "a stream cannot be looked at first: {error}");
        let image = Image::open_archive(file, temporary(scratch.path()), Limits::default());
        writing.join().unwrap().unwrap();
        assert_same("a pipe", image, &Selector::host());
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}

#[test]
fn nothing_is_kept_of_what_is_no_image_and_no_more_than_the_limit_of_what_is_one() {
    let place = tempfile::tempdir().unwrap();
    let nothing = Limits::default().with(Limit::ArchiveBytes, 0);
    let rule = |bytes: &[u8], limits: &Limits| {
        fs::write(place.path().join("file"), bytes).unwrap();
        let file = File::open(place.path().join("file")).unwrap();
        Image::open_archive(file, temporary(place.path()), limits.clone()).err().and_then(|error| error.rule_id())
    };
    let layer = LayerBuilder::new().file("manifest.json", b"[]").build();
    assert_eq!(rule(&gzip(&layer), &nothing), Some("not-an-image"));
    let image = forms::docker_of_today(&world());
    assert_eq!(rule(&gzip(&image), &nothing), Some("limit"));
    let most = Limits::default().with(Limit::ArchiveBytes, image.len() as u64);
    assert_eq!(rule(&gzip(&image), &most), None);
    assert_eq!(rule(&image, &nothing), None, "a plain one is read where it lies");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn what_is_opened_may_go_to_other_threads_and_be_read_at_once() {
    fn goes_anywhere<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("image"), Parts::of_layout(&world()).docker_of_skopeo()).unwrap();
    let image = goes_anywhere(Image::open_ambient(place.path().join("image"), ambient_authority()).unwrap());
    let selected = goes_anywhere(image.select(&Selector::host()).unwrap());
    let threads: Vec<_> = (selected.layers().iter().chain(selected.layers()))
        .map(|layer| {
            let (mut reader, diff_id): (BlobReader, _) = (selected.open_layer(layer).unwrap(), *layer.diff_id());
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes).unwrap();
                assert_eq!(sha256(&bytes), diff_id);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// What was asked for, and what there is.
fn nothing(result: Result<Selected, Error>) -> (String, String) {
    match result.unwrap_err().kind() {
        layercage::error::ErrorKind::Misuse(Misuse::NothingSelected { wanted, found, .. }) => {
            (wanted.clone(), found.clone())
        }
        other => panic!("{other}"),
    }
}

/// The same where several images fit.
fn several(result: Result<Selected, Error>) -> (String, String) {
    match result.unwrap_err().kind() {
        layercage::error::ErrorKind::Misuse(Misuse::SeveralSelected { wanted, found, .. }) => {
            (wanted.clone(), found.clone())
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_docker_archive_of_several_images_asks_which() {
    let place = tempfile::tempdir().unwrap();
    let image = |content: &[u8], tags: serde_json::Value, architecture: &str| {
        let tar = LayerBuilder::new().file("f", content).build();
        let diff_ids = [sha256(&tar).to_string()];
        let config =
            json!({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        (config.to_string(), tar, tags)
    };
    let write = |images: &[(String, Vec<u8>, serde_json::Value)]| {
        let mut archive = LayerBuilder::new();
        let mut listed = Vec::new();
        for (config, tar, tags) in images {
            let (name, layer) = (format!("{}.json", forms::hex(config.as_bytes())), format!("{}.tar", forms::hex(tar)));
            archive = archive.file(&name, config.as_bytes()).file(&layer, tar);
            listed.push(json!({"Config": name, "RepoTags": tags, "Layers": [layer]}));
        }
        fs::write(place.path().join("i"), archive.file("manifest.json", json!(listed).to_string().as_bytes()).build())
            .unwrap();
        Image::open_at(&open(place.path()), "i", Limits::default()).unwrap()
    };
    let on = |platform: &str| Selector::host().with_platform(platform.parse().unwrap());
    let pick = |image: &Image, selector: &Selector| *image.select(selector).unwrap().config().digest();

    let (one, two) =
        (image(b"1", json!(["a:1", "b:1"]), "amd64"), image(b"2", json!(["docker.io/library/a:2"]), "amd64"));
    let both = write(&[one.clone(), two.clone()]);
    let (wanted, found) = several(both.select(&on("linux/amd64")));
    assert_eq!((&*wanted, &*found), ("linux/amd64", r#""a:1", "b:1", "docker.io/library/a:2""#));
    for (name, image) in [("a:1", &one), ("b:1", &one), ("docker.io/library/b:1", &one), ("a:2", &two), ("2", &two)] {
        assert_eq!(pick(&both, &on("linux/amd64").with_reference(name)), sha256(image.0.as_bytes()), "{name}");
    }
    let (_, found) = nothing(both.select(&on("linux/amd64").with_reference("c")));
    assert_eq!(found, r#""a:1", "b:1", "docker.io/library/a:2""#);
    assert_eq!(nothing(both.select(&on("linux/s390x"))).1, "linux/amd64");

    let (lesser, better) = (image(b"1", json!(["a:1"]), "386"), image(b"2", json!(null), "amd64"));
    let mixed = write(&[lesser.clone(), better.clone()]);
    assert_eq!(pick(&mixed, &on("linux/amd64")), sha256(better.0.as_bytes()));
    assert_eq!(pick(&write(std::slice::from_ref(&lesser)), &on("linux/amd64")), sha256(lesser.0.as_bytes()));
    // What does not state its platform is for any, where nothing is that states the right one.
    let unstated = image(b"3", json!(null), "");
    let noted = |selected: &Selected| selected.notes().iter().map(|note| note.quirk.id()).collect::<Vec<_>>();
    for held in [&[unstated.clone()][..], &[unstated.clone(), one.clone()], &[one.clone(), unstated.clone()]] {
        let image = write(held);
        assert_eq!(pick(&image, &on("linux/s390x")), sha256(unstated.0.as_bytes()));
        assert_eq!(noted(&image.select(&on("linux/s390x")).unwrap()), ["platform-unstated"]);
        let best = if held.len() == 1 { &unstated } else { &one };
        assert_eq!(pick(&image, &on("linux/amd64")), sha256(best.0.as_bytes()));
    }
    // Twice under one name or two, it is one image.
    assert!(write(&[one.clone(), one.clone()]).select(&on("linux/amd64")).is_ok());

    // What `docker save ID1 ID2` writes.
    let [first, second] = [b"1", b"2"].map(|content| image(content, json!(null), "amd64"));
    let [first_id, second_id] = [&first, &second].map(|image| sha256(image.0.as_bytes()));
    let untagged = write(&[first, second]);
    let (_, found) = several(untagged.select(&on("linux/amd64")));
    let expected = format!("@0 without a name (image ID {first_id}), @1 without a name (image ID {second_id})");
    assert_eq!(found, expected);
    for (position, id) in [(0, first_id), (1, second_id)] {
        let elsewhere = on("linux/s390x");
        assert_eq!(pick(&untagged, &elsewhere.clone().with_position(position)), id);
        assert_eq!(pick(&untagged, &elsewhere.with_image_id(id)), id);
        let listed = untagged.manifests().unwrap();
        assert_eq!((listed[position].position(), listed[position].image_id()), (position, Some(&id)));
        assert_eq!(listed[position].platform(), "linux/amd64".parse().ok().as_ref());
    }
    let (_, found) = nothing(untagged.select(&on("linux/amd64").with_position(2)));
    assert_eq!(found, format!("2 positions: {expected}"));
    assert_not_pinned(
        untagged.select(&Selector::host().with_image_id(sha256(b""))),
        &format!("{first_id}, {second_id}"),
    );
    assert_not_pinned(untagged.select(&Selector::host().with_manifest_digest(first_id)), "an image ID");

    // Short names, as podman has them.
    let local = image(b"1", json!(["localhost/sm:1"]), "amd64");
    let remote = image(b"2", json!(["quay.io/team/app:1", "quay.io/team/sm:2"]), "amd64");
    let short = write(&[local.clone(), remote.clone()]);
    for (name, image, whole) in [
        ("sm:1", &local, "localhost/sm:1"),
        ("app:1", &remote, "quay.io/team/app:1"),
        ("team/sm:2", &remote, "quay.io/team/sm:2"),
    ] {
        let selected = short.select(&on("linux/amd64").with_reference(name)).unwrap();
        assert_eq!((*selected.config().digest(), selected.name()), (sha256(image.0.as_bytes()), Some(whole)), "{name}");
    }
    let twice = write(&[image(b"1", json!(["localhost/sm:1", "quay.io/sm:1"]), "amd64"), remote.clone()]);
    assert_eq!(pick(&twice, &on("linux/amd64").with_reference("sm:1")), sha256(local.0.as_bytes()));
    let both = write(&[image(b"1", json!(["localhost/sm:1"]), "amd64"), image(b"2", json!(["quay.io/sm:1"]), "s390x")]);
    let (_, found) = several(both.select(&on("linux/amd64").with_reference("sm:1")));
    assert_eq!(found, r#""localhost/sm:1", "quay.io/sm:1""#);
}

#[test]
fn an_image_id_chooses_in_every_form_and_each_form_has_its_word() {
    let place = tempfile::tempdir().unwrap();
    let parts = Parts::of_layout(&world());
    let (id, manifest) = (sha256(&parts.config), sha256(&parts.manifest));
    parts.flat(&place.path().join("flat"));
    let write = |name: &str, bytes: Vec<u8>| {
        fs::write(place.path().join(name), bytes).unwrap();
        place.path().join(name)
    };
    use ImageForm::{Dir, DockerArchive, Oci, OciArchive};
    let archive = forms::oci_archive(&world(), "", |archive| archive);
    for (path, forms, has_manifest, name) in [
        (world(), &[Oci][..], true, Some("latest")),
        (place.path().join("flat"), &[Dir], true, None),
        (write("oci", archive), &[OciArchive], true, Some("latest")),
        (write("today", forms::docker_of_today(&world())), &[OciArchive, DockerArchive], true, Some("latest")),
        (write("old", parts.docker_of_old()), &[DockerArchive], false, Some("example.org/world:latest")),
        (write("kaniko", parts.docker_of_kaniko()), &[DockerArchive], false, None),
    ] {
        let image = Image::open_ambient(&path, ambient_authority()).unwrap();
        let has: Vec<_> = ImageForm::ALL.iter().copied().filter(|form| image.has_form(*form).unwrap()).collect();
        assert_eq!(has, forms, "{}", path.display());
        let by_id = image.select(&Selector::host().with_image_id(id)).unwrap();
        assert_eq!((by_id.config().digest(), by_id.layers().len()), (&id, 6));
        let selected = image.select(&Selector::host()).unwrap();
        assert_eq!(selected.name(), name, "{}", path.display());
        assert_eq!(selected.manifest().map(|found| *found.digest()), has_manifest.then_some(manifest));
        let [listed] = &image.manifests().unwrap()[..] else { panic!("{}", path.display()) };
        assert_eq!((listed.kind(), listed.image_id(), listed.position()), (ManifestKind::Image, Some(&id), 0));
        assert_eq!(
            (listed.manifest_digest().copied(), listed.platform()),
            (has_manifest.then_some(manifest), selected.platform())
        );
        assert_eq!(listed.names().next(), name);
        // A digest of one kind in the place of the other.
        assert_not_pinned(image.select(&Selector::host().with_manifest_digest(id)), "it is an image ID");
        if has_manifest {
            assert_not_pinned(image.select(&Selector::host().with_image_id(manifest)), "it is not an image ID");
        }
    }
}

/// What came is not what was pinned: the image is refused, as if its bytes were others.
fn assert_not_pinned(result: Result<Selected, Error>, says: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.rule_id(), error.blame()), (Some("pinned-manifest-missing"), Blame::Archive), "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn from_a_manifest_digest_all_is_verified_whatever_the_index_says() {
    let place = tempfile::tempdir().unwrap();
    let layer = LayerBuilder::new().file("f", b"content").build();
    let names = layout::write(place.path(), &[(layer, Stored::Gzip)]);
    let manifest = fs::read(place.path().join(&names[2])).unwrap();
    let digest = sha256(&manifest);
    let select = |selector: &Selector| Image::open(&open(place.path())).and_then(|image| image.select(selector));
    let pinned = Selector::host().with_manifest_digest(digest);

    let index = fs::read(place.path().join("index.json")).unwrap();
    let blob = place.path().join("blobs/sha256").join(forms::hex(&index));
    fs::write(&blob, &index).unwrap();
    fs::write(place.path().join("index.json"), "nobody reads this").unwrap();
    assert_eq!(select(&pinned).unwrap().manifest().unwrap().digest(), &digest);
    assert_eq!(unpacked(&select(&pinned).unwrap()).len(), 2);
    // Of an index it is the manifest for the platform that is meant; a manifest itself is taken for any.
    let elsewhere = Selector::host().with_platform("linux/s390x".parse().unwrap());
    assert!(select(&elsewhere.clone().with_manifest_digest(digest)).is_ok());
    assert!(select(&Selector::host().with_manifest_digest(sha256(&index))).is_ok());
    assert!(nothing(select(&elsewhere.with_manifest_digest(sha256(&index)))).1.starts_with("linux/"));
    assert_not_pinned(select(&Selector::host().with_manifest_digest(sha256(b""))), &sha256(b"").to_string());
    // The message has what there is, where it can be read.
    fs::write(place.path().join("index.json"), &index).unwrap();
    let absent = select(&Selector::host().with_manifest_digest(sha256(b"")));
    assert_not_pinned(absent, &format!("found {digest}"));

    let mut flat = Parts { manifest: manifest.clone(), config: Vec::new(), layers: Vec::new() };
    flat.config = fs::read(place.path().join(&names[1])).unwrap();
    flat.layers = vec![fs::read(place.path().join(&names[0])).unwrap()];
    flat.flat(&place.path().join("flat"));
    let image = Image::open(&open(&place.path().join("flat"))).unwrap();
    assert!(image.select(&pinned).is_ok());
    assert_not_pinned(image.select(&Selector::host().with_manifest_digest(sha256(b""))), &format!("found {digest}"));
    fs::write(place.path().join("docker"), flat.docker_of_old()).unwrap();
    let docker = Image::open_at(&open(place.path()), "docker", Limits::default()).unwrap();
    assert_not_pinned(docker.select(&pinned), "found none, because an archive of `docker save` has no manifests");
    let remedies = docker.select(&pinned).unwrap_err().remedies();
    assert_eq!(remedies, [Remedy::Select(SelectBy::ImageId)], "the image ID is what such an archive has");

    let mut damaged = manifest;
    damaged[20] ^= 1;
    fs::write(place.path().join(&names[2]), damaged).unwrap();
    let error = select(&pinned).unwrap_err();
    assert_eq!((error.rule_id(), error.blame()), (Some("digest-mismatch"), Blame::Archive), "{error}");
}

#[test]
fn a_dir_of_many_platforms_names_its_manifests() {
    let place = tempfile::tempdir().unwrap();
    let flat = place.path().join("flat");
    let parts = Parts::of_layout(&world());
    parts.flat(&flat);
    let manifest = document(&parts.manifest);
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let descriptor = json!({"mediaType": media_type, "digest": sha256(&parts.manifest).to_string(),
        "size": parts.manifest.len(), "platform": {"os": "linux", "architecture": "amd64"}});
    assert!(manifest["mediaType"].is_null() || manifest["mediaType"] == media_type);
    let index = json!({"schemaVersion": 2, "manifests": [descriptor]}).to_string();
    fs::rename(flat.join("manifest.json"), flat.join(format!("{}.manifest.json", forms::hex(&parts.manifest))))
        .unwrap();
    fs::write(flat.join("manifest.json"), &index).unwrap();
    let on_amd64 = Selector::host().with_platform("linux/amd64".parse().unwrap());
    assert_same("a dir of many", Image::open(&open(&flat)), &on_amd64);
    assert_same("a dir of many", Image::open(&open(&flat)), &on_amd64.with_manifest_digest(sha256(index.as_bytes())));
}

#[test]
fn the_name_that_containerd_notes_is_a_name() {
    let place = tempfile::tempdir().unwrap();
    layout::write(place.path(), &[]);
    let path = place.path().join("index.json");
    let mut index = document(&fs::read(&path).unwrap());
    let name = "docker.io/library/world:1";
    index["manifests"][0]["annotations"] =
        json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": "1"});
    fs::write(&path, index.to_string()).unwrap();
    let image = Image::open(&open(place.path())).unwrap();
    for wanted in ["1", name, "world:1"] {
        assert!(image.select(&Selector::host().with_reference(wanted)).is_ok(), "{wanted}");
    }
    assert_eq!(nothing(image.select(&Selector::host().with_reference("world:2"))).1, format!("{name:?}"));
}
