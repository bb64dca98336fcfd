//! The messages that users meet first, in one file to be read in a row: `cli/tests/messages.txt`, which `BLESS=1` writes
//! anew.

#![allow(clippy::disallowed_methods, reason = "tests set up the worlds around the code, and look at them afterwards")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const COMMAND: &str = env!("CARGO_BIN_EXE_layercage");

/// What a user did, the arguments, and the files that are there.
type Case = (&'static str, &'static [&'static str], fn(&Path));

#[rustfmt::skip]
const CASES: &[Case] = &[
    // What is no image.
    ("an empty file in place of an image", &["unpack", "app.tar", "rootfs"], |at| put(at, "app.tar", b"")),
    ("an empty file in place of a layer", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", b"")),
    ("the index in place of the directory", &["unpack", "app/index.json", "rootfs"], |at| {
        fs::create_dir(at.join("app")).unwrap();
        put(at, "app/index.json", b"{\n  \"schemaVersion\": 2,\n  \"manifests\": []\n}\n");
    }),
    ("what `docker export` writes", &["unpack", "export.tar", "rootfs"], |at| put(at, "export.tar", &tar(&[(".dockerenv", b""), ("etc/hostname", b"a")]))),
    ("a layer in place of an image", &["unpack", "layer.tar.gz", "rootfs"], |at| put(at, "layer.tar.gz", &gzip(&tar(&[("etc/motd", b"a")])))),
    ("an image in place of a layer", &["apply", "app.tar", "root"], |at| put(at, "app.tar", &tar(&[("oci-layout", b"{}"), ("index.json", b"{}")]))),
    ("the directory around an image, packed", &["unpack", "app.tar", "rootfs"], |at| put(at, "app.tar", &tar(&[("sm/oci-layout", b"{}"), ("sm/index.json", b"{}")]))),
    ("the same, checked", &["check", "app.tar"], |at| put(at, "app.tar", &tar(&[("sm/oci-layout", b"{}"), ("sm/index.json", b"{}")]))),
    ("the same in place of a layer", &["apply", "app.tar", "root"], |at| put(at, "app.tar", &tar(&[("sm/oci-layout", b"{}"), ("sm/index.json", b"{}")]))),
    ("the directory of an unpacked `docker save`", &["unpack", "app", "rootfs"], |at| {
        fs::create_dir(at.join("app")).unwrap();
        put(at, "app/manifest.json", br#"[{"Config":"a.json","RepoTags":["app:1"],"Layers":["a/layer.tar"]}]"#);
    }),
    ("a directory that holds no image", &["unpack", "root", "rootfs"], |_| ()),
    ("`docker save > app.tar` in Windows PowerShell", &["unpack", "app.tar", "rootfs"], |at| put(at, "app.tar", &utf16(&tar(&[("oci-layout", b"{}")])))),
    ("an error page in place of a layer", &["apply", "layer.tar.gz", "root"], |at| put(at, "layer.tar.gz", b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n")),
    ("a registry's error in place of a layer", &["apply", "layer.tar.gz", "root"], |at| put(at, "layer.tar.gz", br#"{"errors":[{"code":"UNAUTHORIZED"}]}"#)),
    ("less than a block", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &[0, 1, 2, 3])),
    ("a qcow2 disk", &["unpack", "disk.img", "rootfs"], |at| put(at, "disk.img", &block(0, b"QFI\xfb\0\0\0\x03"))),
    ("a squashfs file system", &["unpack", "app.sif", "rootfs"], |at| put(at, "app.sif", &block(0, b"hsqs"))),
    ("an ext4 file system", &["check", "root.img"], |at| put(at, "root.img", &block(1024, &[&[1; 56][..], b"\x53\xef"].concat()))),
    ("a CD image", &["list", "live.iso"], |at| put(at, "live.iso", &block(32_768, b"\x01CD001\x01"))),
    ("a zip archive", &["unpack", "app.zip", "rootfs"], |at| put(at, "app.zip", &block(0, b"PK\x03\x04\x14\0"))),
    ("an RPM package", &["apply", "app.rpm", "root"], |at| put(at, "app.rpm", &block(0, b"\xed\xab\xee\xdb\x03\0"))),
    ("a Debian package", &["apply", "app.deb", "root"], |at| put(at, "app.deb", &block(0, b"!<arch>\ndebian-binary   "))),
    ("a program", &["check", "app"], |at| put(at, "app", &block(0, b"\x7fELF\x02\x01\x01"))),
    ("a layer compressed with xz", &["apply", "layer.tar.xz", "root"], |at| put(at, "layer.tar.xz", &block(0, b"\xfd7zXZ\0\0\x04"))),
    ("a layer compressed with xz, and with gzip after that", &["apply", "layer.tar.gz", "root"], |at| put(at, "layer.tar.gz", &gzip(&block(0, b"\xfd7zXZ\0\0\x04")))),
    // Which image.
    ("a tag that the image does not have", &["unpack", "app:v2", "rootfs"], image),
    ("a platform that the image does not have", &["unpack", "--platform", "linux/s390x", "app", "rootfs"], image),
    ("a path that is not there", &["unpack", "ap", "rootfs"], |_| ()),
    ("a digest that was cut", &["unpack", "--manifest-digest", "sha256:12ab", "app", "rootfs"], image),
    ("an image without one of its blobs", &["unpack", "app", "rootfs"], |at| {
        image(at);
        fs::remove_file(at.join("app/blobs/sha256").join(hex(&image_layer()))).unwrap();
    }),
    ("ROOTFS that is a file", &["unpack", "app", "rootfs"], |at| {
        image(at);
        put(at, "rootfs", b"mine");
    }),
    // What a layer holds.
    ("a device node", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &device())),
    ("two device nodes, checked", &["check", "layer.tar"], |at| put(at, "layer.tar", &[&device()[..512], &device()].concat())),
    ("a name that climbs", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &tar(&[("a/../../etc/passwd", b"x")]))),
    ("a link that climbs", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &climbing())),
    ("a download that was cut", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &tar(&[("a", &[7; 2_000])])[..1_500])),
    ("a layer without an end mark", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &tar(&[("a", b"a")])[..1_024])),
    ("a layer that is not the one that was meant", &["apply", "--digest", ZEROS, "layer.tar", "root"], |at| put(at, "layer.tar", &tar(&[("a", b"a")]))),
    ("a layer beyond a limit", &["apply", "--limit", "file-bytes=1000", "layer.tar", "root"], |at| put(at, "layer.tar", &tar(&[("a", &[7; 2_000])]))),
    // The command itself.
    ("a rule that is not there", &["explain", "device"], |_| ()),
    ("an option that contradicts another", &["check", "--devices", "skip", "--refuse", "device-node", "layer.tar"], |at| put(at, "layer.tar", &device())),
];

const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// What the command prints for each case.
fn page() -> String {
    let mut page = String::from(
        "The messages that users meet first. `BLESS=1 cargo test -p layercage-cli --test messages` writes them anew.\n",
    );
    for (what, arguments, files) in CASES {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("root")).unwrap();
        files(place.path());
        let output = Command::new(COMMAND).args(*arguments).current_dir(&place).stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let (code, text) = (output.status.code().unwrap(), String::from_utf8(text).unwrap());
        assert_ne!(code, 0, "{what}: {text}");
        write!(page, "\n# {what}: exit code {code}\n$ layercage {}\n{text}", arguments.join(" ")).unwrap();
    }
    page
}

#[test]
fn the_messages_that_users_meet_first_are_those_that_were_read() {
    let page = page();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages.txt");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(page.lines()).find(|(kept, now)| kept != now);
    assert!(kept == page, "cli/tests/messages.txt is not what is printed; BLESS=1 writes it anew: {differs:#?}");
}

/// A refusal says what was found and what to do, in two lines; a path or a number that an archive has picked is no reason
/// for a third one.
#[test]
fn whatever_is_refused_has_two_lines_of_which_the_second_says_what_to_do() {
    let page = page();
    let refused = page.split("\n# ").filter(|case| case.contains("layercage: refused "));
    let mut seen = 0;
    for case in refused {
        let is_said = |line: &&str| !line.is_empty() && !line.starts_with("layercage: listed as ");
        let lines: Vec<_> = case.lines().skip(2).filter(is_said).collect();
        assert!(lines.len() == 2 && lines[1].starts_with("layercage: help: "), "{case}");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn a_help_is_printed_once_for_each_rule_however_many_findings_there_are() {
    let place = tempfile::tempdir().unwrap();
    let devices: Vec<u8> = (0..100).flat_map(|_| device()[..512].to_vec()).chain([0; 1024]).collect();
    put(place.path(), "layer.tar", &devices);
    let check = |options: &[&str]| {
        let mut command = Command::new(COMMAND);
        let output = command.arg("check").args(options).arg("layer.tar").current_dir(&place).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = check(&[]);
    assert_eq!(text.matches("refuse [device-node]").count(), 100);
    assert_eq!(text.matches("--devices skip").count(), 1, "{text}");
    assert!(text.lines().nth(1).unwrap().starts_with("  help: "), "behind the first one: {text}");
    let json = check(&["--json"]);
    let findings: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let helped: Vec<_> = findings.iter().filter(|finding| finding.get("help").is_some()).collect();
    assert_eq!(helped.len(), 1, "{json}");
    assert_eq!((&helped[0]["rule"], &helped[0]["entry"]), (&"device-node".into(), &1.into()));
    // What the policy takes needs no remedy.
    assert!(!check(&["--devices", "skip"]).contains("help: "));
}

#[test]
fn explain_has_a_long_form_for_every_rule_and_limit_that_rules_and_limits_list() {
    let place = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Command::new(COMMAND).args(arguments).current_dir(&place).output().unwrap();
    let rules = String::from_utf8(run(&["rules", "--json"]).stdout).unwrap();
    let rules: Vec<serde_json::Value> = rules.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rules.len() > 90);
    for rule in rules.iter().step_by(10) {
        let id = rule["id"].as_str().unwrap();
        let text = String::from_utf8(run(&["explain", id]).stdout).unwrap();
        assert!(text.starts_with(&format!("{id}: {}", rule["sentence"].as_str().unwrap())), "{text}");
        assert!(text.contains("\nWhat: ") && text.contains("\nWhy: ") && text.contains("\nWhat to do: "), "{text}");
        let json = run(&["--json", "explain", id]).stdout;
        let mut json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert!(text.ends_with(&format!("{}\n", json["explanation"].as_str().unwrap())));
        json.as_object_mut().unwrap().remove("explanation");
        assert_eq!(json, *rule, "the rest is what `rules` says");
    }
    // As a message shows it, so that it can be pasted.
    let pasted = String::from_utf8(run(&["explain", "[device-node]"]).stdout).unwrap();
    assert!(pasted.contains("--devices skip"), "{pasted}");
    let limit: serde_json::Value = serde_json::from_slice(&run(&["--json", "explain", "path-bytes"]).stdout).unwrap();
    assert_eq!((&limit["type"], &limit["default"]), (&"limit".into(), &4096.into()));
    assert_eq!(run(&["explain", "no-such-rule"]).status.code(), Some(2));
}

/// Run as nobody where root runs the tests, since root may give files away.
#[test]
fn owners_that_cannot_be_set_have_a_remedy() {
    use std::os::unix::process::CommandExt;
    let place =
        tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777)).tempdir().unwrap();
    fs::create_dir(place.path().join("root")).unwrap();
    put(place.path(), "layer.tar", &tar(&[("a", b"a")]));
    let binary = place.path().join("layercage");
    // Not by ourselves: what another thread starts meanwhile would hold the copy open, and it could not be run.
    assert!(Command::new("cp").arg(COMMAND).arg(&binary).status().unwrap().success());
    let map = ["--uid-map", "0:100000:65536", "--gid-map", "0:100000:65536"];
    for options in [&["--owners", "keep"][..], &map] {
        let mut command = Command::new(&binary);
        command.arg("apply").args(options).args(["layer.tar", "root"]).current_dir(&place);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(place.path().join("root"), Some(65_534), Some(65_534)).unwrap();
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{options:?}: {said}");
        assert!(said.contains("unshare -r --map-auto") && said.contains("--owners record"), "{options:?}: {said}");
    }
}

fn put(at: &Path, name: &str, content: &[u8]) {
    fs::write(at.join(name), content).unwrap();
}

/// A header with its checksum, and the content.
fn entry(name: &str, flag: u8, target: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    let bytes = header.as_mut_bytes();
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes[156] = flag;
    bytes[157..157 + target.len()].copy_from_slice(target.as_bytes());
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut entry = [header.as_bytes(), content].concat();
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

fn ended(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1_024]].concat()
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    ended(&files.iter().map(|(name, content)| entry(name, b'0', "", content)).collect::<Vec<_>>())
}

