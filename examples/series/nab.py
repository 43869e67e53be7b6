#!/usr/bin/env python3
"""Lays out a recording and its alerts as `score.py nab` reads them: nab.py RECORDING_DIR ALERTS.jsonl OUT_DIR

RECORDING_DIR has telemetry.csv.gz (ts,device,value) and truth.csv (…,device,…,failure,end: a window). A device is called
group.file. OUT_DIR gets corpus/ (data, labels) and results/ with anomaly_score 1 at each alert and 0 elsewhere.
"""
import collections, csv, gzip, json, os, sys


def write(path, header, rows):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", newline="") as out:
        csv.writer(out).writerows([header, *rows])


recording, alerts, out = sys.argv[1:]
plain = lambda ts: ts.rstrip("Z").split(".")[0]
fired = {(a["device"], plain(a["ts"])) for a in map(json.loads, open(alerts))}
series = collections.defaultdict(list)
for row in csv.DictReader(gzip.open(recording + "/telemetry.csv.gz", "rt", newline="")):
    series[row["device"]].append((row["ts"], row["value"]))
name = lambda device: device.replace(".", "/", 1) + ".csv"
windows = {name(device): [] for device in series}
for row in csv.DictReader(open(recording + "/truth.csv", newline="")):
    windows[name(row["device"])].append((plain(row["failure"]), plain(row["end"])))
for device, values in series.items():
    write(f"{out}/corpus/data/{name(device)}", ("timestamp", "value"), values)
    scores = [(ts, value, int((device, plain(ts)) in fired)) for ts, value in values]
    write(f"{out}/results/{name(device)}", ("timestamp", "value", "anomaly_score"), scores)
os.makedirs(out + "/corpus/labels", exist_ok=True)
json.dump(windows, open(out + "/corpus/labels/combined_windows.json", "w"), indent=1)
