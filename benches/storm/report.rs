//! The figures: how calls went out, and what it took.

use std::fmt::Write as _;
use std::time::Duration;

use forewarn::domain::{At, Span};
use tokio::time::Instant;

use crate::process::{cpu_us, rss};
use crate::scene::Scene;
use crate::{BUDGET, PROVIDER, Result, WITHIN, fleet};

const SECOND: Span = Span::from_secs(1);
const LONG: Span = Span::from_secs(30);
/// On the way to the provider, calls that were further apart than a second may come closer: by so little here that there is
/// one more in a second.
const JITTER: u32 = 1;
/// Calls so close to each other are of one moment, and in no order.
const CLOSE: Span = SECOND;
/// How much longer than the budget alone it may take.
const WORST: f64 = 1.5;

/// A car that moves: when the desk knew of its fault, and its calls, as the desk claimed them and as the provider got them.
pub(crate) struct Warned {
    pub(crate) car: usize,
    pub(crate) known_at: At,
    pub(crate) claimed: Vec<At>,
    pub(crate) called: Vec<At>,
}

/// Calls that went out once it was a storm.
pub(crate) struct Calls {
    noticed_at: At,
    /// To everybody, and to those who move.
    all: Vec<At>,
    moving: Vec<At>,
    warned: Vec<Warned>,
}

impl Calls {
    pub(crate) fn new(all: impl IntoIterator<Item = At>, warned: Vec<Warned>, noticed_at: At) -> Self {
        let sorted = |times: &mut dyn Iterator<Item = At>| {
            let mut times: Vec<At> = times.filter(|at| *at > noticed_at).collect();
            times.sort_unstable();
            times
        };
        let moving = sorted(&mut warned.iter().flat_map(|w| &w.called).copied());
        Self { noticed_at, all: sorted(&mut all.into_iter()), moving, warned }
    }

    fn theory(&self) -> f64 {
        self.moving.len() as f64 / f64::from(BUDGET)
    }

    /// Of all pairs of first calls, none of which was made before it was a storm: how many are in the wrong order although
    /// the desk knew of both, in percent.
    fn disorder(&self) -> f64 {
        let first = |w: &Warned| Some((*w.called.first()?, w.known_at, fleet::speed(w.car)));
        let mut first: Vec<(At, At, u32)> = self.warned.iter().filter_map(first).collect();
        first.retain(|(at, ..)| *at > self.noticed_at);
        first.sort_unstable();
        let pairs = (0..first.len()).flat_map(|i| (0..i).map(move |j| (j, i)));
        let (mut all, mut wrong) = (0_u32, 0_u32);
        for (before, after) in pairs.map(|(j, i)| (first[j], first[i])) {
            if after.0.since(before.0) > CLOSE && before.0.since(after.1) > CLOSE {
                all += 1;
                wrong += u32::from(before.2 < after.2);
            }
        }
        100.0 * f64::from(wrong) / f64::from(all.max(1))
    }

    /// From the claim to the provider, in milliseconds, the shortest first.
    fn on_the_way(&self) -> Vec<f64> {
        let pairs = self.warned.iter().flat_map(|w| w.claimed.iter().zip(&w.called));
        sorted_ms(pairs.map(|(claimed, called)| called.since(*claimed)))
    }

    pub(crate) fn print(&self, cars: usize, begun_at: At, done_at: At) {
        let took = (done_at - self.noticed_at).as_secs_f64();
        println!("{cars} cars fail within {} s, {} of them move", WITHIN.as_secs(), self.warned.len());
        println!("  a storm, after the first message         {:>8.2} s", (self.noticed_at - begun_at).as_secs_f64());
        println!("  calls to those who move                  {:>8}", self.moving.len());
        println!("  theory, at {BUDGET} calls a second             {:>8.1} s", self.theory());
        println!("  everybody in danger told                 {took:>8.1} s   {:.2} x theory", took / self.theory());
        for (name, stretch, seconds) in [("any second", SECOND, 1), ("any half minute", LONG, 30)] {
            let (moving, all) = (most(&self.moving, stretch), most(&self.all, stretch));
            println!(
                "  most calls within {name:<22} {moving:>8}     budget {}; with all others {all}, provider {}",
                seconds * BUDGET,
                seconds * PROVIDER
            );
        }
        println!("  pairs of first calls in the wrong order  {:>8.2} %", self.disorder());
        println!("  from the claim to the provider           {}", spread(&self.on_the_way()));
    }

