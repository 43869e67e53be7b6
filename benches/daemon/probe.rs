//! What the disk does while something is measured.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::Instant;

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
