"""Writes fixtures.jsonl, story.jsonl and plant.pb: payloads made by other people's encoders, and what they mean.

    python3 -m venv v && v/bin/pip install cbor2==6.2.1 msgpack==1.2.4 cbor==1.0.0 senml==0.1.0 \
        pysparkplug==0.6.1 protobuf==7.36.2 zstandard==0.25.0
    v/bin/python tests/oracles/make.py

Each line: `by`, the encoder and its version; `decoder`, the format as a model names it; `payload`, hexadecimal; and what
it means, by another way: `same`, the document as JSON; `said`, for SenML what the library itself resolves; for Sparkplug
the topic, and the values that went in.

A line of story.jsonl is a message of a small fleet, in the order in which it is published: `act` says in which part of the
story, `topic` and `payload` what. Of every format there is one device that gets too fast and one that does not quite.
"""

import datetime
import gzip
import json
import pathlib
import random
import zlib
from importlib.metadata import version

import cbor2
import msgpack
import pysparkplug as sp
import zstandard
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from senml import senml

HERE = pathlib.Path(__file__).parent
R = random.Random(20260101)
LINES = []


def put(package, decoder, payload, **means):
    LINES.append({"by": f"{package} {version(package)}", "decoder": decoder, "payload": payload.hex(), **means})


def real(low, high):
    """Exact in few digits, so that no reader of JSON can round it."""
    return R.randint(low * 64, high * 64) / 64


def leaf():
    return R.choice([
        lambda: None,
        lambda: R.random() < 0.5,
        lambda: R.randint(-2000, 2000),
        lambda: R.choice([0, 1, 23, 24, 255, 256, 65535, 65536, 2**32, 2**53, 2**63 - 1, -(2**63), 2**64 - 1]),
        lambda: real(-10_000, 10_000),
        lambda: R.choice([0.5, 1.5, 100.0, -0.25, 65504.0]),
        lambda: R.choice(["x", "y", "é", "12.5", " 3 ", "ON", "idle", "run", "z" * 300]),
    ])()


def tree(depth):
    kind = R.random()
    if depth == 0 or kind < 0.45:
        return leaf()
    if kind < 0.7:
        return [tree(depth - 1) for _ in range(R.choice([0, 1, 3, 5, 20]))]
    return {key: tree(depth - 1) for key in R.sample(["a", "b", "1", "x", "deep", "é"], R.randint(0, 4))}


def document():
    keys = ["speed", "o", "list", "cells", "on", "mode", "note", "ts", "other"]
    doc = {key: tree(3) for key in R.sample(keys, R.randint(0, len(keys)))}
    if R.random() < 0.7:
        doc["ts"] = R.randint(0, 2**41)
    if R.random() < 0.5:
        doc["o"] = {"1": {"x": real(-10, 10)}}
    return doc


def integers(value):
    """The same with integer keys where a key is digits."""
    if isinstance(value, dict):
        return {int(k) if k.isdigit() else k: integers(v) for k, v in value.items()}
    return [integers(v) for v in value] if isinstance(value, list) else value


def documents():
    for i in range(30):
        doc = document()
        put("cbor2", "cbor", cbor2.dumps(integers(doc), canonical=i % 2 == 0), same=doc)
        put("msgpack", "msgpack", msgpack.packb(integers(doc), use_single_float=False), same=doc)
        if i < 5:
            plain = json.dumps(doc).encode()
            put("cbor2", "json gzip", gzip.compress(plain, mtime=0), same=doc)
            put("cbor2", "json zlib", zlib.compress(plain), same=doc)
    at = datetime.datetime(2026, 1, 2, 3, 4, 5, 250000, tzinfo=datetime.timezone.utc)
    same = {"ts": int(at.timestamp() * 1000), "speed": 5}
    put("cbor2", "cbor", cbor2.dumps({"ts": at, "speed": 5}), same=same)
    put("cbor2", "cbor", cbor2.dumps({"ts": at, "speed": 5}, datetime_as_timestamp=True), same=same)
    put("msgpack", "msgpack", msgpack.packb({"ts": at, "speed": 5}, datetime=True), same=same)


