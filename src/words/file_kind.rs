//! What a file is that is neither a layer nor an image: one table of signatures, names and advice.
//!
//! The table serves messages alone. Which first bytes make a tar archive ambiguous is decided in `read/magic.rs`, by
//! what other readers ask for; here only files count that are no tar archive at all.

use std::fmt::{self, Display};

/// Where a signature lies in a file, and its bytes.
type Signature = (usize, &'static [u8]);

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident $name:literal advice $advice:literal $signatures:expr;)*) => {
        /// What a file is that is not a tar archive, as far as its first bytes say.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FileKind {
            $($(#[$doc])* $variant,)*
        }

        impl FileKind {
            /// All of them, in the order in which they are looked for.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in messages.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// What a user can do with such a file.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice),* }
            }

            fn signatures(self) -> &'static [Signature] {
                match self { $(Self::$variant => $signatures),* }
            }
        }
    };
}

kinds! {
    /// Text that a shell has re-encoded: Windows PowerShell's `>` writes UTF-16 and loses what is no text.
    Utf16 "UTF-16 text, as `>` writes it in Windows PowerShell"
        advice "PowerShell's `>` has changed the bytes for good: write the file again with `docker save -o FILE IMAGE`"
        &[(0, b"\xff\xfe"), (0, b"\xfe\xff")];
    /// An index, a manifest or a configuration of an image.
    ImageDocument "a JSON document of an image"
        advice "an index or a manifest alone is no image: name the directory or the archive that holds it"
        &[];
    /// Any other JSON.
    Json "a JSON document"
        advice "registries answer errors as JSON: read the file, then fetch the blob again"
        &[];
    /// A page, which servers send in place of a file.
    Html "an HTML page"
        advice "a server sent a page in place of the file: read it, then check the address and the login"
        &[];
    /// XML, which object stores send in place of a file.
    Xml "an XML document"
        advice "object stores answer errors as XML: read the file, then fetch the blob again"
        &[];
    /// What Git LFS keeps in place of a large file.
    LfsPointer "a Git LFS pointer"
        advice "it stands for the file: `git lfs pull` fetches it"
        &[(0, b"version https://git-lfs.github.com/spec/")];
    /// A QEMU disk.
    Qcow2 "a QEMU disk image (qcow2)"
        advice "a disk of a virtual machine is no container image: `guestfish` and `virt-tar-out` read it"
        &[(0, b"QFI\xfb")];
    /// Another disk of a virtual machine.
    VirtualDisk "a disk image of a virtual machine (VMDK, VDI, VHD or VHDX)"
        advice "a disk of a virtual machine is no container image: `guestfish` and `virt-tar-out` read it"
        &[(0, b"KDMV"), (64, b"\x7f\x10\xda\xbe"), (0, b"conectix"), (0, b"vhdxfile")];
    /// A file system of snaps, live systems, Singularity and Apptainer.
    Squashfs "a squashfs file system"
        advice "`unsquashfs` unpacks it, and `sqfs2tar FILE > layer.tar` makes a layer of it"
        &[(0, b"hsqs"), (0, b"sqsh")];
    /// A container of Singularity or Apptainer.
    Sif "a Singularity image (SIF)"
        advice "`apptainer sif dump` gives the squashfs file system in it"
        &[(32, b"SIF_MAGIC")];
    /// A read-only file system.
    Erofs "an EROFS file system"
        advice "a file system is neither a layer nor an image: mount it, or unpack it with `fsck.erofs --extract=DIR`"
        &[(1024, b"\xe2\xe1\xf5\xe0")];
    /// A Linux file system.
    Ext "an ext2, ext3 or ext4 file system"
        advice "a file system is neither a layer nor an image: mount it read-only, and pack what it holds with tar"
        &[(1080, b"\x53\xef")];
    /// Another Linux file system.
    Xfs "an XFS file system"
        advice "a file system is neither a layer nor an image: mount it read-only, and pack what it holds with tar"
        &[(0, b"XFSB")];
    /// Another Linux file system.
    Btrfs "a Btrfs file system"
        advice "a file system is neither a layer nor an image: mount it read-only, and pack what it holds with tar"
        &[(65_600, b"_BHRfS_M")];
    /// A CD or DVD.
    Iso "an ISO 9660 image (CD or DVD)"
        advice "a CD image is neither a layer nor a container image: `bsdtar -xf` and `xorriso` read it"
        &[(32_769, b"CD001")];
    /// A disk with partitions.
    Disk "a disk image with a partition table"
        advice "a disk is neither a layer nor a container image: `guestfish` and `virt-tar-out` read what its partitions hold"
        &[(510, b"\x55\xaa")];
    /// A zip archive, which jar, whl and apk (Android) are, too.
    Zip "a zip archive"
        advice "layers and image archives are tar archives: unzip it, and pack what it holds with tar"
        &[(0, b"PK\x03\x04"), (0, b"PK\x05\x06"), (0, b"PK\x07\x08")];
    /// A 7-Zip archive.
    SevenZip "a 7z archive"
        advice "layers and image archives are tar archives: unpack it with 7z, and pack what it holds with tar"
        &[(0, b"7z\xbc\xaf\x27\x1c")];
    /// A RAR archive.
    Rar "a RAR archive"
        advice "layers and image archives are tar archives: unpack it, and pack what it holds with tar"
        &[(0, b"Rar!\x1a\x07")];
    /// A package of Red Hat, Fedora or SUSE.
    Rpm "an RPM package"
        advice "`rpm2archive` makes a compressed tar archive of it"
        &[(0, b"\xed\xab\xee\xdb")];
    /// A package of Debian or Ubuntu.
    Deb "a Debian package"
        advice "`dpkg-deb --fsys-tarfile FILE` gives the tar archive in it"
        &[(0, b"!<arch>\ndebian-binary")];
    /// A library of object files.
    Ar "an ar archive"
        advice "layers and image archives are tar archives: `ar x` unpacks this one"
        &[(0, b"!<arch>\n")];
    /// A cpio archive, which initial RAM disks are.
    Cpio "a cpio archive"
        advice "layers and image archives are tar archives: unpack it with cpio, and pack what it holds with tar"
        &[(0, b"070701"), (0, b"070702"), (0, b"070707"), (0, b"\xc7\x71")];
    /// A program or a library of Linux.
    Elf "an ELF program or library"
        advice "a program is neither a layer nor an image: check the name of the file"
        &[(0, b"\x7fELF")];
    /// A document.
    Pdf "a PDF document"
        advice "a document is neither a layer nor an image: check the name of the file"
        &[(0, b"%PDF-")];
    /// Compressed once more, inside what was decompressed.
    Gzip "gzip once more"
        advice "it is compressed twice: decompress it once"
        &[(0, b"\x1f\x8b")];
    /// Compressed once more, inside what was decompressed.
    Zstd "zstd once more"
        advice "it is compressed twice: decompress it once"
        &[(0, b"\x28\xb5\x2f\xfd")];
    /// Compressed with xz, inside what was decompressed.
    Xz "xz inside another compression"
        advice "it is compressed twice: decompress it, and compress it once with gzip or zstd"
        &[(0, b"\xfd7zXZ\0")];
    /// Compressed with bzip2, inside what was decompressed.
    Bzip2 "bzip2 inside another compression"
        advice "it is compressed twice: decompress it, and compress it once with gzip or zstd"
        &[(4, b"1AY&SY")];
    /// Compressed with LZ4, inside what was decompressed.
    Lz4 "lz4 inside another compression"
        advice "it is compressed twice: decompress it, and compress it once with gzip or zstd"
        &[(0, b"\x04\x22\x4d\x18")];
    /// Text of any other kind.
    Text "plain text"
        advice "layers and image archives are tar archives: read the file, it may say why the download failed"
        &[];
    /// Fewer bytes than the smallest archive has, and nothing that is known.
    TooShort "less than one block of 512 bytes"
        advice "no archive is that short: check how the file was made"
        &[];
    /// Nothing that is known.
    Unknown "bytes of no known format"
        advice "layers and image archives are tar archives, plain or compressed with gzip or zstd"
        &[];
}

