"""`hogwild serve` and the `juba...` programs: started, asked, stopped, refused."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import msgpack
import pytest
from cli.lines import error, run

from hogwild.cli.serve_options import OPTIONS, seconds, settings_of, size
from hogwild.online.methods import TYPES
from hogwild.online.settings import ServeSettings

PATIENCE = 60.0
PROGRAM = [sys.executable, "-m", "hogwild.cli.serving"]
COMMAND = [sys.executable, "-m", "hogwild.cli.main", "serve"]


@pytest.fixture
def configuration(tmp_path):
    path = tmp_path / "stat.json"
    path.write_text('{"window_size":\r\n 128}')
    return path


@contextmanager
def started(*words, **options):
    """Start a server; give its process, and the port that it says it listens at."""
    process = subprocess.Popen(
        [str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    try:
        line = process.stdout.readline()
        assert " listens at 127.0.0.1:" in line, (line, process.communicate())
        yield process, int(line.rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


def call(port, method, *params):
    """Make a call as the oldest clients do; return error and result."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(msgpack.packb([0, 1, method, list(params)], use_bin_type=False))
        unpacker = msgpack.Unpacker(raw=False)
        while True:
            came = connection.recv(1 << 16)
            assert came, "closed without an answer"
            unpacker.feed(came)
            for _, _, refused, result in unpacker:
                return refused, result


@pytest.mark.parametrize("start", [PROGRAM, COMMAND], ids=["program", "command"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_answers_and_ends(configuration, start, how):
    words = ["stat", "-f", configuration, "-p", 0, "--thread", 100, "--datadir", ".", "--timeout", 0]
    with started(*start, *words, "--listen_addr", "127.0.0.1") as (process, port):
        assert call(port, "dummy") == (1, "dummy")
        assert call(port, "push", "", "k", 1.5) == (None, True)
        assert call(port, "push", "", "k", 1)[0] == 2
        assert call(port, "sum", "any", "k") == (None, 1.5)
        assert call(port, "get_config", "") == (None, '{"window_size":\r\n 128}')
        refused, status = call(port, "get_status", "")
        assert refused is None
        assert status[f"127.0.0.1_{port}"]["pid"] == str(process.pid)
        assert status[f"127.0.0.1_{port}"]["last_saved_path"] == ""
        process.send_signal(how)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, "")
        assert out == f"stat is ready at 127.0.0.1:{port}\n"


def test_programs_start_without_what_is_slow():
    slow = "numpy numba scipy sklearn typer rich msgspec fastapi kazoo"
    script = f"import sys, hogwild.cli.serving; print([m for m in {slow.split()} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"


def test_a_server_whose_words_nobody_reads_goes_on(configuration):
    with started(*PROGRAM, "stat", "-f", configuration, "-p", 0) as (_, port):
        for _ in range(2000):  # each is a line of log
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"\xc1")
        assert call(port, "push", "", "k", 1.0) == (None, True)


def test_messages_go_to_a_folder_if_one_is_named(configuration, tmp_path):
    with started(*PROGRAM, "stat", "-f", configuration, "-p", 0, "-l", tmp_path) as (process, port):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"\xc1")
            assert connection.recv(10) == b""
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE)[1] == ""
    (log,) = tmp_path.glob("*.log")
    assert "closed: no MessagePack" in log.read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"window_size": 0}', "`$.window_size` must be at least 1, found 0"),
        ('{"window_size": "x"}', "`$.window_size`"),
        ("{", "truncated"),
        ("[]", "object"),
    ],
)
@pytest.mark.parametrize("start", [PROGRAM, COMMAND], ids=["program", "command"])
def test_bad_configurations_are_refused(tmp_path, text, message, start):
    path = tmp_path / "bad.json"
    path.write_text(text)
    found = subprocess.run(
        [*start, "stat", "-f", str(path), "-p", "0"], capture_output=True, text=True, timeout=PATIENCE
    )
    assert found.returncode == 1
    assert found.stderr.startswith(f"error: {path}: ") and message in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_what_a_server_needs(tmp_path):
    missing = tmp_path / "none.json"
    assert error("serve", "stat", "-p", 0) == (
        "error: expected a configuration: a file (-f), or a group's in ZooKeeper (-z and -n)"
    )
    assert error("serve", "stat", "-p", 0, "-f", missing) == f"error: {missing}: no such file or directory"
    assert "needs a name" in error("serve", "stat", "-z", "127.0.0.1:1")
    assert "'clustering'" in error("serve", "clustering", status=2)
    assert "an integer from 0 to 65535" in error("serve", "stat", "-p", 70000, status=2)


def test_a_taken_port_is_told(configuration):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        message = f"error: cannot listen at 127.0.0.1:{port}: address already in use"
        hint = f"(server failed to start: any process using port {port}?)"  # jubakit's cue for another port
        assert error("serve", "stat", "-f", configuration, "-p", port) == f"{message} {hint}"


def test_types_that_are_not_served_say_so():
    with started(*PROGRAM, "clustering", "--configpath", "/nowhere", "-p", 0) as (process, port):
        for method in ("dummy", "get_status", "push"):
            refused, result = call(port, method, "")
            assert refused.startswith("'clustering' is not served; served are anomaly, classifier")
            assert result is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0


def test_programs_under_the_original_names(tmp_path, configuration):
    shown = run("aliases", "jubatus", "--into", tmp_path).stdout
    assert f"{tmp_path}/jubaclassifier: written, calls hogwild serve classifier" in shown
    names = {path.name for path in tmp_path.iterdir() if os.access(path, os.X_OK)}
    expected = {f"juba{kind}" for kind in TYPES} | {f"juba{kind}_proxy" for kind in TYPES}
    assert names == expected | {f"juba{kind}" for kind in ("bandit", "burst", "clustering", "graph")} | {
        "jubaconfig",
        "jubactl",
    }
    version = subprocess.run([tmp_path / "jubastat", "--version"], capture_output=True, text=True)
    assert version.stdout.startswith("jubastat (hogwild ")
    wrong = subprocess.run([tmp_path / "jubastat", "-p", "x"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "found 'x', expected an integer" in wrong.stderr
    with started(tmp_path / "jubastat", "--rpc-port", 0, "--configpath", configuration) as (_, port):
        assert call(port, "dummy") == (1, "dummy")


def test_options_and_settings_agree():
    default = settings_of("stat", {option.field: None for option in OPTIONS})
    assert default == ServeSettings("stat")
    words = {"limits.idle": 3.0, "service.wait": 4.0, "port": 5, "threads": 6}
    found = settings_of("stat", words)
    assert (found.limits.idle, found.service.wait, found.port) == (3.0, 4.0, 5)
    assert len({name for option in OPTIONS for name in option.names}) == sum(len(option.names) for option in OPTIONS)


@pytest.mark.parametrize(("text", "value"), [("10", 10), ("1.5m", 90), ("2h", 7200), ("0", 0)])
def test_times(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize(("text", "value"), [("10", 10), ("64M", 64 << 20), ("1g", 1 << 30)])
def test_sizes(text, value):
    assert size(text) == value


@pytest.mark.parametrize("text", ["", "x", "-1", "1d", "nan", "inf"])
def test_what_is_no_time_or_size(text):
    with pytest.raises(ValueError, match="expected a time"):
        seconds(text)
    with pytest.raises(ValueError, match="expected a size"):
        size(text)