fn device() -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path("dev/console").unwrap();
    header.set_entry_type(tar::EntryType::Char);
    header.set_mode(0o600);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header.set_device_major(5).unwrap();
    header.set_device_minor(1).unwrap();
    header.set_cksum();
    ended(&[header.as_bytes().to_vec()])
}

fn climbing() -> Vec<u8> {
    ended(&[entry("opt/app", b'2', "../../etc", b""), entry("opt/app/passwd", b'0', "", b"x")])
}

/// Four KiB or more in which these bytes stand at this place.
fn block(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0; at];
    block.extend_from_slice(bytes);
    block.resize(block.len().max(4_096), 0);
    block
}

/// Each byte as a character, as PowerShell decodes what a program prints.
fn utf16(bytes: &[u8]) -> Vec<u8> {
    [0xff, 0xfe].into_iter().chain(bytes.iter().flat_map(|&byte| [byte, 0])).collect()
}

/// A gzip member of one block that is stored as it is (RFC 1952, RFC 1951 section 3.2.4).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let sum = !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 })
    });
    let mut member = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    member.extend(length.to_le_bytes().into_iter().chain((!length).to_le_bytes()));
    member.extend_from_slice(bytes);
    member.extend(sum.to_le_bytes().into_iter().chain(u32::from(length).to_le_bytes()));
    member
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn image_layer() -> Vec<u8> {
    tar(&[("etc/motd", b"hello")])
}

/// A layout `app` of one image `latest` for linux/amd64.
fn image(at: &Path) {
    fs::create_dir_all(at.join("app/blobs/sha256")).unwrap();
    let blob = |bytes: &[u8]| {
        put(&at.join("app/blobs/sha256"), &hex(bytes), bytes);
        format!(r#""digest":"sha256:{}","size":{}"#, hex(bytes), bytes.len())
    };
    let layer = image_layer();
    let diff_id = hex(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}}}}"#
    );
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json",{}}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar",{}}}]}}"#,
        blob(config.as_bytes()),
        blob(&layer)
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json",{},"platform":{{"architecture":"amd64","os":"linux"}},"annotations":{{"org.opencontainers.image.ref.name":"latest"}}}}]}}"#,
        blob(manifest.as_bytes())
    );
    put(at, "app/index.json", index.as_bytes());
    put(at, "app/oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
}
