"""A server that is killed at random instants under load: all that it acknowledged is there again, and in its order.

One connection sends numbered examples, many calls at a time; the server takes them in that order. So what it has learnt
must be the first k examples, k between those acknowledged and those sent: exactly the model that a twin in this process
learns from them.
"""

from __future__ import annotations

import json
import os
import random
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections import deque

import msgpack
import numpy as np
import pytest

from hogwild.online.driver import make_driver
from hogwild.online.methods import TYPES
from hogwild.online.storage.files import read_model
from hogwild.online.wire import read_all

pytestmark = pytest.mark.slow
PATIENCE = 60  # seconds that a server may take to start or to answer, on a machine with other things to do
IN_FLIGHT = 64  # calls


RULES = {
    "string_rules": [{"key": "*", "type": "space", "sample_weight": "tf", "global_weight": "idf"}],
    "num_rules": [{"key": "*", "type": "num"}],
}
CONFIGURATIONS = {
    "classifier": {"method": "AROW", "parameter": {"regularization_weight": 1.0}, "converter": RULES},
    "stat": {"window_size": 100},
}


class Classifier:
    kind = "classifier"

    @staticmethod
    def call(first):
        """A call, and how many examples it is; their numbers begin with `first`."""
        count = 1 + first * 7 % 23 if first % 3 == 0 else 1
        return ["train", [[Classifier.example(number) for number in range(first, first + count)]]], count

    @staticmethod
    def example(number):
        chance = random.Random(number)
        words = " ".join(f"w{min(int(chance.expovariate(0.1)), 60)}" for _ in range(6))
        return [chance.choice("abc"), [[["t", words]], [["n", chance.gauss(0, 1)]], []]]

    @staticmethod
    def learnt(ask):
        """How many examples the server has learnt."""
        return sum(ask("get_labels").values())

    @staticmethod
    def teach(driver, numbers):
        if numbers:
            arguments = [[Classifier.example(number) for number in numbers]]
            driver.run("train", read_all(TYPES["classifier"]["train"].takes, arguments))


class Stat:
    kind = "stat"

    @staticmethod
    def call(first):
        return ["push", ["x", float(first)]], 1

    @staticmethod
    def learnt(ask):
        (status,) = ask("get_status").values()
        return int(ask("max", "x")) + 1 if int(status["stat.keys"]) else 0

    @staticmethod
    def teach(driver, numbers):
        for number in numbers:
            driver.run("push", ["x", float(number)])


class Server:
    """A server in a process of its own."""

    def __init__(self, kind, folder, fsync):
        command = [sys.executable, "-m", "hogwild.cli.serving", kind, "-p", "0", "-f", folder / "configuration"]
        command += ["-d", folder, "--log", folder / "log", "--fsync", fsync, "--autosave", "0.2s"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._told = ""

    def port(self):
        """Wait until it is ready."""
        deadline = time.monotonic() + PATIENCE
        while not (found := re.search(r"is ready at \S+:(\d+)\n", self._told)):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            more = os.read(self.process.stdout.fileno(), 4096).decode() if readable else ""
            assert more, f"the server has ended or hangs, after: {self._told!r}"
            self._told += more
        return int(found[1])

    def kill(self):
        self.process.kill()

    def gone(self):
        self.kill()
        self.process.stdout.close()
        return self.process.wait(PATIENCE)


class Client:
    """Sends calls without waiting for answers."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._unpacker = msgpack.Unpacker(raw=False)

    def close(self):
        self._socket.close()

    def ask(self, method, *arguments):
        self._send(method, arguments)
        ((_, _, error, result),) = self._answers()
        assert error is None, error
        return result

    def load(self, workload, sent, acknowledged):
        """Send examples from number `sent` on until the server is gone; return numbers sent and acknowledged."""
        waiting = deque()
        try:
            while True:
                while len(waiting) < IN_FLIGHT:
                    (method, arguments), count = workload.call(sent)
                    sent += count
                    waiting.append(count)
                    self._send(method, arguments)
                for _, _, error, _ in self._answers():
                    assert error is None, error
                    acknowledged += waiting.popleft()
        except ConnectionError:
            return sent, acknowledged

    def _send(self, method, arguments):
        self._socket.sendall(msgpack.packb([0, 0, method, ["", *arguments]], use_bin_type=False))

    def _answers(self):
        """Wait for some answers; in their order, as updates are."""
        while True:
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            self._unpacker.feed(data)
            if answers := list(self._unpacker):
                return answers


def assert_same(states, twin):
    for name, state in twin.parts.state().items():
        assert state.about == states[name].about
        assert state.arrays.keys() == states[name].arrays.keys()
        for key, array in state.arrays.items():
            assert np.array_equal(array, states[name].arrays[key]), (name, key)


@pytest.mark.parametrize(("workload", "fsync"), [(Classifier, "always"), (Stat, "interval")])
def test_a_killed_server_knows_what_it_acknowledged(workload, fsync, tmp_path):
    chance = random.Random(7)
    configuration = CONFIGURATIONS[workload.kind]
    (tmp_path / "configuration").write_text(json.dumps(configuration))
    twin, taught = make_driver(workload.kind, configuration), 0
    sent = acknowledged = loaded = 0
    for kill in range(51):
        server = Server(workload.kind, tmp_path, fsync)
        try:
            if kill % 10 == 9:  # while it starts, and replays
                time.sleep(chance.uniform(0, 1))
                continue
            client = Client(server.port())
            learnt = workload.learnt(client.ask)
            assert acknowledged <= learnt <= sent
            workload.teach(twin, range(taught, learnt))
            (path,) = client.ask("save", "check").values()
            assert_same(read_model(path)[1], twin)
            os.unlink(path)
            taught = sent = acknowledged = learnt
            timer = threading.Timer(chance.uniform(0, 0.5), server.kill)
            timer.start()
            sent, acknowledged = client.load(workload, sent, acknowledged)
            timer.join()
            client.close()
            loaded += acknowledged > learnt
        finally:
            assert server.gone() == -9
    assert loaded > 30  # most were killed in the middle of it
    assert acknowledged > 1000 and list((tmp_path / "log").glob("*.safetensors"))
