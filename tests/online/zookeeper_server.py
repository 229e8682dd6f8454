"""A ZooKeeper of the tests' own: Debian's package, as a child process with its data in a temporary folder."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

JAR = Path("/usr/share/java/zookeeper.jar")
DEADLINE = 30.0


class ZooKeeperServer:
    """A server on loopback, which keeps its port and its data when it is started again.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    hosts : str
        For clients.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.hosts = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen | None = None
        self._configuration = folder / "zoo.cfg"
        self._configuration.write_text(
            f"dataDir={folder / 'data'}\nclientPort={self._port}\nclientPortAddress=127.0.0.1\ntickTime=200\n"
            "minSessionTimeout=400\nmaxSessionTimeout=60000\nadmin.enableServer=false\n"
            "4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n"
        )

    def start(self) -> None:
        options = ("-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", str(JAR))
        self._process = subprocess.Popen(
            ["java", *options, "org.apache.zookeeper.server.ZooKeeperServerMain", str(self._configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + DEADLINE
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < until, "ZooKeeper does not start"
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), 1) as asked:
                asked.sendall(b"srvr")  # "ruok" is answered before sessions can begin
                return b"Mode: " in asked.makefile("rb").read()
        except OSError:
            return False


@pytest.fixture
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeperServer]:
    """A server of this test's own; skipped where ZooKeeper is not installed."""
    pytest.importorskip("kazoo")
    if not JAR.exists() or shutil.which("java") is None:
        pytest.skip("Debian's zookeeper is not installed")
    server = ZooKeeperServer(tmp_path_factory.mktemp("zookeeper"))
    server.start()
    try:
        yield server
    finally:
        server.stop()
