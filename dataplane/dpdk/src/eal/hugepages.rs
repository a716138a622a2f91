//! What there is of hugepages.

use std::fs;
use std::path::{Path, PathBuf};

/// Whether any size of hugepage listed under `root` has a free page. The EAL itself reports this like a
/// missing permission, and cannot be tried again after it.
pub(super) fn are_free(root: &Path) -> bool {
    let Ok(sizes) = fs::read_dir(root) else { return false };
    sizes.flatten().any(|size| {
        fs::read_to_string(size.path().join("free_hugepages")).is_ok_and(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 0))
    })
}

/// Where a table of mounts, as `/proc/mounts` is one, has file systems of hugepages.
pub(super) fn mounts(table: &str) -> Vec<PathBuf> {
    let mount = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (directory, kind) = (fields.next()?, fields.next()?);
        // The kernel writes a blank as an octal number.
        (kind == "hugetlbfs").then(|| PathBuf::from(directory.replace("\\040", " ")))
    };
    table.lines().filter_map(mount).collect()
}

/// Removes the files of the EAL's memory of this prefix, so that its pages are free when the process has ended.
pub(super) fn remove_files(mounts: &[PathBuf], prefix: &str) {
    let start = format!("{prefix}map_");
    for file in mounts.iter().filter_map(|mount| fs::read_dir(mount).ok()).flatten().flatten() {
        let ours = file.file_name().to_str().and_then(|name| name.strip_prefix(&start)).is_some_and(|rest| rest.parse::<u32>().is_ok());
        if ours {
            // What cannot be removed is removed when the next DPDK program starts.
            drop(fs::remove_file(file.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("svpn-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn free_pages_are_counted_over_sizes() {
        let root = directory("hugepages");
        for (size, free) in [("hugepages-2048kB", "0\n"), ("hugepages-1048576kB", "0\n")] {
            fs::create_dir_all(root.join(size)).unwrap();
            fs::write(root.join(size).join("free_hugepages"), free).unwrap();
        }
        assert!(!are_free(&root));
        fs::write(root.join("hugepages-1048576kB/free_hugepages"), "1\n").unwrap();
        assert!(are_free(&root));
        fs::remove_dir_all(&root).unwrap();
        assert!(!are_free(&root));
    }

    #[test]
    fn mounts_of_hugepages_are_found_among_others() {
        let table =
            "proc /proc proc rw 0 0\nhugetlbfs /dev/hugepages hugetlbfs rw,pagesize=2M 0 0\nnone /mnt/huge\\040pages hugetlbfs rw 0 0\n";
        assert_eq!(mounts(table), [PathBuf::from("/dev/hugepages"), PathBuf::from("/mnt/huge pages")]);
        assert_eq!(mounts("hugetlbfs\n\n"), Vec::<PathBuf>::new());
    }

    #[test]
    fn only_files_of_the_prefix_are_removed() {
        let mount = directory("mount");
        for name in ["pe1map_0", "pe1map_12", "pe1map_x", "pe12map_0", "othermap_0"] {
            fs::write(mount.join(name), "").unwrap();
        }
        remove_files(std::slice::from_ref(&mount), "pe1");
        let mut left: Vec<_> = fs::read_dir(&mount).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["othermap_0", "pe12map_0", "pe1map_x"]);
        fs::remove_dir_all(&mount).unwrap();
    }
}
