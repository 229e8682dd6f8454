"""The real client in an environment of its own (its msgpack is not ours), and the programs that it calls."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hogwild

collect_ignore = ["sibling.py", "talking.py"]  # programs, which run in the client's environment
CLIENT = ["jubatus==1.1.0", "msgpack-rpc-python==0.4.1", "tornado==4.5.3", "msgpack-python==0.5.6"]
SIBLING = ["jubakit==0.6.2", "psutil"]
WITHIN = 60  # seconds, for whatever happens sooner or later


def pythons():
    """Interpreters of version 3.11, which is the newest that the client runs on."""
    if sys.version_info[:2] == (3, 11):
        yield sys.executable
    if found := shutil.which("python3.11"):
        yield found
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, sorted(root.glob("versions/3.11*/bin/python3.11"), reverse=True))


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)


def installed(folder, packages):
    """Return the Python of an environment with exactly these packages, made once and kept."""
    python = folder / "bin" / "python"
    if (folder / "complete").exists() and run(python, "-c", "").returncode == 0:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    problem = "no Python 3.11 is here"
    for one in pythons():
        made = run(one, "-m", "venv", folder)
        if made.returncode == 0:
            made = run(python, "-m", "pip", "install", "--quiet", "--no-deps", *packages)
            if made.returncode == 0:
                (folder / "complete").touch()
                return python
        problem = f"{one}: {(made.stderr or made.stdout).strip()[-300:]}"
        shutil.rmtree(folder, ignore_errors=True)
    return pytest.skip(f"{' '.join(packages)} cannot be installed: {problem}")


def kept_folder(request, tmp_path_factory, name):
    cache = getattr(request.config, "cache", None)
    return Path(cache.mkdir("jubatus") if cache else tmp_path_factory.mktemp("jubatus")) / name


@pytest.fixture(scope="session")
def client_python(request, tmp_path_factory):
    return installed(kept_folder(request, tmp_path_factory, "client"), CLIENT)


@pytest.fixture(scope="session")
def own_suite(request, tmp_path_factory, client_python):
    """The folder of the tests that come with the client's sources."""
    folder = kept_folder(request, tmp_path_factory, "sources")
    if not list(folder.glob("*/test")):
        fetched = run(
            *(client_python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"),
            *("--dest", folder, CLIENT[0]),
        )
        for archive in folder.glob("*.tar.gz"):
            shutil.unpack_archive(archive, folder, filter="data")
        if not list(folder.glob("*/test")):
            pytest.skip(f"the sources of {CLIENT[0]} cannot be had: {fetched.stderr.strip()[-300:]}")
    return next(folder.glob("*/test"))


@pytest.fixture(scope="session")
def sibling_python(request, tmp_path_factory):
    return installed(kept_folder(request, tmp_path_factory, "sibling"), CLIENT + SIBLING)


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Environment variables under which Jubatus' programs are ours, wherever they are started."""
    folder = tmp_path_factory.mktemp("programs")
    written = run(sys.executable, "-m", "hogwild.cli.main", "aliases", "jubatus", "--into", folder)
    assert written.returncode == 0, written.stderr
    sources = str(Path(hogwild.__file__).parents[1])
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": sources}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """A program that serves, as its users start it."""

    def __init__(self, words, port, environment, folder):
        self.words, self.port, self.environment, self.folder = words, port, environment, folder
        self.log = folder / f"{words[0]}-{port}.log"

    def __enter__(self):
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.words, env=self.environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self

    def wait_until_it_answers(self):
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log.read_text()}"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as one:
                one.sendall(b"\x94\x00\x01\xa5dummy\x90")
                if one.recv(64).startswith(b"\x94\x01\x01\x01"):
                    return self
            time.sleep(0.01)
        raise AssertionError(f"no answer: {self.log.read_text()}")

    def end(self):
        """End it as its users do; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def serving(programs, tmp_path):
    """Start `juba<type>` with a configuration, flags and a free port."""

    def start(kind, configuration, *flags):
        path = tmp_path / f"{kind}.json"
        path.write_text(configuration)
        port = free_port()
        words = [f"juba{kind}", "--rpc-port", str(port), "--configpath", str(path), *flags]
        return Server(words, port, programs, tmp_path)

    return start
