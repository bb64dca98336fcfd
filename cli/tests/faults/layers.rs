//! Layers that whoever unpacks them may make all of.

use tar::EntryType;

/// Type, name, content or what a link points at, mode.
pub(crate) type Entry<'a> = (EntryType, &'a str, &'a str, u32);

/// Without root it is all the caller's.
pub(crate) fn layer(entries: &[Entry<'_>]) -> Vec<u8> {
    layer_of((rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()), entries)
}

/// What belongs to root, as whoever mounts something is one in his namespace, where there is nobody else.
pub(crate) fn layer_of_root(entries: &[Entry<'_>]) -> Vec<u8> {
    layer_of((0, 0), entries)
}

fn layer_of(owner: (u32, u32), entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    entries.iter().for_each(|entry| add(&mut archive, owner, entry));
    archive.into_inner().unwrap()
}

/// A file of root with an attribute.
pub(crate) fn attributed() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_pax_extensions([("SCHILY.xattr.user.a", &b"1"[..])]).unwrap();
    add(&mut archive, (0, 0), &(EntryType::Regular, "file", "", 0o644));
    archive.into_inner().unwrap()
}

fn add(archive: &mut tar::Builder<Vec<u8>>, owner: (u32, u32), &(kind, name, data, mode): &Entry<'_>) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(1_000_000_000);
    header.set_uid(owner.0.into());
    header.set_gid(owner.1.into());
    header.set_path(name).unwrap();
    let is_file = kind == EntryType::Regular;
    header.set_size(if is_file { data.len() as u64 } else { 0 });
    if !is_file && !data.is_empty() {
        header.set_link_name(data).unwrap();
    }
    header.set_cksum();
    archive.append(&header, if is_file { data.as_bytes() } else { b"" }).unwrap();
}