impl FileKind {
    /// How far the signatures reach into a file.
    pub(crate) const REACH: usize = 65_600 + 8;

    /// Says what a file is. `first` are bytes of it from `at` on, as many as are at hand: in front of them lie zeros.
    ///
    /// Only for what is no tar archive: names in a tar archive may begin like anything.
    pub(crate) fn of(first: &[u8], at: usize) -> Self {
        let signed = |kind: &&Self| kind.signatures().iter().any(|signature| has(first, at, *signature));
        match Self::ALL.iter().find(signed) {
            Some(kind) => *kind,
            None if at == 0 => Self::of_text(first),
            None => Self::Unknown,
        }
    }

    fn of_text(first: &[u8]) -> Self {
        let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start();
        let head = text.get(..text.len().min(512)).unwrap_or_default();
        let begins = |tag: &[u8]| head.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag));
        match head {
            [b'{' | b'[', ..] if is_of_image(head) => Self::ImageDocument,
            [b'{' | b'[', ..] if is_text(head) => Self::Json,
            [b'<', ..] if begins(b"<!doctype html") || begins(b"<html") => Self::Html,
            [b'<', ..] if begins(b"<?xml") => Self::Xml,
            [_, ..] if is_text(head) => Self::Text,
            _ if first.len() < 512 => Self::TooShort,
            _ => Self::Unknown,
        }
    }
}

