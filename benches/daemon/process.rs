//! What Linux says about a process, and what the disk does meanwhile.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

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

/// Appends 4 KiB to a file and syncs it, 20 times a second: what any durable program would wait for.
pub(crate) struct DiskProbe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<f64>>>,
}

impl DiskProbe {
    pub(crate) fn start(dir: &Path) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, mut file) = (stop.clone(), File::create(dir.join("probe"))?);
        let thread = std::thread::spawn(move || {
            let mut waits = Vec::new();
            while !asked.load(Ordering::Relaxed) {
                let started = Instant::now();
                file.write_all(&[7; 4096])?;
                file.sync_data()?;
                waits.push(started.elapsed().as_secs_f64() * 1000.0);
                std::thread::sleep(Duration::from_millis(50));
            }
            Ok(waits)
        });
        Ok(Self { stop, thread })
    }

    /// Milliseconds of each, sorted.
    pub(crate) fn stop(self) -> io::Result<Vec<f64>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut waits = self.thread.join().map_err(|_| io::Error::other("the disk probe failed"))??;
        waits.sort_by(f64::total_cmp);
        Ok(waits)
    }
}
