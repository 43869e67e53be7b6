#!/usr/bin/env python3
"""Chooses the limits of the rule on one half of the series and judges them on the other: held_out.py DATA FOREWARN

DATA has score.py and nab-dev/; FOREWARN is the program. Before that every series gets another name, scale, offset and
time, so that no constant of the recording can help. Each half is chosen on once and judged once.
"""
import concurrent.futures as futures
import csv, datetime, gzip, itertools, json, os, pathlib, random, shutil, subprocess, sys, tempfile

data, forewarn = map(os.path.abspath, sys.argv[1:])
here = pathlib.Path(__file__).resolve().parent
work = pathlib.Path(tempfile.mkdtemp())
R = random.Random(20260101)


def rows(name):
    path = f"{data}/nab-dev/{name}"
    return list(csv.DictReader(gzip.open(path, "rt", newline="") if name.endswith("gz") else open(path, newline="")))


# The recording in disguise.
telemetry, truth = rows("telemetry.csv.gz"), rows("truth.csv")
names = sorted({row["device"] for row in telemetry})
R.shuffle(names)
disguise = {n: (f"plant.{i:02}", R.choice([1e-3, 0.7, 37.0, 1e4]), R.uniform(-500, 500)) for i, n in enumerate(names)}
later = lambda ts: (datetime.datetime.fromisoformat(ts) + datetime.timedelta(days=400)).isoformat()
os.makedirs(work / "all")
with gzip.open(work / "all/telemetry.csv.gz", "wt", newline="") as out:
    print("ts,device,value", file=out)
    for row in telemetry:
        name, scale, offset = disguise[row["device"]]
        print(f"{later(row['ts'])},{name},{float(row['value']) * scale + offset!r}", file=out)
with open(work / "all/truth.csv", "w", newline="") as out:
    print("device,failure,end", file=out)
    for row in truth:
        print(f"{disguise[row['device']][0]},{later(row['failure'])},{later(row['end'])}", file=out)
ids = [disguise[n][0].replace(".", "/") + ".csv" for n in names]
halves = [work / "a.txt", work / "b.txt"]
for path, half in zip(halves, (ids[::2], ids[1::2])):
    path.write_text("\n".join(half))


def scores(limits):
    """The standard score of each half with these limits."""
    day, wild, week = limits
    dir = work / f"{day}-{wild}-{week}"
    shutil.copytree(here, dir / "series")
    rule = dir / "series/rules/series.toml"
    text = rule.read_text()
    when = f'when = "off_day > max({day}, {wild} * (wild ?? 0)) || off_week > {week}"'
    assert text.count('when = "off_day') == 1
    rule.write_text("\n".join(when if line.startswith("when") else line for line in text.split("\n")))
    run = lambda *command: subprocess.run(command, check=True, capture_output=True, text=True).stdout
    config = str(dir / "series/forewarn.toml")
    run(forewarn, "backtest", "--config", config, "--data", f"{work}/all/telemetry.csv.gz", "--alerts", f"{dir}/alerts.jsonl")
    run(sys.executable, here / "nab.py", f"{work}/all", f"{dir}/alerts.jsonl", f"{dir}/nab")
    judge = ["nab", "--corpus", f"{dir}/nab/corpus", "--results", f"{dir}/nab/results", "--threshold", "0.5", "--files"]
    found = [json.loads(run(sys.executable, f"{data}/score.py", *judge, str(half))) for half in halves]
    return limits, [half["standard"]["score"] for half in found]


grid = list(itertools.product((4, 5), (4,), (6, 7, 8)))
with futures.ThreadPoolExecutor(2) as pool:
    table = dict(pool.map(scores, grid))
for chosen, judged in ((0, 1), (1, 0)):
    best = max(grid, key=lambda limits: table[limits][chosen])
    print(f"chosen on half {chosen + 1}: {best} with {table[best][chosen]:.1f}; on the other half {table[best][judged]:.1f}")
print("shipped: {:.1f} and {:.1f}".format(*table[(5, 4, 7)]))
print("all {}: mean {:.1f} and {:.1f}".format(len(grid), *(sum(t[i] for t in table.values()) / len(grid) for i in (0, 1))))
shutil.rmtree(work)
