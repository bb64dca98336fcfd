//! What users do, and the files that they do it with.

use crate::files::*;
use std::fs;
use std::path::Path;

/// What a user did, the arguments, and the files that are there.
pub(crate) type Case = (&'static str, &'static [&'static str], fn(&Path));

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
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
    ("two images, and none is named", &["unpack", "--platform", "linux/amd64", "app.tar", "rootfs"], saved),
    ("the digest of a manifest for an image that has none", &["unpack", "--manifest-digest", ZEROS, "app.tar", "rootfs"], saved),
    ("an image layout of another version", &["unpack", "app", "rootfs"], |at| {
        fs::create_dir(at.join("app")).unwrap();
        put(at, "app/oci-layout", br#"{"imageLayoutVersion":"2.0.0"}"#);
    }),
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
    // What is noted.
    ("a device node that is skipped", &["apply", "--devices", "skip", "layer.tar", "root"], |at| put(at, "layer.tar", &device())),
    ("the same, checked", &["check", "--devices", "skip", "layer.tar"], |at| put(at, "layer.tar", &device())),
    ("a device 0:0 that is allowed", &["apply", "--allow", "device-zero", "layer.tar", "root"], |at| put(at, "layer.tar", &ended(&[entry("upper/gone", b'3', "", b"")]))),
    ("the same with another device", &["apply", "--allow", "device-zero", "layer.tar", "root"], |at| put(at, "layer.tar", &[&entry("upper/gone", b'3', "", b""), &device()[..]].concat())),
    ("a named pipe that is skipped", &["apply", "--fifos", "skip", "layer.tar", "root"], |at| put(at, "layer.tar", &ended(&[entry("run/pipe", b'6', "", b"")]))),
    // What layers do not have.
    ("a volume label", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &ended(&[entry("backup", b'V', "", b"")]))),
    ("a part of a multi-volume archive", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &ended(&[entry("big", b'M', "", b"")]))),
    ("a GNU incremental archive", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &ended(&[entry("etc", b'D', "", b"")]))),
    ("a type that is unknown", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &ended(&[entry("etc", b'Z', "", b"")]))),
    ("a hard link to what a lower layer may have", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &ended(&[entry("b", b'1', "a", b"")]))),
    ("a hard link of an image to what no layer has", &["unpack", "app", "rootfs"], |at| image_of(at, &ended(&[entry("b", b'1', "a", b"")]))),
    ("the same, checked", &["check", "app"], |at| image_of(at, &ended(&[entry("b", b'1', "a", b"")]))),
    ("an AUFS pseudo-link without its data", &["apply", "layer.tar", "root"], |at| put(at, "layer.tar", &ended(&[entry("b", b'1', ".wh..wh.plnk/7.8", b"")]))),
    // Inputs that are somewhere else, or are called by more than their name.
    ("an image in a registry", &["unpack", "docker://alpine:3.19", "rootfs"], |_| ()),
    ("an image in the storage of podman", &["check", "containers-storage:localhost/app:1"], |_| ()),
    ("a URL", &["apply", "https://example.org/layer.tar.gz", "root"], |_| ()),
    ("a digest behind a tag", &["unpack", "app:latest@sha256:12ab", "rootfs"], image),
    ("a digest behind a path", &["check", "app@sha256:12ab"], image),
    ("a tag behind standard input", &["unpack", "-:latest", "rootfs"], |_| ()),
    ("the same behind two dashes", &["unpack", "--", "-:latest", "rootfs"], |_| ()),
    ("a directory in place of a layer", &["apply", "root", "root"], |_| ()),
    ("the same, checked", &["check", "--as", "layer", "root"], |_| ()),
    ("a file in place of the directory to change", &["apply", "root", "layer.tar"], |at| put(at, "layer.tar", &tar(&[]))),
    ("ROOTFS in a directory that does not exist", &["unpack", "app", "build/rootfs"], image),
    ("the images of a zip archive", &["list", "--images", "app.zip"], |at| put(at, "app.zip", &block(0, b"PK\x03\x04\x14\0"))),
    ("two lists at once", &["list", "--final", "--tree", "layer.tar"], |at| put(at, "layer.tar", &tar(&[("a", b"a")]))),
    ("digests of no files", &["list", "--layers", "--digest", "layer.tar"], |at| put(at, "layer.tar", &tar(&[("a", b"a")]))),
    ("a tree of too many paths", &["list", "--tree", "--limit", "tree-bytes=1000", "layer.tar"], |at| put(at, "layer.tar", &tar(&[("a", b"a")]))),
    ("the final file system of a layer with a device", &["list", "--final", "layer.tar"], |at| put(at, "layer.tar", &[&device()[..], &[0; 1024]].concat())),
    ("the images of a layer", &["list", "--images", "layer.tar"], |at| put(at, "layer.tar", &tar(&[("a", b"a")]))),
    ("an image archive that was cut", &["unpack", "app.tar", "rootfs"], |at| put(at, "app.tar", &tar(&[("oci-layout", &[b' '; 600])])[..700])),
    ("an image archive compressed with xz", &["unpack", "app.tar.xz", "rootfs"], |at| put(at, "app.tar.xz", &block(0, b"\xfd7zXZ\0\0\x04"))),
    // The command itself.
    ("a rule that does not exist", &["explain", "device"], |_| ()),
    ("another one, which nothing resembles", &["explain", "bogus"], |_| ()),
    ("an option that contradicts another", &["check", "--devices", "skip", "--refuse", "device-node", "layer.tar"], |at| put(at, "layer.tar", &device())),
    ("a device 0:0 that is allowed with devices that are created", &["check", "--allow", "device-zero", "--devices", "create", "layer.tar"], |_| ()),
    ("a rule that is allowed and refused", &["check", "--allow", "ragged-end", "--refuse", "ragged-end", "layer.tar"], |_| ()),
    ("a violation that is to be allowed", &["check", "--allow", "truncated", "layer.tar"], |_| ()),
    ("a limit that is to be allowed", &["check", "--allow", "path-bytes", "layer.tar"], |_| ()),
    ("a limit that does not exist", &["check", "--limit", "paths=1", "layer.tar"], |_| ()),
    ("no threads", &["unpack", "--jobs", "0", "app", "rootfs"], |_| ()),
    ("a hard link that is refused, as JSON", &["--json", "apply", "layer.tar", "root"], |at| put(at, "layer.tar", &ended(&[entry("b", b'1', "a", b"")]))),
];

const ZEROS: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
