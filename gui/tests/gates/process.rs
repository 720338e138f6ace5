//! What Linux says of a process.

use std::fs;
use std::time::Duration;

/// Libraries that are there only because pictures are made by software.
const RENDERER: &[&str] = &["libLLVM", "swrast", "libgallium"];

/// Resident memory in MB: the program's own, and that of the software renderer's libraries.
pub(crate) fn resident_mb(pid: u32) -> (f64, f64) {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).expect("Linux tells of memory");
    let mut is_renderer = false;
    let (mut own, mut renderer) = (0, 0);
    for line in maps.lines() {
        if let Some(kib) = line.strip_prefix("Rss:") {
            let kib: u64 = kib.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
            *(if is_renderer { &mut renderer } else { &mut own }) += kib;
        } else if line.split_whitespace().next().is_some_and(|first| first.contains('-')) {
            is_renderer = RENDERER.iter().any(|name| line.contains(name));
        }
    }
    let mb = |kib: u64| kib as f64 * 1_024.0 / 1e6;
    (mb(own), mb(renderer))
}

/// Processor time used so far by all threads that live.
pub(crate) fn processor_time(pid: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("Linux tells of threads");
    let of_thread = |folder: std::io::Result<fs::DirEntry>| -> Option<u64> {
        let stat = fs::read_to_string(folder.ok()?.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse().ok()
    };
    Duration::from_nanos(threads.filter_map(of_thread).sum())
}
