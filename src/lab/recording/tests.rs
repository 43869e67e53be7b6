use std::fs;

use tempfile::TempDir;

use super::*;
use crate::journal::{Journal as Writer, Options};
use crate::model::{self, ReadingValue};
use crate::runtime;
use crate::source::{Diagnostics, Weight};

const PUMP: &str = r#"
[model]
id = "pump"
topics = ["plant/+/state"]
timestamp = { path = "t", unit = "ms" }
[signal]
flow = { path = "flow", valid = "0 <= _ < 100", na = [99] }
pressure = { path = "head.pressure" }
cells = { path = "cells", each = "cell" }
mode = { path = "m", values = ["on", "off"] }
"#;

const FAN: &str = "[model]\nid = \"fan\"\ntopics = [\"air/+/state\"]\n[signal]\nspeed = { path = \"rpm\" }\n";

fn fleet(models: &[&str], devices: &str) -> Fleet {
    let mut diags = Diagnostics::default();
    let files: Vec<_> = models.iter().map(|text| diags.add_file("model", *text)).collect();
    let models = Arc::new(model::load(&mut diags, &files));
    let devices = (!devices.is_empty()).then(|| diags.add_file("devices.csv", devices));
    let files = model::RegistryFiles { devices, ..Default::default() };
    let registry = Arc::new(model::load_registry(&mut diags, &files, &models));
    assert!(!diags.has_errors(), "{}", diags.render(false));
    Fleet { models, registry, model: None }
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// One line an entry, and the findings.
fn read(path: &Path, fleet: &Fleet) -> (Vec<String>, String) {
    let mut recording = Recording::open(path, fleet.clone()).unwrap();
    let mut entry = Entry::default();
    let mut lines = Vec::new();
    while recording.read(&mut entry).unwrap() {
        let at = entry.at.to_string();
        let at = at.trim_start_matches("2026-01-01T").trim_end_matches('Z');
        lines.push(match entry.kind {
            Kind::Mark => format!("{at} mark"),
            Kind::Row => {
                let model = &fleet.models.list[entry.binding.model];
                let readings = entry.message.readings.iter().map(|r| {
                    let name = &model.signals[usize::from(r.signal.0)].name;
                    match &r.value {
                        ReadingValue::Number(n) => format!("{name}.{}={n}", r.component),
                        other => format!("{name}.{}={other:?}", r.component),
                    }
                });
                format!("{at} {} {}", entry.binding.device, readings.collect::<Vec<_>>().join(" "))
            }
            Kind::Publish => format!("{at} {} {}", entry.binding.device, String::from_utf8_lossy(&entry.payload)),
        });
    }
    let dir = format!("{}/", path.display());
    let findings: Vec<String> = recording.findings().list().iter().map(|f| f.to_string().replace(&dir, "")).collect();
    (lines, findings.join("\n"))
}

#[test]
fn columns_find_their_signals_by_path_by_element_and_by_name() {
    let csv = "ts,device,cells[1],cells[0],head.pressure,mode,x,flow\n\
               2026-01-01T00:00:01,p,4.1,4.2,3,off,7,12\n\
               2026-01-01T00:00:02,p,,4.2,,on,,99\n";
    let dir = folder(&[("a.csv", csv)]);
    let (lines, findings) = read(dir.path(), &fleet(&[PUMP], ""));
    let expected = [
        "00:00:00.999999 mark",
        "00:00:01 p flow.0=12 pressure.0=3 cells.0=4.2 cells.1=4.1 mode.0=Enum(1)",
        "00:00:01.999999 mark",
        "00:00:02 p flow.0=Bad(NotAvailable) cells.0=4.2 mode.0=Enum(0)",
        "00:00:02 mark",
    ];
    assert_eq!(lines, expected);
    let expected = "note: 1 devices are not in the registry: p (line 2)\n\
                    note: 1 values cannot be used and are taken as unknown: a.csv:3: flow is not_available\n\
                    note: 1 columns hold no signal of the model: x (a.csv)";
    assert_eq!(findings, expected);
}

#[test]
fn what_is_out_of_order_is_sorted_and_files_are_merged_by_time() {
    let dir = folder(&[
        ("b.csv", "ts,device,flow\n2026-01-01T00:00:09,b,1\n2026-01-01T00:00:03,b,2\n2026-01-01T00:00:03,b,3\n"),
        ("a.csv", "ts,device,flow\n2026-01-01T00:00:01,a,4\n2026-01-01T00:00:03,a,5\n"),
        ("truth.csv", "device,fault\na,x\n"),
    ]);
    let (lines, findings) = read(dir.path(), &fleet(&[PUMP], "id,model,kind\na,pump,pump\nb,pump,pump\n"));
    let messages: Vec<&String> = lines.iter().filter(|line| !line.ends_with("mark")).collect();
    let expected = [
        "00:00:01 a flow.0=4",
        "00:00:03 a flow.0=5",
        "00:00:03 b flow.0=2",
        "00:00:03 b flow.0=3",
        "00:00:09 b flow.0=1",
    ];
    assert_eq!(messages, expected);
    assert!(findings.contains("1 files are left out, having no columns 'ts' and 'device': truth.csv"), "{findings}");
}

#[test]
fn the_clock_is_marked_once_a_second_at_most_and_ends_with_the_last_message() {
    let row = |ms: u32| format!("2026-01-01T00:00:{:02}.{:03},a,1\n", ms / 1000, ms % 1000);
    let rows: String = [0, 400, 800, 1200, 1600, 9000, 9000, 9100].map(row).concat();
    let dir = folder(&[("a.csv", &format!("ts,device,flow\n{rows}"))]);
    let (lines, _) = read(dir.path(), &fleet(&[PUMP], ""));
    let marks: Vec<&str> = lines.iter().filter_map(|line| line.strip_suffix(" mark")).collect();
    assert_eq!(marks, ["2025-12-31T23:59:59.999999", "00:00:01.199999", "00:00:08.999999", "00:00:09.1"]);
}

#[test]
fn the_registry_says_what_a_device_is_and_an_option_what_the_others_are() {
    let dir = folder(&[("a.csv", "ts,device,flow,rpm\n2026-01-01T00:00:00,a,1,2\n2026-01-01T00:00:00,b,1,2\n")]);
    let mut fleet = fleet(&[PUMP, FAN], "id,model,kind\na,fan,fan\n");
    let (lines, findings) = read(dir.path(), &fleet);
    assert_eq!(lines[1..2], ["00:00:00 a speed.0=2"]);
    assert!(findings.contains("1 rows are of devices whose model is not known: a.csv:3: b"), "{findings}");
    fleet.model = Some(0);
    let (lines, _) = read(dir.path(), &fleet);
    assert_eq!(lines[1..3], ["00:00:00 a speed.0=2", "00:00:00 b flow.0=1"]);
}

#[test]
fn bad_lines_are_passed_over_counted_and_named() {
    let bad = "yesterday,a,1\n2026-01-01T00:00:01,a\n2026-01-01T00:00:01,a/b,1\n2026-01-01T00:00:01,,1\n";
    let text = format!("ts,device,flow\n2026-01-01T00:00:00,a,1\n{bad}2026-01-01T00:00:02,a,2\n");
    let dir = folder(&[("a.csv", &text)]);
    let (lines, findings) = read(dir.path(), &fleet(&[PUMP], ""));
    assert_eq!(lines.iter().filter(|line| line.contains(" a ")).count(), 2);
    let warning = findings.lines().find(|line| line.starts_with("warning: 4 lines cannot be used")).unwrap();
    assert!(warning.contains("a.csv:3: ts 'yesterday'") && warning.ends_with("; and 1 more"), "{warning}");
}

#[test]
fn json_lines_come_as_they_were_published() {
    let text = "{\"at\":\"2026-01-01T00:00:00Z\",\"topic\":\"plant/p/state\",\"payload\":{\"flow\":1}}\n\
                {\"at\":\"2026-01-01T00:00:00Z\",\"topic\":\"plant/p/cmd\",\"payload\":{}}\n";
    let dir = folder(&[("a.jsonl", text)]);
    let (lines, findings) = read(dir.path(), &fleet(&[PUMP], ""));
    assert_eq!(lines[1..2], ["00:00:00 p {\"flow\":1}"]);
    assert_eq!(findings, "warning: 1 messages are on topics of no model: line 2: plant/p/cmd");
}

#[test]
fn the_journal_of_a_daemon_is_read_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = Writer::open(&dir.path().join("journal"), Options::default()).unwrap();
    let at = |s: i64| At::from_secs(1_767_225_600 + s);
    let mut put = |entry: runtime::Entry<'_>| {
        let mut frame = Vec::new();
        entry.encode(&mut frame);
        writer.append(at(0), &frame).unwrap();
        writer.commit().unwrap();
    };
    put(runtime::Entry::Clock { at: at(1) });
    let payload = b"{\"flow\":1}";
    put(runtime::Entry::Message { received_at: at(2), retained: true, topic: "plant/p/state", payload });
    put(runtime::Entry::Message { received_at: at(3), retained: false, topic: "plant/p/reply", payload });
    let (lines, findings) = read(dir.path(), &fleet(&[PUMP], ""));
    assert_eq!(lines, ["00:00:01 mark", "00:00:02 p {\"flow\":1}"]);
    assert_eq!(findings, "note: 1 messages are on topics of no model: record 3: plant/p/reply");
    drop(writer);
}

#[test]
fn what_is_no_recording_is_refused() {
    let dir = folder(&[("empty.csv", "ts,device,flow\n"), ("labels.csv", "device,fault\n")]);
    let open = |name: &str| Recording::open(&dir.path().join(name), fleet(&[PUMP], "")).unwrap_err().to_string();
    assert!(open("empty.csv").ends_with("empty.csv holds no message"));
    assert!(open("labels.csv").contains("labels.csv:1: no column 'ts'"));
    assert!(open("absent.csv").starts_with("cannot read "));
}

#[test]
fn findings_of_two_readers_are_the_same_in_any_order() {
    let finding = |places: &[u64]| {
        let mut findings = Findings::default();
        for place in places {
            findings.add(Weight::Note, "are odd", *place, || format!("line {place}"));
        }
        findings
    };
    let (a, b) = (finding(&[1, 4, 9, 11]), finding(&[2, 3]));
    let (mut ab, mut ba) = (a.clone(), b.clone());
    ab.merge(&b);
    ba.merge(&a);
    assert_eq!(ab, ba);
    assert_eq!(ab.list()[0].to_string(), "note: 6 are odd: line 1; line 2; line 3; and 3 more");
}
