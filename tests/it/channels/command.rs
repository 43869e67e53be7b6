//! Commands over the broker.

use forewarn::domain::{CommandWork, Span, Work};

use super::support::*;

fn command(topic: &str, expires_in: Span) -> Work {
    Work::Command(CommandWork { topic: topic.into(), payload: "{}".into(), expires_at: now() + expires_in })
}

#[tokio::test]
async fn commands_go_where_they_are_allowed_while_they_last() {
    let world = World::new();
    let channel = world.build("kind = \"mqtt-command\"\nallow = [\"fleet/+/cmd\"]");
    for (work, expected) in [
        (command("fleet/car-1/cmd", Span::from_secs(30)), "accepted"),
        (command("fleet/car-1/config", Span::from_secs(30)), "rejected"),
        (command("fleet/+/cmd", Span::from_secs(30)), "rejected"),
        (command("$SYS/cmd", Span::from_secs(30)), "rejected"),
        (command("fleet/car-1/cmd", Span::ZERO), "rejected"),
        (command("fleet/car-1/cmd", Span::from_secs(-5)), "rejected"),
        (mail("not a command"), "rejected"),
    ] {
        assert_eq!(word(&channel.attempt(send(work.clone())).await), expected, "{work:?}");
    }
    assert_eq!(word(&channel.attempt(reconcile(command("fleet/car-1/cmd", Span::from_secs(30)))).await), "unknown");
    let published = world.published.lock().unwrap();
    let [(topic, payload, expiry, retain)] = &published[..] else { panic!("{published:?}") };
    assert_eq!((topic.as_str(), &payload[..]), ("fleet/car-1/cmd", &b"{}"[..]));
    assert_eq!((*expiry, *retain), (Some(Span::from_secs(30)), false));
}
