//! What Linux says about a process.

use std::io;

/// Clock ticks a second in `/proc/<pid>/stat`: 100 on every Linux that Rust's standard library runs on.
const TICK_US: u64 = 10_000;

/// CPU time used so far by all threads, user and system, in microseconds (to 10 ms).
pub(crate) fn cpu_us(pid: u32) -> io::Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces; utime and stime are the 12th and 13th field behind it.
    let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = behind.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    Ok(fields.iter().sum::<u64>() * TICK_US)
}

/// Resident memory in bytes.
pub(crate) fn rss(pid: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0");
    let kb: u64 = line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
    Ok(kb * 1024)
}