def packs():
    for i in range(20):
        start, records = R.randint(1_600_000_000, 1_700_000_000), []
        for n in range(R.randint(1, 8)):
            record = {"n": R.choice(["temp", "hum"]), "v": real(-40, 100), "t": n * 10}
            if n == 0 or R.random() < 0.2:
                record |= {"bn": R.choice(["urn:dev:1:", "urn:dev:2:"]), "bt": start, "bv": float(R.randint(0, 3))}
            records.append(record)
        doc, base, said = senml.SenMLDocument.from_json(records), senml.SenMLMeasurement(), []
        for record in records:
            # The library keeps one base a document; a record that brings another begins a new one.
            if "bn" in record:
                base = senml.SenMLMeasurement.base_from_json(record)
            one = senml.SenMLMeasurement.from_json(record).to_absolute(base)
            said.append([one.name, int(one.time * 1000), one.value])
        labels = {"bn": -2, "bt": -3, "bv": -5, "n": 0, "v": 2, "t": 6}
        numbered = [{labels[k]: v for k, v in record.items()} for record in records]
        assert len(doc.measurements) == len(records)
        put("senml", "senml-json", json.dumps(records).encode(), said=said)
        put("cbor", "senml-cbor", __import__("cbor").dumps(numbered), said=said)


TYPES = [
    ("INT8", lambda: R.randint(-128, 127)), ("INT16", lambda: R.randint(-(2**15), 2**15 - 1)),
    ("INT32", lambda: R.randint(-(2**31), 2**31 - 1)), ("INT64", lambda: R.randint(-(2**53), 2**53)),
    ("UINT8", lambda: R.randint(0, 255)), ("UINT16", lambda: R.randint(0, 65535)),
    ("UINT32", lambda: R.randint(0, 2**32 - 1)), ("UINT64", lambda: R.randint(0, 2**53)),
    ("FLOAT", lambda: R.randint(-1000, 1000) / 8), ("DOUBLE", lambda: real(-10**6, 10**6)),
    ("BOOLEAN", lambda: R.random() < 0.5), ("STRING", lambda: R.choice(["", "x", "é"])),
    ("TEXT", lambda: "text"), ("UUID", lambda: "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
]
ARRAYS = ["INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FLOAT", "DOUBLE", "BOOLEAN"]


def metric(kind, value, at, name=None, alias=None, **more):
    return sp.Metric(timestamp=at, name=name, datatype=sp.DataType[kind], value=value, alias=alias, **more)


def sparkplug():
    """A node and a device: births with names and aliases, data with aliases and without types."""
    at, seq, by = 1_700_000_000_000, 0, "pysparkplug"
    made = dict(TYPES)
    node = [metric("UINT64", 7, at, "bdSeq"), metric("DOUBLE", 1.5, at, "Load", 1)]
    put(by, "sparkplug", sp.NBirth(timestamp=at, seq=seq, metrics=tuple(node)).encode(),
        topic="spBv1.0/g/NBIRTH/n", device="g/n", at=at, values={"Load": 1.5})
    names = [(f"T/{kind}", kind) for kind, _ in TYPES] + [(f"A/{kind}", f"{kind}_ARRAY") for kind in ARRAYS]
    names += [("A/STRING", "STRING_ARRAY")]

    def value(kind):
        if kind == "STRING_ARRAY":
            return [R.choice(["", "x", "é"]) for _ in range(3)]
        if kind.endswith("_ARRAY"):
            return [made[kind.removesuffix("_ARRAY")]() for _ in range(R.choice([1, 3, 9]))]
        return made[kind]()

    for turn in range(6):
        seq, at = seq + 1, at + 1000
        values = {name: value(kind) for name, kind in names}
        birth = turn == 0
        metrics = tuple(
            metric(kind, values[name], at, name if birth else None, 100 + i) for i, (name, kind) in enumerate(names)
        )
        kind = sp.DBirth if birth else sp.DData
        put(by, "sparkplug", kind(timestamp=at, seq=seq, metrics=metrics).encode(),
            topic=f"spBv1.0/g/{'DBIRTH' if birth else 'DDATA'}/n/d", device="g/n/d", at=at, values=values)
    for more, means in [({"is_historical": True}, 3.5), ({"is_null": True}, None)]:
        seq, at = seq + 1, at + 1000
        one = (metric("DOUBLE", 3.5, at - 500, None, 1, **more),)
        put(by, "sparkplug", sp.NData(timestamp=at, seq=seq, metrics=one).encode(), topic="spBv1.0/g/NDATA/n",
            device="g/n", at=at - 500, values={"Load": means}, historical="is_historical" in more)
    seq += 1
    put(by, "sparkplug", sp.DDeath(timestamp=at, seq=seq).encode(), topic="spBv1.0/g/DDEATH/n/d", device="g/n/d",
        at=None, values=None)
    old = sp.NDeath(timestamp=at, bd_seq_metric=metric("UINT64", 6, at, "bdSeq")).encode()
    put(by, "sparkplug", old, topic="spBv1.0/g/NDEATH/n", device=None, at=None, values=None)
    will = sp.NDeath(timestamp=at, bd_seq_metric=metric("UINT64", 7, at, "bdSeq")).encode()
    put(by, "sparkplug", will, topic="spBv1.0/g/NDEATH/n", device="g/n", at=None, values=None)


def protobuf():
    """plant.Press, as its .proto would say it."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="plant.proto", package="plant", syntax="proto3")
    mode = file.enum_type.add(name="Mode")
    for number, name in enumerate(["idle", "run"]):
        mode.value.add(name=name, number=number)
    inner = file.message_type.add(name="Inner")
    inner.field.add(name="x", number=1, type=field.TYPE_DOUBLE, label=field.LABEL_OPTIONAL)
    press = file.message_type.add(name="Press")
    entry = press.nested_type.add(name="OEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=field.TYPE_MESSAGE, type_name=".plant.Inner", label=field.LABEL_OPTIONAL)

    def add(name, number, kind, label=field.LABEL_OPTIONAL, type_name=None, optional=False):
        added = press.field.add(name=name, number=number, type=kind, label=label, type_name=type_name)
        if optional:
            added.proto3_optional = True
            added.oneof_index = len(press.oneof_decl)
            press.oneof_decl.add(name=f"_{name}")

    add("ts", 1, field.TYPE_INT64)
    add("speed", 2, field.TYPE_FLOAT)
    add("o", 3, field.TYPE_MESSAGE, field.LABEL_REPEATED, ".plant.Press.OEntry")
    add("list", 4, field.TYPE_SINT32, field.LABEL_REPEATED)
    add("cells", 5, field.TYPE_DOUBLE, field.LABEL_REPEATED)
    add("on", 6, field.TYPE_BOOL, optional=True)
    add("mode", 7, field.TYPE_ENUM, type_name=".plant.Mode")
    add("note", 8, field.TYPE_STRING, optional=True)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    (HERE / "plant.pb").write_bytes(descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString())
    press = message_factory.GetMessageClass(pool.FindMessageTypeByName("plant.Press"))
    for i in range(20):
        m = press(ts=R.randint(1, 2**41), speed=R.choice([0, 1.5, 301]), mode=R.choice([0, 1]))
        m.list.extend(R.randint(-5, 5) for _ in range(R.choice([0, 2, 4])))
        m.cells.extend(real(0, 5) for _ in range(R.choice([0, 3])))
        same = {"ts": m.ts, "speed": m.speed, "mode": ["idle", "run"][m.mode], "list": list(m.list), "cells": list(m.cells)}
        if i % 2:
            m.on, same["on"] = i % 4 == 1, i % 4 == 1
            m.note, same["note"] = "", ""
        if i % 3:
            m.o[1].x = i / 4
            same["o"] = {"1": {"x": i / 4}}
        put("protobuf", "protobuf", m.SerializeToString(deterministic=True), same=same)
    put("protobuf", "protobuf", b"", same={"ts": 0, "speed": 0, "mode": "idle", "list": [], "cells": []})


def press():
    """The class of plant.Press, out of the descriptor set."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString((HERE / "plant.pb").read_bytes()).file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("plant.Press"))


STORY = []
BEGIN = 1_750_000_000_000  # every device time of the story is after this; none is in the future


def tell(act, topic, payload):
    STORY.append({"act": act, "topic": topic, "payload": payload.hex()})


def story():
    """Two records over 80 in a row make a device too fast. `first` is published, the process dies, and `second` follows;
    what stands in `second` and was told in `first` has been delivered twice."""
    plain = lambda r: json.dumps(r).encode()
    message = press()
    pack = lambda r: [{"bn": "press/", "bt": r["ts"] / 1000, "n": "speed", "v": float(r["speed"])}]
    labels = {"bn": -2, "bt": -3, "n": 0, "v": 2}
    encoders = {
        "json": plain,
        "gzip": lambda r: gzip.compress(plain(r), mtime=0),
        "zlib": lambda r: zlib.compress(plain(r)),
        "zstd": lambda r: zstandard.ZstdCompressor().compress(plain(r)),
        "cbor": cbor2.dumps,
        "msgpack": msgpack.packb,
        "protobuf": lambda r: message(ts=r["ts"], speed=r["speed"]).SerializeToString(),
        "senml-json": lambda r: json.dumps(pack(r)).encode(),
        "senml-cbor": lambda r: cbor2.dumps([{labels[k]: v for k, v in one.items()} for one in pack(r)]),
    }
    record = lambda second, speed: {"ts": BEGIN + second * 1000, "speed": speed}
    for name, encode in encoders.items():
        fast, calm = f"plant/{name}/{name}-fast", f"plant/{name}/{name}-calm"
        for topic in (fast, calm):
            tell("first", topic, encode(record(0, 20)))
            tell("first", topic, encode(record(10, 90)))
        tell("second", fast, encode(record(20, 91)))
        for topic in (fast, calm):
            tell("second", topic, encode(record(10, 90)))
        tell("second", calm, encode(record(20, 30)))
    batch = lambda *records: json.dumps([{"ts": r["ts"], "values": {"speed": r["speed"]}} for r in records]).encode()
    for name in ("fast", "calm"):
        tell("first", f"plant/batch/batch-{name}", batch(record(0, 20), record(10, 90)))
    tell("second", "plant/batch/batch-fast", batch(record(10, 90), record(20, 91)))
    tell("second", "plant/batch/batch-calm", batch(record(0, 20), record(10, 90)))
    # Without a time of its own each message counts.
    for name, fast, calm in [
        ("scalar", "esp/scalar-fast/sensor/speed/state", "esp/scalar-calm/sensor/speed/state"),
        ("homie", "homie/homie-fast/motor/speed", "homie/homie-calm/motor/speed"),
    ]:
        for topic in (fast, calm):
            tell("first", topic, b"20")
            tell("first", topic, b"90.5")
        tell("second", fast, b"91")
        tell("second", calm, b"30")
    tell("first", "homie/homie-fast/$state", b"ready")
    nodes()


def nodes():
    """Node n with its devices fast and calm; node late, whose birth nobody heard."""
    at = BEGIN
    speed = lambda value, alias, name=None, **more: metric("DOUBLE", value, at, name, alias, **more)
    session = lambda number: metric("UINT64", number, at, "bdSeq")
    data = lambda kind, seq, *metrics: kind(timestamp=at, seq=seq, metrics=metrics).encode()
    base = "spBv1.0/plant"
    tell("first", f"{base}/NBIRTH/n", data(sp.NBirth, 0, session(7), speed(20.0, 1, "Speed")))
    for seq, name in [(1, "fast"), (2, "calm")]:
        at += 1000
        tell("first", f"{base}/DBIRTH/n/{name}", data(sp.DBirth, seq, speed(20.0, 1 + seq, "Speed")))
    for seq, name in [(3, "fast"), (4, "calm")]:
        at += 1000
        again = data(sp.DData, seq, speed(90.0, seq - 1))
        tell("first", f"{base}/DDATA/n/{name}", again)
    tell("second", f"{base}/DDATA/n/calm", again)
    for seq, name, value in [(5, "fast", 91.0), (6, "calm", 30.0)]:
        at += 1000
        tell("second", f"{base}/DDATA/n/{name}", data(sp.DData, seq, speed(value, seq - 3)))
    # What was measured long ago moves nobody today.
    old = [speed(200.0, 1, is_historical=True), speed(201.0, 1, is_historical=True)]
    for seq, metric_ in enumerate(old, 7):
        at += 1000
        tell("second", f"{base}/NDATA/n", data(sp.NData, seq, metric_))
    for number in (6, 7):
        will = sp.NDeath(timestamp=at, bd_seq_metric=session(number)).encode()
        tell("old will" if number == 6 else "will", f"{base}/NDEATH/n", will)
    for node in ("mute", "late"):
        for seq in (4, 5, 6):
            at += 1000
            tell(node, f"{base}/NDATA/{node}", data(sp.NData, seq, speed(99.0, 1)))
    tell("born", f"{base}/NBIRTH/late", data(sp.NBirth, 0, session(1), speed(20.0, 1, "Speed")))
    for seq in (1, 2):
        at += 1000
        tell("born", f"{base}/NDATA/late", data(sp.NData, seq, speed(98.0 + seq, 1)))


def write(name, lines):
    (HERE / name).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


documents()
packs()
sparkplug()
protobuf()
write("fixtures.jsonl", LINES)
story()
write("story.jsonl", STORY)
