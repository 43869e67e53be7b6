//! The daemon as a whole, against a real mosquitto on this machine, each figure beside something known.
//!
//! `cargo bench --bench daemon` measures and prints a table; `-- --json` prints it as JSON, `-- --quick` takes a tenth of
//! everything (a look, not a figure), and `-- ingest`, `-- live` or `-- fleet` measures only that part. Needs mosquitto;
//! nothing else may run on the machine.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

mod bare;
mod broker;
mod daemon;
mod fleet;
mod helpdesk;
mod probe;
mod process;
mod report;
mod source;

use broker::Broker;
use daemon::Home;
use fleet::{FILTER, Message, publish};
use helpdesk::Helpdesk;
use probe::DiskProbe;
use process::{cpu_us, rss};
use report::Report;
use source::Packets;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How much is measured.
struct Size {
    /// Messages of a backlog.
    backlog: u64,
    /// Seconds of live messages.
    live_seconds: u64,
    /// Devices of the large fleet.
    fleet: u64,
}

const FULL: Size = Size { backlog: 400_000, live_seconds: 20, fleet: 100_000 };
const QUICK: Size = Size { backlog: 40_000, live_seconds: 2, fleet: 10_000 };

/// Devices of the small fleet.
const DEVICES: u64 = 1_000;
/// Live messages a second, and how many of them are the first of a fault.
const LIVE_RATE: u64 = 20_000;
const FAULT_RATE: u64 = 10;
/// A device reports every 10 s of its own time.
const STEP_MS: u64 = 10_000;

type Part = fn(&mut Report, &Size, &Path) -> Result<()>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| args.iter().any(|a| a == name);
    // `cargo test --benches` starts it too, and without this.
    if !has("--bench") {
        println!("usage: cargo bench --bench daemon [-- [ingest] [live] [fleet] [--quick] [--json]]");
        return Ok(());
    }
    let size = if has("--quick") { QUICK } else { FULL };
    let mut report = Report::default();
    // Not in /tmp, which may be memory: what is measured includes the fdatasync of a disk.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let parts: [(&str, Part); 3] = [("ingest", ingest), ("live", live), ("fleet", large_fleet)];
    let all = !parts.iter().any(|(name, _)| has(name));
    for (name, part) in parts.iter().filter(|(name, _)| all || has(name)) {
        part(&mut report, &size, &dir.path().join(name))?;
    }
    println!("{}", if has("--json") { report.json() } else { report.text() });
    Ok(())
}

/// What the bare subscriber and the daemon take in: live, from a backlog, and without mosquitto.
fn ingest(report: &mut Report, size: &Size, dir: &Path) -> Result<()> {
    const LIVE: &str = "As fast as mosquitto passes them on: QoS 1, 201 bytes of JSON, 1,000 devices, 10 rules";
    const BACKLOG: &str = "The same as a backlog that waits in a session of mosquitto";
    const OURS: &str = "The same without mosquitto, from a sender that has all packets ready";
    let (now, steps) = (now_ms(), size.backlog / DEVICES);
    let message = |n: u64| Message { device: n % DEVICES, ts_ms: now - (steps - n / DEVICES) * STEP_MS, faulty: false };
    let packets = Packets::new(size.backlog, message)?;
    eprintln!("{LIVE}");
    std::fs::create_dir_all(dir)?;
    let broker = Broker::start(dir)?;
    let started = Instant::now();
    source::send(&broker.url, &packets)?;
    report.add(LIVE, "sender alone, nobody subscribed", fleet::rate(size.backlog, started), "/s", "");
    drop(broker);
    through_mosquitto(report, LIVE, &packets, true, &dir.join("passed"))?;
    eprintln!("{BACKLOG}");
    through_mosquitto(report, BACKLOG, &packets, false, &dir.join("backlog"))?;

    eprintln!("{OURS}");
    let url = source::listen(packets)?;
    let taken = runtime()?.block_on(bare::receive(bare::options(&url, "bare"), FILTER, size.backlog, |_| ()))?;
    let bare_rate = per(size.backlog, taken);
    report.add(OURS, "bare subscriber, only acks", bare_rate, "/s", "");
    let home = Home::new(&dir.join("ours"), &url, DEVICES, Helpdesk::start()?.port)?;
    let (mut daemon, _) = home.start()?;
    let pid = daemon.pid();
    let drained = daemon.drain(size.backlog, || Ok(vec![cpu_us(pid)?]))?;
    add_daemon(report, OURS, &drained, bare_rate);
    daemon.stop()?;
    Ok(())
}