    /// Fails if what must hold does not.
    pub(crate) fn judge(&self, done_at: At) -> Result<()> {
        let took = (done_at - self.noticed_at).as_secs_f64();
        for (stretch, seconds) in [(SECOND, 1), (LONG, 30)] {
            for (calls, rate) in [(&self.moving, BUDGET), (&self.all, PROVIDER)] {
                let most = most(calls, stretch);
                if most > (seconds * rate + JITTER) as usize {
                    return Err(format!("{most} calls within {stretch}, at {rate} a second").into());
                }
            }
        }
        // A storm that is soon over waits for those who are called again.
        if self.theory() > 60.0 && took > WORST * self.theory() {
            return Err(format!("{took:.1} s are more than {WORST} x {:.1} s", self.theory()).into());
        }
        Ok(())
    }
}

/// The most within any stretch of this length.
fn most(times: &[At], stretch: Span) -> usize {
    let from = |at: At| times.partition_point(|t| at.since(*t) >= stretch);
    times.iter().enumerate().map(|(ix, at)| ix + 1 - from(*at)).max().unwrap_or(0)
}

/// In milliseconds, the shortest first.
pub(crate) fn sorted_ms(spans: impl Iterator<Item = Span>) -> Vec<f64> {
    let mut all: Vec<f64> = spans.map(|span| 1_000.0 * span.as_secs_f64()).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The middle, the worst but one in a hundred, and the worst.
pub(crate) fn spread(sorted: &[f64]) -> String {
    let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
    let [half, most, worst] = [50, 99, 100].map(|percent| at(percent).copied().unwrap_or(f64::NAN));
    format!("p50 {half:.1} ms, p99 {most:.1} ms, at most {worst:.1} ms, of {}", sorted.len())
}

/// Memory and CPU by the second.
pub(crate) struct Curve {
    pid: u32,
    begun: Instant,
    points: Vec<Point>,
}

struct Point {
    seconds: f64,
    rss: u64,
    cpu_us: u64,
    calls: usize,
    texts: usize,
}

impl Curve {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid, begun: Instant::now(), points: Vec::new() }
    }

    /// Looks each second for so long.
    pub(crate) async fn look(&mut self, scene: &Scene, span: Duration) -> Result<()> {
        for _ in 0..span.as_secs() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let (calls, texts) = scene.accepted();
            let (rss, cpu_us) = (rss(self.pid)?, cpu_us(self.pid)?);
            self.points.push(Point { seconds: self.begun.elapsed().as_secs_f64(), rss, cpu_us, calls, texts });
        }
        Ok(())
    }

    pub(crate) fn print(&self, broker: u32) -> Result<()> {
        let mut csv = "seconds,rss_mib,cpu_percent,calls,texts\n".to_owned();
        let rows: Vec<String> = self.points.windows(2).map(|pair| row(&pair[0], &pair[1])).collect();
        rows.iter().for_each(|line| {
            let _ = writeln!(csv, "{line}");
        });
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("storm.csv");
        std::fs::write(&path, csv)?;
        println!("  seconds,rss_mib,cpu_percent,calls,texts   (each tenth; all in {})", path.display());
        rows.iter().step_by(10).for_each(|line| println!("  {line}"));
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let peak = self.points.iter().map(|p| p.rss).max().unwrap_or(0);
        if let (Some(first), Some(last)) = (self.points.first(), self.points.last()) {
            println!(
                "  memory: {:.1} MiB before, {:.1} at most, {:.1} at the end",
                mib(first.rss),
                mib(peak),
                mib(last.rss)
            );
            let cpu = |us: u64| us as f64 / 1e6;
            let (own, broker) = (cpu(last.cpu_us - first.cpu_us), cpu(cpu_us(broker)?));
            println!("  CPU: {own:.1} s in {:.0} s; mosquitto {broker:.1} s", last.seconds - first.seconds);
        }
        Ok(())
    }
}

fn row(before: &Point, p: &Point) -> String {
    let cpu = (p.cpu_us - before.cpu_us) as f64 / 1e4 / (p.seconds - before.seconds);
    format!("{:.0},{:.1},{cpu:.0},{},{}", p.seconds, p.rss as f64 / f64::from(1 << 20), p.calls, p.texts)
}
