//! The yardstick for ingest: a bare `rumqttc` subscriber that only acknowledges.
//!
//! `cargo bench --bench ingest_baseline -- mqtt://127.0.0.1:1883 'fleet/+/telemetry' 100000` subscribes (QoS 1, manual
//! acks from a second task, receive-maximum 1000), prints messages a second once a second, and ends after so many messages.
//! Without arguments it does nothing, so that `cargo bench` can run all benches. `cargo bench --bench daemon` shows it
//! beside the daemon.

use forewarn::mqtt::BrokerUrl;

#[path = "daemon/bare.rs"]
#[expect(dead_code, reason = "sessions are for the other bench")]
mod bare;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let [url, filter, count] = args.as_slice() else {
        println!("usage: ingest_baseline mqtt://HOST:PORT FILTER MESSAGES");
        return Ok(());
    };
    let (url, count): (BrokerUrl, u32) = (url.parse()?, count.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let show = |rate| println!("{rate:.0}/s");
    let seconds =
        runtime.block_on(bare::receive(bare::options(&url, "ingest-baseline"), filter, count.into(), show))?;
    println!("{count} messages in {seconds:.3} s, {:.0}/s", f64::from(count) / seconds);
    Ok(())
}
