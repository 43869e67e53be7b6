//! The figures: how calls went out, and what it took.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use forewarn::demo::sandbox::Call;
use forewarn::domain::{At, Span};
use tokio::time::Instant;

use crate::process::{cpu_us, rss};
use crate::scene::Scene;
use crate::{BUDGET, Result, WITHIN, fleet};

/// The provider's clock runs beside ours: what is a second apart here may be a little less there.
const SECOND: Span = Span::from_millis(950);
/// On a loaded machine requests queue on the way; over so long that evens out, but for a second's worth at its ends.
const LONG: Span = Span::from_secs(30);
const MOST: u32 = 31 * BUDGET;
/// Calls so close to each other may overtake each other on the way.
const CLOSE: Span = Span::from_secs(1);
/// How much longer than the budget alone it may take.
const WORST: f64 = 1.5;

/// Calls that went out once it was a storm.
pub(crate) struct Calls {
    /// When, and to which car, in this order.
    made: Vec<(At, usize)>,
}

impl Calls {
    pub(crate) fn new(calls: &[Call], noticed_at: At) -> Self {
        let mut made: Vec<(At, usize)> =
            calls.iter().filter_map(|call| Some((call.created_at, fleet::of_phone(&call.to)?))).collect();
        made.retain(|(at, _)| *at > noticed_at);
        made.sort_unstable();
        Self { made }
    }

    fn theory(&self) -> f64 {
        self.made.len() as f64 / f64::from(BUDGET)
    }

    /// The most within any stretch of this length.
    fn most(&self, stretch: Span) -> usize {
        let from = |at: At| self.made.partition_point(|(t, _)| at.since(*t) >= stretch);
        self.made.iter().enumerate().map(|(ix, (at, _))| ix + 1 - from(*at)).max().unwrap_or(0)
    }

    /// Of all pairs of first calls to cars that move, once all had failed: how many are in the wrong order, in percent.
    fn disorder(&self, moving: usize, noticed_at: At) -> f64 {
        let settled = noticed_at + Span::from_micros(i64::try_from(WITHIN.as_micros()).unwrap_or(0)) + CLOSE;
        let mut first: BTreeMap<usize, At> = BTreeMap::new();
        for (at, car) in self.made.iter().filter(|(_, car)| *car < moving) {
            first.entry(*car).or_insert(*at);
        }
        let mut first: Vec<(At, u32)> = first.into_iter().map(|(car, at)| (at, fleet::speed(car))).collect();
        first.retain(|(at, _)| *at > settled);
        first.sort_unstable();
        let pairs = (0..first.len()).flat_map(|i| (0..i).map(move |j| (j, i)));
        let (mut all, mut wrong) = (0_u32, 0_u32);
        for (j, i) in pairs.filter(|(j, i)| first[*i].0.since(first[*j].0) > CLOSE) {
            all += 1;
            wrong += u32::from(first[j].1 < first[i].1);
        }
        100.0 * f64::from(wrong) / f64::from(all.max(1))
    }

    pub(crate) fn print(&self, cars: usize, moving: usize, begun_at: At, noticed_at: At, done_at: At) {
        let took = (done_at - noticed_at).as_secs_f64();
        println!("{cars} cars fail within {} s, {moving} of them move", WITHIN.as_secs());
        println!("  a storm, after the first message         {:>8.2} s", (noticed_at - begun_at).as_secs_f64());
        println!("  calls                                    {:>8}", self.made.len());
        println!("  theory, at {BUDGET} calls a second             {:>8.1} s", self.theory());
        println!("  everybody in danger told                 {took:>8.1} s   {:.2} x theory", took / self.theory());
        let (second, long) = (self.most(SECOND), self.most(LONG));
        println!(
            "  most calls within any second             {second:>8}     budget {BUDGET}, as the provider saw them"
        );
        println!("  most calls within any half minute        {long:>8}     budget {}", 30 * BUDGET);
        println!("  pairs of first calls in the wrong order  {:>8.2} %", self.disorder(moving, noticed_at));
    }

    /// Fails if what must hold does not.
    pub(crate) fn judge(&self, noticed_at: At, done_at: At) -> Result<()> {
        let took = (done_at - noticed_at).as_secs_f64();
        let long = self.most(LONG);
        if long > MOST as usize {
            return Err(format!("{long} calls within half a minute").into());
        }
        if took > WORST * self.theory() {
            return Err(format!("{took:.1} s are more than {WORST} x {:.1} s", self.theory()).into());
        }
        Ok(())
    }
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
