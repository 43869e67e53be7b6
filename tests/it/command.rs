//! A command to a device over a real broker: sent once, answered on its own topic, proven by telemetry.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Ears, Fleet, World};

const RULE: &str = r#"
[[rule]]
id = "car-controller-hung"
models = ["car"]
fault = "controller.hung"
severity = "minor"
when = "speed > 200[km/h]"
confirm = 2
"#;

pub(crate) const PLAYBOOK: &str = r#"
schema = "playbook/1"
id = "controller-reset"
version = 1
owner = "test@example.com"
[match]
fault = ["controller.hung"]
severity = ["minor"]
device_kind = "car"
[case]
key = "{{ device.id }}/{{ fault.family }}"
goals = ["corrected"]
[policy]
purpose = "service"
[[step]]
id = "fix"
do = "command"
goal = "corrected"
topic = "fleet/{{ device.id }}/cmd"
payload = '{"id":"{{ action.id }}","op":"soft_reset","valid_until":"{{ action.expires }}"}'
expires = "2m"
allow = ["soft_reset"]
reply = { topic = "fleet/{{ device.id }}/cmd/ack", match = "id", within = "60s" }
verify = { expect = "device.speed < 10", within = "1m" }
on = { refused = "human:service-desk", no_reply = "human:service-desk", not_verified = "human:service-desk" }
"#;

/// The commands that the car hears within `wait` of the last one.
fn heard(ears: &mut Ears, wait: Duration) -> Vec<Value> {
    ears.hear(wait).iter().map(|(_, payload)| serde_json::from_slice(payload).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_sent_once_even_over_a_crash_and_proven_by_telemetry() {
    let device = "car-0003";
    for point in ["", "command-before-send", "command-after-send", "command-after-record"] {
        let mut world = World::build(60).await;
        std::fs::write(world.space.dir().join("config/rules/command.toml"), RULE).unwrap();
        std::fs::write(world.space.dir().join("config/playbooks/command.toml"), PLAYBOOK).unwrap();
        world.start("");
        world.ready().await;
        assert_eq!(world.stop(), Some(0), "{}", world.log());
        let mut ears = Ears::open(&world, device, &format!("fleet/{device}/cmd"));
        let fleet = Fleet::connect(&world);

        world.start(&if point.is_empty() { String::new() } else { format!("{point}=return") });
        fleet.say(device, false, 240.0).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        fleet.say(device, false, 241.0).await;
        if !point.is_empty() {
            world.died().await;
            world.start("");
        }
        world.ready().await;
        let commands = heard(&mut ears, Duration::from_secs(8));
        let lost = point == "command-before-send";
        // Before the send nobody can know that nothing was sent: a command is then left to a person.
        assert_eq!(commands.len(), usize::from(!lost), "{point}: {commands:?}");
        if let Some(command) = commands.first() {
            assert_eq!(command["op"], "soft_reset");
            assert!(command["valid_until"].as_str().unwrap().ends_with('Z'), "{command}");
            let answer = json!({ "id": command["id"], "ok": true, "detail": "reset done" });
            fleet.publish(&format!("fleet/{device}/cmd/ack"), &answer).await;
            fleet.say(device, false, 0.0).await;
            let device = [device.to_owned()];
            world.all_served(&device, "controller.hung", Duration::from_secs(60)).await;
        }
        assert!(heard(&mut ears, Duration::from_secs(1)).is_empty(), "{point}: the command came again");
    }
}
