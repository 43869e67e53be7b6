//! A storm for real: the daemon between a mosquitto and the sandbox's providers, and five thousand cars that fail within ten
//! seconds. 600 of them move; the others come to a halt at once.
//!
//! `cargo bench --bench storm` prints how long it takes until everybody in danger is told, beside what the budget alone
//! would take; the most calls in any second, as the provider saw them; whether the most endangered came first; and memory and
//! CPU by the second (as `target/tmp/storm.csv`, too). `-- --quick` takes a tenth, `-- --whole` goes on with those who stand,
//! once a person has agreed. `-- --flood` measures something else: how soon faults are noticed while one car sends without
//! end.
//! Phones ring for 4 s, 44 of 100 are not answered, and of each call the other end hears six seconds. Nothing else may run
//! on the machine.

#[path = "../daemon/broker.rs"]
mod broker;
mod fleet;
mod flood;
#[path = "../daemon/process.rs"]
mod process;
mod report;
mod scene;

use std::time::Duration;

use forewarn::domain::At;
use tokio::time::Instant;

use report::{Calls, Curve};
use scene::Scene;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Calls a second that the tier of those in danger may make; its provider takes more.
pub(crate) const BUDGET: u32 = 8;
/// And all together, as the settings say.
pub(crate) const PROVIDER: u32 = 10;
/// No step of the bench takes longer; what does is a failure, not a figure.
const LIMIT: Duration = Duration::from_secs(1_200);
/// In which everybody fails.
const WITHIN: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --benches` starts it too, and without this.
    if !args.iter().any(|a| a == "--bench") {
        return Ok(());
    }
    let part = if args.iter().any(|a| a == "--quick") { 10 } else { 1 };
    let whole = args.iter().any(|a| a == "--whole");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if args.iter().any(|a| a == "--flood") {
        return runtime.block_on(flood::flood());
    }
    runtime.block_on(storm(5_000 / part, 600 / part, whole))
}

async fn storm(cars: usize, moving: usize, whole: bool) -> Result<()> {
    let scene = Scene::set(cars).await?;
    let mut curve = Curve::of(scene.pid()?);
    curve.look(&scene, Duration::from_secs(3)).await?;
    let begun_at = forewarn::app::clock()();
    let sending = tokio::spawn(fleet::fail(scene.broker_url(), 0..cars, moving, WITHIN));
    curve.look(&scene, WITHIN + Duration::from_secs(2)).await?;
    sending.await??;
    let storm = scene.storm().await?;
    let done_at = until_met(&scene, &mut curve, &storm, "tier1_informed").await?;
    curve.look(&scene, Duration::from_secs(10)).await?;
    let noticed_at = scene.opened_at(&storm).await?;
    let calls = Calls::new(scene.calls(), scene.warned(moving).await?, noticed_at);
    calls.print(cars, begun_at, done_at);
    if whole {
        scene.approve(&storm).await?;
        let all_at = until_met(&scene, &mut curve, &storm, "all_informed").await?;
        println!("  all told, after a person had agreed      {:>8.1} s", (all_at - noticed_at).as_secs_f64());
    }
    curve.print(scene.broker_pid())?;
    calls.judge(done_at)
}

/// Looks each second until the storm has met a goal; when it did.
async fn until_met(scene: &Scene, curve: &mut Curve, storm: &str, goal: &str) -> Result<At> {
    let since = Instant::now();
    loop {
        curve.look(scene, Duration::from_secs(1)).await?;
        if let Some(at) = scene.met_at(storm, goal).await? {
            return Ok(at);
        }
        if since.elapsed() > LIMIT {
            return Err(format!("{goal} is not met; the end of the log:\n{}", scene.log()).into());
        }
    }
}
