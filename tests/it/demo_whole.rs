//! The whole demo through the real binary: daemon, broker, providers, fleet, on an otherwise bare machine.

#![expect(clippy::unwrap_used, reason = "these are tests, their helper functions too")]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// `forewarn demo` with `args` from an empty directory; killed after three minutes.
fn demo(args: &[&str]) -> Output {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_forewarn"))
        .arg("demo")
        .args(args)
        .current_dir(&elsewhere)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let watch = std::thread::spawn(move || {
        for _ in 0..1_800 {
            std::thread::sleep(Duration::from_millis(100));
            if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
                return;
            }
        }
        Command::new("kill").arg("-9").arg(pid.to_string()).status().ok();
    });
    // Reads both pipes to their end, so that neither can fill up.
    let mut errors = child.stderr.take().unwrap();
    let read = std::thread::spawn(move || {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut errors, &mut text).map(|_| text)
    });
    let mut output = child.wait_with_output().unwrap();
    output.stderr = read.join().unwrap().unwrap();
    watch.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn demo_serves_both_breakdowns() {
    let output = demo(&["--json", "--devices", "30"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{err}\n{out}");
    let lines: Vec<Value> =
        out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect();
    let summary = lines.last().unwrap();
    assert_eq!((&summary["event"], &summary["served"]), (&"summary".into(), &true.into()), "{summary:#}");
    assert_eq!(summary["other_cases"], 0, "no sound car may get a case: {summary:#}");
    let [brakes, battery] = [&summary["cases"][0], &summary["cases"][1]];
    for (case, what) in [(brakes, "tickets"), (brakes, "tows"), (battery, "tickets"), (battery, "mails")] {
        assert_eq!(case["accepted"][what], 1, "exactly one of {what}: {case:#}");
    }
    assert_eq!((&battery["accepted"]["calls"], &battery["accepted"]["tows"]), (&0.into(), &0.into()), "{battery:#}");
    for step in ["ticket", "call", "confirmed", "tow"] {
        assert!(brakes["after_ms"][step].is_i64(), "{step}: {brakes:#}");
    }
    let heard = lines.iter().filter_map(|l| l["text"].as_str()).any(|t| t.contains("hears: '"));
    assert!(heard, "the driver was spoken to:\n{out}");
}

#[test]
fn demo_reads_well_without_a_terminal() {
    let output = demo(&["--devices", "10"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{err}\n{out}");
    assert!(!out.contains('\x1b') && !err.contains('\x1b'), "no colours into a pipe:\n{out}{err}");
    for part in ["broker ", "tow company", "presses 1", "case ", "served", "Next:"] {
        assert!(out.contains(part), "{part:?} is missing:\n{out}");
    }
}
