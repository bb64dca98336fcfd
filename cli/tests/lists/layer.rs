//! Layers alone, damaged and hostile ones.

use super::build::{Archive, Header, tar};
use super::{COMMAND, list, listed, name, objects, text, world};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

/// A layer with a file of each kind; a device and names with escape sequences are among them.
fn layer() -> Vec<u8> {
    tar()
        .with(Header::posix(b'0', "bin/su").mode(0o4755), "su")
        .header(Header::posix(b'4', "dev/sda1").mode(0o660).device(8, 1))
        .header(Header::posix(b'6', "run/\x1b[31mred").mode(0o600))
        .file("twice", "1")
        .file("twice", "two")
        .end()
}

/// Names that an escape could spoil.
const ODD: &[&[u8]] = &[
    b"a b",
    b" blank ",
    b"-dash",
    b"*star",
    "\u{fc}ber".as_bytes(),
    b"back\\slash",
    b"\\n",
    b"new\nline",
    b"cr\rx",
    b"d/\xff\xfe",
    b"esc\x1b[31m",
    b"quote\"",
    b"d/\\\n\r",
];

#[test]
fn the_digests_of_files_with_odd_names_are_checked_by_sha256sum() {
    let place = tempfile::tempdir().unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    for name in ODD {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(name.len() as u64);
        archive.append_data(&mut header, OsStr::from_bytes(name), *name).unwrap();
    }
    fs::write(place.path().join("layer"), archive.into_inner().unwrap()).unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    let mut apply = Command::new(COMMAND);
    assert!(apply.args(["apply", "layer", "root"]).current_dir(&place).status().unwrap().success());
    let sums = list(&["--digest", "--files", "**", "layer"], place.path()).stdout;
    fs::write(place.path().join("sums"), &sums).unwrap();
    let mut check = Command::new("sha256sum");
    let checked =
        check.args(["--check", "--strict", "../sums"]).current_dir(place.path().join("root")).output().unwrap();
    assert!(checked.status.success(), "{checked:?}\n{}", String::from_utf8_lossy(&sums));
    assert_eq!(checked.stdout.split(|byte| *byte == b'\n').filter(|line| line.ends_with(b": OK")).count(), ODD.len());
    // A terminal gets no control characters.
    let line = format!("{COMMAND} list --digest --files '**' layer");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(&place).stdin(Stdio::null());
    let shown = script.output().unwrap().stdout;
    assert!(shown.windows(8).any(|bytes| bytes == b"esc\\x1b[") && !shown.contains(&0x1b), "{shown:?}");
}

#[test]
fn json_has_every_odd_name_and_target_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let files = |archive: Archive| ODD.iter().fold(archive, |archive, name| archive.file(name, ""));
    let link = |archive: Archive, name: &&[u8]| archive.symlink([*name, b"-link"].concat(), name);
    let layer = ODD.iter().fold(files(files(tar().directory("d"))), link);
    fs::write(place.path().join("layer"), layer.end()).unwrap();
    let sorted = |mut names: Vec<Vec<u8>>| {
        names.sort();
        names
    };
    for (mode, kind, times) in
        [(&[][..], "change", 2), (&["--final"], "kind", 1), (&["--tree"], "kind", 1), (&["--hidden"], "kind", 1)]
    {
        let listed = objects(&[mode, &["layer"]].concat(), place.path());
        let paths = |word: &str| listed.iter().filter(|it| it[kind] == word).map(|it| name(it, "path")).collect();
        assert_eq!(
            sorted(paths("file")),
            sorted(ODD.repeat(times).iter().map(|name| name.to_vec()).collect()),
            "{mode:?}"
        );
        let links: Vec<_> = listed.iter().filter(|object| object.get("target").is_some()).collect();
        assert_eq!(links.len(), if matches!(mode, ["--tree" | "--hidden"]) { 0 } else { ODD.len() });
        for link in links {
            assert_eq!(name(link, "path"), [&name(link, "target")[..], b"-link"].concat());
        }
    }
}

