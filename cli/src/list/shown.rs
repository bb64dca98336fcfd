//! Names, modes and sizes as lists show them.

use layercage::error::Escaped;
use layercage::merged::Kind;
use layercage::tar::{DeviceKind, Xattr};

/// A whole name, escaped.
pub(super) fn name(bytes: &[u8]) -> String {
    Escaped::whole(bytes).unquoted()
}

/// A whole path, escaped. The root is `.`.
pub(super) fn path(bytes: &[u8]) -> String {
    if bytes.is_empty() { ".".to_owned() } else { name(bytes) }
}

/// Kind and mode as `ls -l` writes them, and `+` if there are extended attributes.
pub(super) fn mode(kind: Kind<'_>, mode: u32, xattrs: &[Xattr]) -> String {
    let kind = match kind {
        Kind::Directory => 'd',
        Kind::File { .. } => '-',
        Kind::Symlink { .. } => 'l',
        Kind::Fifo => 'p',
        Kind::Device(device) if device.kind == DeviceKind::Block => 'b',
        Kind::Device(_) => 'c',
    };
    // Linux gives all symbolic links this mode.
    let mode = if kind == 'l' { 0o777 } else { mode };
    let mut text = String::from(kind);
    for (shift, special, set) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift & 7;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => set.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text.push(if xattrs.is_empty() { ' ' } else { '+' });
    text
}

/// A number of bytes in units of 1024, with two digits or more: `536`, `1.2K`, `34M`.
pub(super) fn size(bytes: u64) -> String {
    let (mut unit, mut names) = (1_u128, " KMGTPE".chars());
    let bytes = u128::from(bytes);
    loop {
        let name = names.next().unwrap_or('E');
        let (tenths, whole) = ((bytes * 10 + unit / 2) / unit, (bytes + unit / 2) / unit);
        match name {
            ' ' if bytes < 1024 => return bytes.to_string(),
            ' ' => (),
            _ if tenths < 100 => return format!("{}.{}{name}", tenths / 10, tenths % 10),
            _ if whole < 1024 || name == 'E' => return format!("{whole}{name}"),
            _ => (),
        }
        unit *= 1024;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_ls() {
        for (kind, bits, text) in [
            (Kind::File { size: 1 }, 0o644, "-rw-r--r-- "),
            (Kind::File { size: 1 }, 0o4755, "-rwsr-xr-x "),
            (Kind::File { size: 1 }, 0o6644, "-rwSr-Sr-- "),
            (Kind::Directory, 0o1777, "drwxrwxrwt "),
            (Kind::Directory, 0o3770, "drwxrws--T "),
            (Kind::Symlink { target: b"a" }, 0, "lrwxrwxrwx "),
            (Kind::Fifo, 0, "p--------- "),
        ] {
            assert_eq!(mode(kind, bits, &[]), text);
        }
        let capability = Xattr { name: b"security.capability".to_vec(), value: Vec::new() };
        assert_eq!(mode(Kind::File { size: 0 }, 0o755, &[capability]), "-rwxr-xr-x+");
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.0K"),
            (10_188, "9.9K"),
            (10_189, "10K"),
            (1_048_063, "1023K"),
            (1_048_064, "1.0M"),
            (1_048_576, "1.0M"),
            (36_000_000, "34M"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }
}