/// First the bare subscriber, then the daemon, each with a mosquitto of its own and a session that exists before the
/// first message; `live`: they are connected while the messages come.
fn through_mosquitto(
    report: &mut Report,
    section: &'static str,
    packets: &Arc<Packets>,
    live: bool,
    dir: &Path,
) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let (count, runtime) = (packets.count() as u64, runtime()?);
    let broker = Broker::start(dir)?;
    let mut options = bare::options(&broker.url, "bare");
    options.set_clean_start(false).set_session_expiry_interval(Some(3600));
    runtime.block_on(bare::open_session(options.clone(), FILTER))?;
    if live {
        source::send_meanwhile(&broker.url, packets);
    } else {
        source::send(&broker.url, packets)?;
    }
    let mosquitto = cpu_us(broker.pid())?;
    let bare_rate = per(count, runtime.block_on(bare::receive(options, FILTER, count, |_| ()))?);
    report.add(section, "bare subscriber, only acks", bare_rate, "/s", format!("{count} messages"));
    report.add(section, "  mosquitto's CPU a message", per(cpu_us(broker.pid())? - mosquitto, count), "us", "");
    drop(broker);

    let broker = Broker::start(dir)?;
    let home = Home::new(dir, &broker.url, DEVICES, Helpdesk::start()?.port)?;
    let (mut daemon, _) = home.start()?;
    if live {
        std::thread::sleep(Duration::from_secs(1));
        report.add(section, "daemon, idle, memory with 1,000 devices", mib(rss(daemon.pid())?), "MiB", "");
        source::send_meanwhile(&broker.url, packets);
    } else {
        daemon.stop()?;
        source::send(&broker.url, packets)?;
        daemon = home.start()?.0;
    }
    let pids = [daemon.pid(), broker.pid()];
    let drained = daemon.drain(count, || pids.into_iter().map(cpu_us).collect())?;
    add_daemon(report, section, &drained, bare_rate);
    report.add(section, "  mosquitto's CPU a message", per(drained.cpu_us[1], drained.messages), "us", "");
    report.add(section, "  its memory after it", mib(rss(daemon.pid())?), "MiB", "");
    report.add(section, "  detections", daemon.metric("forewarn_detections_total")?, "", "none expected");
    daemon.stop()?;
    Ok(())
}

