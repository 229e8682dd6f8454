"""The online service on loopback: training and answering one at a time and in batches, beside Jubatus' own core.

The client is one process with one connection, the server another. ``--original PYTHON`` names an interpreter with
the package embedded_jubatus (CPython 3.7; it needs jubatus and numpy as well): Jubatus' core, in that process and
without a network.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import psutil
from online_streams import Stream, numbers, texts
from tables import console, headline, recorded, show

from hogwild.online.driver import make_driver
from hogwild.online.methods import methods_of
from hogwild.online.wire import read_all

METHODS = ("perceptron", "PA", "PA1", "PA2", "CW", "AROW", "NHERD")
BATCH = 100
WINDOW = 4  # requests on their way at once

ORIGINAL = """
import json, sys, time
import embedded_jubatus
from jubatus.common import Datum
from jubatus.classifier.types import LabeledDatum
config, train, test = json.load(sys.stdin)
def datum(wire):
    d = Datum()
    d.string_values, d.num_values = [tuple(p) for p in wire[0]], [tuple(p) for p in wire[1]]
    return d
train = [LabeledDatum(label, datum(wire)) for label, wire in train]
data = [datum(wire) for _, wire in test]
out = {}
model = embedded_jubatus.Classifier(config)
began = time.perf_counter()
model.train(train)
out["train, batch"] = len(train) / (time.perf_counter() - began)
model = embedded_jubatus.Classifier(config)
began = time.perf_counter()
for one in train:
    model.train([one])
out["train, one"] = len(train) / (time.perf_counter() - began)
began = time.perf_counter()
found = model.classify(data)
out["classify, batch"] = len(data) / (time.perf_counter() - began)
right = sum(max(each, key=lambda e: e.score).label == label for each, (label, _) in zip(found, test))
out["accuracy"] = right / len(test)
print(json.dumps(out))
"""


def configuration(method: str, stream: Stream) -> dict[str, Any]:
    """The classifier that is measured."""
    parameter = {} if method in ("perceptron", "PA") else {"regularization_weight": 1.0}
    return {"method": method, "parameter": parameter, "converter": stream.converter}


class Client:
    """One connection; requests are packed before they are timed."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unpacker = msgpack.Unpacker(raw=False, unicode_errors="surrogateescape")

    def call(self, request: bytes) -> Any:
        """Send a request, wait for its answer."""
        self.socket.sendall(request)
        return self.answer()

    def answer(self) -> Any:
        """Return the next answer's result."""
        while True:
            for _, _, error, result in self.unpacker:
                if error is not None:
                    raise RuntimeError(f"{error}: {result}")
                return result
            data = self.socket.recv(1 << 18)
            if not data:
                raise ConnectionError("the server has closed the connection")
            self.unpacker.feed(data)

    def one_by_one(self, requests: list[bytes]) -> np.ndarray:
        """Seconds of each call."""
        times = np.empty(len(requests))
        for place, request in enumerate(requests):
            began = time.perf_counter()
            self.call(request)
            times[place] = time.perf_counter() - began
        return times

    def pipelined(self, requests: list[bytes]) -> list[Any]:
        """All results, with a few requests on their way at once."""
        results = []
        for place, request in enumerate(requests):
            self.socket.sendall(request)
            if place >= WINDOW:
                results.append(self.answer())
        results += [self.answer() for _ in range(min(WINDOW, len(requests)))]
        return results


def packed(method: str, *arguments: Any) -> bytes:
    """A request as clients of Jubatus send it."""
    return msgpack.packb([0, 0, method, ["", *arguments]], use_bin_type=False, unicode_errors="surrogateescape")


@contextmanager
def serving(settings: dict[str, Any], folder: Path, *options: str) -> Any:
    """A server in a process of its own: its port, the process, seconds until it answered and until it had learnt."""
    path = folder / "configuration.json"
    path.write_text(json.dumps(settings))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "hogwild.cli.main", "serve", "classifier", "-f", str(path), "-p", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "-d", str(folder), "-t", "0", *options], stdout=subprocess.DEVNULL)
    try:
        answers = _until_it_answers(port, process) - began
        client = Client(port)
        client.call(packed("train", [("a", ([], [("x", 1.0)], []))]))
        learns = time.perf_counter() - began
        client.call(packed("clear"))
        yield client, psutil.Process(process.pid), answers, learns
    finally:
        process.terminate()
        process.wait(30)


def _until_it_answers(port: int, process: subprocess.Popen) -> float:
    while process.poll() is None:
        try:
            client = Client(port)
            client.socket.sendall(packed("dummy"))
            client.socket.recv(100)
        except OSError:
            time.sleep(0.01)
        else:
            return time.perf_counter()
    raise RuntimeError(f"the server ended with status {process.returncode}")


def cpu(process: psutil.Process) -> float:
    """Processor seconds so far."""
    times = process.cpu_times()
    return times.user + times.system


