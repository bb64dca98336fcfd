//! The cache for content of an image, by which its layers are read once.

#![expect(clippy::disallowed_methods, reason = "files of the kernel, which are read before the sandbox is entered")]

use crate::only::Only;
use layercage::merged::ContentCache;
use layercage::{Error, MergedTree, Scratch, Selected, Session};
use rustix::system::sysinfo;
use std::path::{Path, PathBuf};

/// The share of the memory that kept content may fill: a quarter.
///
/// More might not stay in memory. To write it to a disk and read it from there takes longer than to decompress it again. On
/// a tmpfs, it takes memory from other processes.
const SHARE: u64 = 4;

/// How much content may be kept, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room(u64);

impl Room {
    /// Asks the kernel. The sandbox may forbid it later.
    pub(crate) fn find_out() -> Self {
        Self(memory() / SHARE)
    }

    /// Merges the layers of an image. Keeps the content of paths that are wanted in a file of `scratch`, if it fits.
    pub(crate) fn merge(
        self,
        session: &mut Session<'_>,
        image: &Selected,
        only: &Only,
        scratch: &Scratch,
    ) -> Result<MergedTree, Error> {
        let sizes = image.layers().iter().filter_map(|layer| layer.descriptor()).map(|layer| layer.size());
        let compressed = sizes.fold(0, u64::saturating_add);
        let cache = ContentCache::new(scratch.clone()).with_most_bytes(self.0);
        match only.is_everything() {
            // It is larger than the layers.
            true if compressed > self.0 => session.merge(image),
            true => session.merge_cached(image, cache),
            false => {
                let only = only.clone();
                session.merge_cached(image, cache.with_paths(move |path| only.keeps(path.as_bytes())))
            }
        }
    }
}

/// The memory that this process may use, in bytes: that of the machine, or less in a control group.
fn memory() -> u64 {
    let information = sysinfo();
    #[expect(clippy::useless_conversion, reason = "it has 32 bits on some machines")]
    let memory = u64::from(information.totalram);
    let machine = memory.saturating_mul(information.mem_unit.into());
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).filter_map(|file| limit(&std::fs::read_to_string(file).ok()?));
    limits.fold(machine, u64::min)
}

/// The files with limits on memory, of each control group that this process is in and of all groups above. Of a group that
/// is not visible in a container, the files above have the limit of the container.
fn limit_files(groups: &str) -> impl Iterator<Item = PathBuf> {
    groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or("?"), parts.next().unwrap_or_default());
        let path = path.trim_start_matches('/');
        let directory = match controllers {
            "" => Some((Path::new("/sys/fs/cgroup"), "memory.max")),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                Some((Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"))
            }
            _ => None,
        };
        directory.into_iter().flat_map(move |(top, file)| {
            let above: Vec<_> = top
                .join(path)
                .ancestors()
                .take_while(|above| above.starts_with(top))
                .map(|above| above.join(file))
                .collect();
            above
        })
    })
}

/// A limit in bytes; `None` if there is none.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_on_memory_is_that_of_the_control_group_or_of_one_above() {
        let files = |groups| limit_files(groups).map(|file| file.to_str().unwrap().to_owned()).collect::<Vec<_>>();
        let top = "/sys/fs/cgroup/memory.max";
        assert_eq!(files("0::/a/b\n"), ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", top]);
        assert_eq!(files("1:name=x:/y\n0::/\n"), [top]);
        let first = ["/sys/fs/cgroup/memory/d/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        assert_eq!(files("12:cpu,cpuacct:/c\n11:memory:/d\n"), first);
        assert_eq!(files("\nnothing\n"), [""; 0]);
        assert_eq!((limit("max\n"), limit("4096\n"), limit("")), (None, Some(4_096), None));
        assert!(memory() > 1 << 20);
    }
}