fn add_daemon(report: &mut Report, section: &'static str, drained: &daemon::Drained, bare_rate: f64) {
    let rate = per(drained.messages, drained.seconds);
    let ratio = format!("{:.0} % of the bare subscriber", 100.0 * rate / bare_rate);
    report.add(section, "daemon, durable before the ack", rate, "/s", ratio);
    report.add(section, "  its CPU a message", per(drained.cpu_us[0], drained.messages), "us", "");
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

/// A paced sender, and faults that open tickets.
fn live(report: &mut Report, size: &Size, dir: &Path) -> Result<()> {
    const SECTION: &str = "Live through mosquitto: 20,000 messages a second, 10 faults a second";
    eprintln!("{SECTION}");
    std::fs::create_dir_all(dir)?;
    let count = LIVE_RATE * size.live_seconds;
    let faults = FAULT_RATE * size.live_seconds;
    let broker = Broker::start(dir)?;
    let helpdesk = Helpdesk::start()?;
    let home = Home::new(dir, &broker.url, DEVICES, helpdesk.port)?;
    let (mut daemon, _) = home.start()?;

    // The fault of device d begins with message d * LIVE_RATE / FAULT_RATE + d, which is one of its own.
    let first = |device: u64| device * (LIVE_RATE / FAULT_RATE) + device;
    let message = |n: u64| {
        let device = n % DEVICES;
        Message { device, ts_ms: now_ms(), faulty: device < faults && n >= first(device) }
    };
    let mut published = BTreeMap::new();
    let pids = [daemon.pid(), broker.pid(), std::process::id()];
    let before = pids.map(|pid| cpu_us(pid).unwrap_or(0));
    let disk = DiskProbe::start(dir)?;
    let sent = publish(&broker.url, count, Some(LIVE_RATE), message, |n| {
        let device = n % DEVICES;
        if device < faults && n == first(device) {
            published.insert(fleet::name(device), Instant::now());
        }
    })?;
    let disk = disk.stop()?;
    let cpu = pids.map(|pid| cpu_us(pid).unwrap_or(0));
    daemon.drain(count, || Ok(Vec::new()))?;
    let waiting = Instant::now();
    while helpdesk.tickets().len() < published.len() && waiting.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let tickets = helpdesk.tickets();
    let waits = tickets.iter().filter_map(|(title, at)| Some(at.duration_since(*published.get(title)?)));
    let mut waits: Vec<f64> = waits.map(|w| w.as_secs_f64() * 1000.0).collect();
    waits.sort_by(f64::total_cmp);

    report.add(SECTION, "sent and acknowledged", sent, "/s", format!("over {} s", size.live_seconds));
    for (name, index) in
        [("daemon's CPU a message", 0), ("mosquitto's CPU a message", 1), ("sender's CPU a message", 2)]
    {
        report.add(SECTION, name, per(cpu[index] - before[index], count), "us", "");
    }
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let opened = tickets.len() as f64;
    report.add(SECTION, "tickets at the provider", opened, "", format!("{} faults", published.len()));
    report.add(SECTION, "publish -> first byte at the provider, p50", quantile(&waits, 50), "ms", "");
    report.add(SECTION, "publish -> first byte at the provider, p99", quantile(&waits, 99), "ms", "");
    report.add(SECTION, "publish -> first byte at the provider, max", quantile(&waits, 100), "ms", "");
    for (name, share) in
        [("received -> effect committed, p50 at most", 0.5), ("received -> effect committed, p99 at most", 0.99)]
    {
        let seconds = bucket(&daemon, "forewarn_publish_to_effect_seconds", share)?;
        report.add(SECTION, name, seconds * 1000.0, "ms", "bound of the daemon's histogram");
    }
    for (name, percent) in [("append + fdatasync of 4 KiB, p50", 50), ("append + fdatasync of 4 KiB, p99", 99)] {
        report.add(SECTION, name, quantile(&disk, percent), "ms", "the disk itself, meanwhile; the daemon needs two");
    }
    daemon.stop()?;
    Ok(())
}

/// Memory and restarts with many devices.
fn large_fleet(report: &mut Report, size: &Size, dir: &Path) -> Result<()> {
    const SECTION: &str = "A large fleet: 3 messages from each device, 10 rules";
    eprintln!("{SECTION}");
    std::fs::create_dir_all(dir)?;
    let (devices, now) = (size.fleet, now_ms());
    let broker = Broker::start(dir)?;
    let helpdesk = Helpdesk::start()?;
    let home = Home::new(dir, &broker.url, devices, helpdesk.port)?;
    let (mut daemon, first_start) = home.start()?;
    let known = rss(daemon.pid())?;
    report.add(SECTION, "devices", per(devices, 1), "", "");
    report.add(SECTION, "memory, registry loaded, nothing heard yet", mib(known), "MiB", "");
    let message = |n: u64| Message { device: n % devices, ts_ms: now - (3 - n / devices) * STEP_MS, faulty: false };
    publish(&broker.url, 3 * devices, None, message, |_| ())?;
    daemon.drain(3 * devices, || Ok(Vec::new()))?;
    std::thread::sleep(Duration::from_secs(1));
    let heard = rss(daemon.pid())?;
    report.add(SECTION, "memory, all heard", mib(heard), "MiB", "");
    report.add(SECTION, "  a device", per(heard.saturating_sub(known), devices), "B", "");

    report.add(SECTION, "first start, spawn -> ready", first_start, "s", "empty store");
    let stopping = daemon.stop()?;
    report.add(SECTION, "stop, SIGTERM -> end", stopping, "s", "checkpoints of all devices written");
    let (mut daemon, ready) = home.start()?;
    report.add(SECTION, "start after SIGTERM, spawn -> ready", ready, "s", replayed(&home));
    report.add(SECTION, "  memory", mib(rss(daemon.pid())?), "MiB", "");
    let before = daemon.messages()?;
    let message = |n: u64| Message { device: n, ts_ms: now, faulty: false };
    publish(&broker.url, devices, None, message, |_| ())?;
    daemon.drain(before + devices, || Ok(Vec::new()))?;
    daemon.kill()?;
    let (daemon, ready) = home.start()?;
    report.add(SECTION, "start after SIGKILL, spawn -> ready", ready, "s", replayed(&home));
    daemon.stop()?;
    Ok(())
}

fn replayed(home: &Home) -> String {
    home.replayed().map_or(String::new(), |n| format!("{n} journal entries replayed"))
}

/// The bound of the bucket that `share` of a histogram's values are below.
fn bucket(daemon: &daemon::Daemon<'_>, name: &str, share: f64) -> Result<f64> {
    const BOUNDS: [&str; 12] =
        ["0.0005", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.25", "0.5", "1", "5"];
    let all = daemon.metric(&format!("{name}_count"))?;
    for bound in BOUNDS {
        if daemon.metric(&format!("{name}_bucket{{le=\"{bound}\"}}"))? >= all * share {
            return Ok(bound.parse()?);
        }
    }
    Ok(f64::INFINITY)
}

fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn now_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "devices have a clock of their own")]
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

trait Number {
    fn f64(self) -> f64;
}
impl Number for f64 {
    fn f64(self) -> f64 {
        self
    }
}
impl Number for u64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn f64(self) -> f64 {
        self as f64
    }
}

fn per(a: impl Number, b: impl Number) -> f64 {
    a.f64() / b.f64().max(1e-9)
}

fn mib(bytes: u64) -> f64 {
    per(bytes, 1_u64 << 20)
}