const FINAL: &str = "\
LAYER MODE        LINKS OWNER SIZE PATH
    1 drwxr-xr-x      1 0:0      - ./
    1 drwxr-xr-x      1 0:0      - bin/
    1 -rwsr-xr-x      1 0:0      2 bin/su
    1 drwxr-xr-x      1 0:0      - dev/
    1 brw-rw----      1 0:0   8, 1 dev/sda1
    1 drwxr-xr-x      1 0:0      - run/
    1 prw-------      1 0:0      - run/\\x1b[31mred
    1 -rw-r--r--      1 0:0      3 twice
";

const TREE: &str = "    SIZE LAYER PATH
       5       ./
       2         bin/
       2     1     su
       0         dev/
       0     1     sda1
       0         run/
       0     1     \\x1b[31mred
       3     1   twice
";

#[test]
fn a_layer_alone_is_an_image_of_one_layer_in_a_file_a_pipe_and_compressed() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer()).unwrap();
    assert!(Command::new("gzip").args(["-k", "layer"]).current_dir(&place).status().unwrap().success());
    for input in ["layer", "layer.gz"] {
        assert_eq!(listed(&["--final", input], place.path()), FINAL);
        assert_eq!(listed(&["--tree", input], place.path()), TREE);
        // Of `echo -n two | sha256sum` and of `su`.
        let sums = listed(&["--digest", "--files", "twice", "--files", "bin/*", input], place.path());
        assert_eq!(
            sums,
            "0a64ce10853f25cb3dc3f7d498f62d72b406be37ba8caf5aa7671414d9696049  bin/su\n\
             3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3  twice\n"
        );
        let hidden = objects(&["--hidden", "--digest", input], place.path());
        assert_eq!(hidden.len(), 1);
        assert_eq!((text(&hidden[0], "path"), text(&hidden[0], "how")), ("twice", "replaced"));
        assert_eq!(
            text(&hidden[0], "sha256"),
            "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
            "of 1"
        );
        let layers = objects(&["--layers", input], place.path());
        assert_eq!(layers.len(), 1);
        let bytes = fs::read(place.path().join(input)).unwrap().len();
        assert_eq!(
            (&layers[0]["added"], &layers[0]["entries"], &layers[0]["size"]),
            (&4.into(), &5.into(), &bytes.into())
        );
    }
    for options in [&["--final"][..], &["--files", "**", "--digest"]] {
        let mut command = Command::new(COMMAND);
        command.arg("list").args(options).arg("-").current_dir(&place);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&layer()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.stderr, b"layercage: listed as a layer\n");
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, listed(&[options, &["layer"]].concat(), place.path()));
    }
}

#[test]
fn an_image_that_is_damaged_or_too_large_is_refused_and_nothing_is_listed() {
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("image");
    assert!(Command::new("cp").args(["-r", &world()]).arg(&image).status().unwrap().success());
    let layers = objects(&["--layers", "image"], place.path());
    let blob = image.join("blobs").join(text(&layers[5], "digest").replace(':', "/"));
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();
    for (input, options, rule) in [
        ("image", &[][..], "digest-mismatch"),
        (&world(), &["--limit", "tree-bytes=100000"], "tree-bytes"),
        ("cut", &[], "truncated"),
    ] {
        fs::write(place.path().join("cut"), &layer()[..512]).unwrap();
        for mode in [&["--final"][..], &["--tree"], &["--layers"], &["--hidden"], &["--files", "*"]] {
            let output = list(&[mode, options, &[input]].concat(), place.path());
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), &output.stdout[..]), (Some(3), &b""[..]), "{mode:?}: {message}");
            assert!(message.contains(rule), "{mode:?}: {message}");
        }
    }
}

#[test]
fn a_hole_is_hashed_up_to_a_limit_that_the_message_names() {
    let place = tempfile::tempdir().unwrap();
    // 200 GiB in 2 KB: an hour of hashing.
    let size = (200_u64 << 30).to_string();
    let map = format!("0,0,{size},0");
    let values = [("name", "disk"), ("size", &size), ("numblocks", "2"), ("map", &map)];
    let records = values.map(|(key, value)| (format!("GNU.sparse.{key}"), value));
    let records: Vec<_> = records.iter().map(|(key, value)| (&**key, value.as_bytes())).collect();
    fs::write(place.path().join("layer"), tar().pax(&records).file("disk", "").end()).unwrap();
    for mode in [&["--final"][..], &["--files", "*"]] {
        let limited = [mode, &["--digest", "--limit", "hole-bytes=1000000", "layer"]].concat();
        let output = list(&limited, place.path());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(3), &b""[..]), "{message}");
        assert!(message.contains("\"disk\"") && message.contains("--limit hole-bytes="), "{message}");
        assert!(listed(&[mode, &["layer"]].concat(), place.path()).contains("disk"));
    }
}

#[test]
fn what_the_default_policy_refuses_is_listed_with_a_note() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("layer"), layer()).unwrap();
    let check = Command::new(COMMAND).args(["check", "layer"]).current_dir(&place).output().unwrap();
    assert_eq!(check.status.code(), Some(3), "because of the device");
    let listed = objects(&["--final", "--only", "dev", "layer"], place.path());
    let device = listed.iter().find(|object| object["kind"] == "device").unwrap();
    assert_eq!((text(device, "device"), &device["major"], &device["minor"]), ("block", &8.into(), &1.into()));
    // The layer may be cut at an entry.
    fs::write(place.path().join("cut"), &layer()[..1024]).unwrap();
    let output = list(&["--files", "**", "cut"], place.path());
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"bin/su\n"[..]), "{message}");
    assert!(message.starts_with("layercage: note [unmarked-end]: ") && message.lines().count() == 2, "{message}");
    let notes: Vec<_> = objects(&["--layers", "cut"], place.path());
    assert_eq!((text(&notes[0], "type"), text(&notes[0], "rule")), ("note", "unmarked-end"));
    assert_eq!(text(&notes[1], "type"), "layer");
}