def measured(stream: Stream, method: str, folder: Path, repeat: int, *options: str) -> dict[str, Any]:
    """One row of the table for the service."""
    train, test = ([(label, datum.wire()) for label, datum in part] for part in (stream.train, stream.test))
    single = [packed("train", [example]) for example in train]
    bulk = [packed("train", train[start : start + BATCH]) for start in range(0, len(train), BATCH)]
    asks = [packed("classify", [wire]) for _, wire in test]
    asks_bulk = [packed("classify", [wire for _, wire in test[i : i + BATCH]]) for i in range(0, len(test), BATCH)]
    with serving(configuration(method, stream), folder, *options) as (client, process, answers, learns):
        seconds = used = 0.0
        for _ in range(repeat):  # each pass begins with nothing, not even names
            client.call(packed("clear"))
            began, before = time.perf_counter(), cpu(process)
            client.pipelined(bulk)
            seconds, used = seconds + time.perf_counter() - began, used + cpu(process) - before
        client.call(packed("clear"))
        trained = client.one_by_one(single)
        asked = client.one_by_one(asks)
        began = time.perf_counter()
        for _ in range(repeat):
            results = [scores for each in client.pipelined(asks_bulk) for scores in each]
        answering = time.perf_counter() - began
    right = [max(s, key=lambda e: e[1])[0] == label for s, (label, _) in zip(results, test, strict=True)]
    n = repeat * len(train)
    return {
        "stream": stream.name,
        "method": method,
        "train, batch /s": n / seconds,
        "per CPU-s": n / max(used, 0.01),
        "train, one /s": len(train) / trained.sum(),
        "p50 ms": 1e3 * float(np.percentile(trained, 50)),
        "p99 ms": 1e3 * float(np.percentile(trained, 99)),
        "classify, batch /s": repeat * len(test) / answering,
        "classify, one /s": len(test) / asked.sum(),
        "p50 ms ": 1e3 * float(np.percentile(asked, 50)),
        "p99 ms ": 1e3 * float(np.percentile(asked, 99)),
        "accuracy": float(np.mean(right)),
        "answers after, s": answers,
        "learns after, s": learns,
    }


def in_process(stream: Stream, method: str, repeat: int) -> dict[str, Any]:
    """The learner without a service: what is left once the network and MessagePack are paid."""
    takes = methods_of("classifier")["train"].takes
    wire = [[(label, datum.wire()) for label, datum in stream.train]]
    driver = make_driver("classifier", configuration(method, stream))
    seconds = 0.0
    for _ in range(repeat):
        driver.parts.clear()
        began = time.perf_counter()
        driver.run("train", read_all(takes, wire))
        seconds += time.perf_counter() - began
    return {"method": method, "train, batch /s": repeat * len(stream.train) / seconds}


def original(python: Path, stream: Stream, method: str) -> dict[str, Any]:
    """The same examples through Jubatus' core, in a process of its own."""
    given = configuration(method, stream), *([(y, d.wire()) for y, d in part] for part in (stream.train, stream.test))
    done = subprocess.run([python, "-c", ORIGINAL], input=json.dumps(given), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@recorded
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", type=Path, help="an interpreter that has embedded_jubatus")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument(
        "--repeat", type=int, default=100, help="thousands of examples in batches, in passes that begin anew"
    )
    parser.add_argument("--small", action="store_true", help="digits alone, once")
    options = parser.parse_args()
    streams = [numbers("digits")] if options.small else [numbers("digits"), texts()]
    repeat = 1 if options.small else options.repeat
    rows, beside = [], []
    with tempfile.TemporaryDirectory() as folder:
        for stream in streams:
            for method in options.methods if stream.name == "digits" else ("AROW",):
                times = max(1, repeat * 1_000 // len(stream.train))
                rows.append(measured(stream, method, Path(folder), times))
                alone = in_process(stream, method, times)["train, batch /s"]
                row = {"stream": stream.name, "method": method, "service": rows[-1]["train, batch /s"], "core": alone}
                if options.original:
                    core = original(options.original, stream, method)
                    row |= {"Jubatus' core": core["train, batch"], "its accuracy": core["accuracy"]}
                    row["service / Jubatus' core"] = row["service"] / core["train, batch"]
                beside.append(row)
                console.print(f"{stream.name}, {method}: {rows[-1]['train, batch /s']:,.0f} examples/s")
        show(f"one connection on loopback, batches of {BATCH}", [_but(row, "answers", "learns") for row in rows])
        show("start", [{key: row[key] for key in ("method", "answers after, s", "learns after, s")} for row in rows])
        for row in beside if options.original else []:
            if row["method"] in ("AROW", "PA"):
                task = f"online, {row['stream']}, {row['method']}, in batches"
                headline(
                    task, "Jubatus' core", row["Jubatus' core"], {"over the network": row["service"]}, "examples/s"
                )
        show("learning in batches, examples/s: over the network, in process", beside)


def _but(row: dict[str, Any], *starts: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not key.startswith(starts)}


if __name__ == "__main__":
    main()