impl Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn has(first: &[u8], at: usize, (place, signature): Signature) -> bool {
    let begin = place.checked_sub(at).and_then(|begin| first.get(begin..));
    begin.is_some_and(|begin| begin.starts_with(signature))
}

/// Whether a document has a key that stands at the top of an index, a manifest, a configuration or the list of
/// `docker save`.
fn is_of_image(head: &[u8]) -> bool {
    let keys: [&[u8]; 4] = [b"\"schemaVersion\"", b"\"imageLayoutVersion\"", b"\"RepoTags\"", b"\"rootfs\""];
    keys.iter().any(|key| head.windows(key.len()).any(|part| part == *key))
}

fn is_text(head: &[u8]) -> bool {
    head.iter().all(|&byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~' | 0x80..))
        // Of what is not ASCII, UTF-8 alone is text. The last character may be cut.
        && std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_say_what_a_file_is() {
        let rows: &[(&[u8], FileKind)] = &[
            (b"", FileKind::TooShort),
            (b"\xff\0\x01\x02", FileKind::TooShort),
            (b"\xff\xfeo\0c\0i\0", FileKind::Utf16),
            (b"{\"schemaVersion\": 2, \"manifests\": []}", FileKind::ImageDocument),
            (b"[{\"Config\":\"a.json\",\"RepoTags\":null}]", FileKind::ImageDocument),
            (b"\n {\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}", FileKind::Json),
            (b"<!DOCTYPE html>\n<html>", FileKind::Html),
            (b"<HTML><body>404</body>", FileKind::Html),
            (b"<?xml version=\"1.0\"?><Error>", FileKind::Xml),
            (b"version https://git-lfs.github.com/spec/v1\n", FileKind::LfsPointer),
            (b"!<arch>\ndebian-binary   ", FileKind::Deb),
            (b"!<arch>\nmain.o/", FileKind::Ar),
            (b"404 page not found\n", FileKind::Text),
            (b"gr\xc3\xbc\xc3", FileKind::Text),
            (b"BZh91AY&SY", FileKind::Bzip2),
            (&[0xa5; 512], FileKind::Unknown),
            (&[b'x'; 4096], FileKind::Text),
        ];
        for (first, expected) in rows {
            assert_eq!(FileKind::of(first, 0), *expected, "{}", first[..first.len().min(20)].escape_ascii());
        }
    }

    #[test]
    fn every_signature_is_found_by_its_own_kind_and_within_reach() {
        for kind in FileKind::ALL {
            assert!(!kind.name().is_empty() && !kind.advice().is_empty(), "{kind:?}");
            for &(place, signature) in kind.signatures() {
                assert!(place + signature.len() <= FileKind::REACH, "{kind:?}");
                let mut file = vec![0; place];
                file.extend_from_slice(signature);
                let found = FileKind::of(&file, 0);
                assert_eq!(found, *kind, "{}", signature.escape_ascii());
            }
        }
    }

    #[test]
    fn a_signature_is_found_behind_zeros_that_were_passed_over() {
        let mut super_block = vec![1; 56];
        super_block.extend_from_slice(b"\x53\xef");
        assert_eq!(FileKind::of(&super_block, 1024), FileKind::Ext);
        assert_eq!(FileKind::of(b"\x01CD001\x01", 32_768), FileKind::Iso);
        assert_eq!(FileKind::of(b"text", 1024), FileKind::Unknown);
    }
}
