//! One car floods the broker: are the faults of the others noticed as soon as without it?

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forewarn::domain::{At, Span};
use tokio::time::Instant;

use crate::process::cpu_us;
use crate::report::{sorted_ms, spread};
use crate::scene::Scene;
use crate::{Result, fleet};

/// Others that fail in each part, and within what time.
const OTHERS: usize = 200;
const WITHIN: Duration = Duration::from_secs(20);
/// What the one sends each 10 ms: a thousand times what the others do.
const EACH: u64 = 50;

pub(crate) async fn flood() -> Result<()> {
    let scene = Scene::set(2 * OTHERS).await?;
    println!("{OTHERS} cars fail within {} s, from the sample that shows it to the case", WITHIN.as_secs());
    part(&scene, "alone", 0..OTHERS).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let (flooding, begun) =
        (tokio::spawn(fleet::flood(scene.broker_url(), 3 * OTHERS, EACH, stop.clone())), Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    part(&scene, "while another one floods", OTHERS..2 * OTHERS).await?;
    stop.store(true, Ordering::Release);
    let sent = flooding.await??;
    println!("  the flood: {:.0} messages a second", sent as f64 / begun.elapsed().as_secs_f64());
    let shed = scene.metric("forewarn_shed_total").await?;
    println!("  lost of it by the daemon, counted as shed: {shed:.0}");
    Ok(())
}

/// Has some cars fail and prints how soon that was noticed.
async fn part(scene: &Scene, name: &str, cars: Range<usize>) -> Result<()> {
    let (cpu, begun) = (cpu_us(scene.pid()?)?, Instant::now());
    fleet::fail(scene.broker_url(), cars.clone(), 0, WITHIN).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let used = (cpu_us(scene.pid()?)? - cpu) as f64 / begun.elapsed().as_micros() as f64;
    let known: Vec<(At, At)> = scene.noticed(cars.clone()).await?;
    if known.len() < cars.len() {
        return Err(format!("{name}: {} of {} cars have a case:\n{}", known.len(), cars.len(), scene.log()).into());
    }
    let took: Vec<Span> = known.into_iter().map(|(event_at, opened_at)| opened_at.since(event_at)).collect();
    println!("  {name:<26} {}; daemon {:.0} % of a core", spread(&sorted_ms(took.into_iter())), 100.0 * used);
    Ok(())
}
