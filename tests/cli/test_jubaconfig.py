"""``jubaconfig`` and ``jubactl``."""

from __future__ import annotations

import json
import os
import signal

import pytest
from online.zookeeper_server import zookeeper  # noqa: F401

pytest.importorskip("msgspec")

import contextlib

from hogwild.cli import jubaconfig, jubactl

CONFIGURATION = '{"method": "AROW",  "parameter": {"regularization_weight": 1.0}, "converter": {}}\n'


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(CONFIGURATION)
    return str(path)


class TestWords:
    """What is wrong is said before ZooKeeper is asked, in one line."""

    @pytest.mark.parametrize(
        ("main", "words", "error"),
        [
            (jubaconfig.main, ("-c", "list"), "error: expected where ZooKeeper is: --zookeeper HOST:2181, or ZK in"),
            (jubaconfig.main, ("-c", "read", "-z", "x", "-n", "a"), "error: --cmd read needs --type"),
            (jubaconfig.main, ("-c", "read", "-z", "x", "-t", "a"), "error: --cmd read needs --name"),
            (jubaconfig.main, ("-c", "write", "-z", "x", "-t", "a", "-n", "b"), "error: --cmd write needs --file"),
            (
                jubaconfig.main,
                ("-c", "write", "-z", "x", "-t", "a", "-n", "b", "-f", "/nowhere"),
                "error: /nowhere: no such file or directory",
            ),
            (jubaconfig.main, ("-c", "read", "-z", "x", "-t", "a", "-n", "b/c"), "error: the name of a type or group"),
            (jubactl.main, ("-c", "status", "-z", "x", "-n", "a"), "error: --cmd status needs --type"),
            (jubactl.main, ("-c", "save", "-z", "x", "-n", "a", "-t", "b"), "error: --cmd save needs --id"),
            (
                jubactl.main,
                ("-c", "start", "-z", "x", "-n", "a", "-t", "graph"),
                "error: 'graph' is not served; served are anomaly, ",
            ),
            (
                jubactl.main,
                ("-c", "start", "-z", "x", "-n", "a", "-t", "stat", "-s", "jubaweight"),
                "error: found --server 'jubaweight', expected jubastat",
            ),
            (
                jubactl.main,
                ("-c", "start", "-z", "x", "-n", "a", "-t", "stat", "-N", "0"),
                "error: found --num 0, expected at least 1",
            ),
        ],
    )
    def test_an_error_is_one_line(self, main, words, error, capsys, monkeypatch):
        pytest.importorskip("kazoo")
        monkeypatch.delenv("ZK", raising=False)
        assert main(words) == 1
        said = capsys.readouterr().err
        assert said.startswith(error) and said.count("\n") == 1

    @pytest.mark.parametrize("main", [jubaconfig.main, jubactl.main])
    def test_a_command_that_does_not_exist_is_wrong_usage(self, main, capsys):
        with pytest.raises(SystemExit) as ended:
            main(("-c", "dance"))
        assert ended.value.code == 2 and "invalid choice" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            (b"{", "expected a JSON object: Input data was truncated"),
            (b"[]", "expected a JSON object: Expected `object`, got `array`"),
            (b'{"method": 3}', "Expected `str | null`, got `int` - at `$.method`"),
            (b'{"method": "AROW", "converter": []}', "Expected `object | null`, got `array` - at `$.converter`"),
            (b"\xff", "byte 0: expected UTF-8"),
        ],
    )
    def test_a_configuration_is_checked_before_it_is_written(self, text, error, tmp_path, capsys):
        pytest.importorskip("kazoo")
        path = tmp_path / "config.json"
        path.write_bytes(text)
        assert jubaconfig.main(("-c", "write", "-z", "x", "-t", "a", "-n", "b", "-f", str(path))) == 1
        assert f"error: {path}: {error}" in capsys.readouterr().err


@pytest.mark.slow
class TestConfigurations:
    def test_it_is_read_as_it_was_written_and_listed_and_deleted(self, zookeeper, written, capsys, monkeypatch):  # noqa: F811
        named = ("-t", "classifier", "-n", "spam", "-z", zookeeper.hosts)
        assert jubaconfig.main(("-c", "list", "-z", zookeeper.hosts)) == 0
        assert jubaconfig.main(("--cmd", "write", "--file", written, *named)) == 0
        assert jubaconfig.main(("-c", "write", "-f", written, *named)) == 0  # over what is there
        assert capsys.readouterr().out == ""
        assert jubaconfig.main(("-c", "read", *named)) == 0
        assert capsys.readouterr().out == CONFIGURATION
        monkeypatch.setenv("ZK", zookeeper.hosts)
        assert jubaconfig.main(("-c", "list")) == 0
        assert capsys.readouterr().out == "classifier/spam\n"
        assert jubaconfig.main(("-c", "delete", *named)) == 0
        for command in ("read", "delete"):
            assert jubaconfig.main(("-c", command, *named)) == 1
            assert "found no /jubatus/config/classifier/spam" in capsys.readouterr().err

    def test_a_service_that_is_away_is_an_error(self, zookeeper, capsys, monkeypatch):  # noqa: F811
        monkeypatch.setattr("hogwild.online.group.zookeeper_client.SECONDS", 0.3)
        zookeeper.stop()
        assert jubaconfig.main(("-c", "list", "-z", zookeeper.hosts)) == 1
        assert capsys.readouterr().err == f"error: ZooKeeper at {zookeeper.hosts}: not reached within 0.3 s\n"


@pytest.mark.slow
class TestControl:
    def test_servers_are_started_looked_after_and_stopped(self, zookeeper, tmp_path, capsys):  # noqa: F811
        named = ("-t", "stat", "-n", "figures", "-z", zookeeper.hosts)
        (tmp_path / "stat.json").write_text(json.dumps({"window_size": 10}))
        assert jubactl.main(("-c", "start", "-s", "jubastat", *named)) == 1
        assert "found no /jubatus/config/stat/figures" in capsys.readouterr().err
        assert jubaconfig.main(("-c", "write", "-f", str(tmp_path / "stat.json"), *named)) == 0
        processes = []
        try:
            assert jubactl.main(("-c", "start", "-s", "jubastat", "-N", "2", "-D", str(tmp_path), *named)) == 0
            lines = capsys.readouterr().out.splitlines()
            processes = [int(line.rpartition(" ")[2].rstrip(")")) for line in lines]
            nodes = [line.partition(":")[0] for line in lines]
            assert jubactl.main(("-c", "status", *named)) == 0
            assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == sorted(nodes)
            assert jubactl.main(("-c", "save", "-i", "first", *named)) == 0
            assert sorted(path.stem for path in tmp_path.glob("*_first.*")) == [
                f"{node}_stat_first" for node in sorted(nodes)
            ]
            assert jubactl.main(("-c", "load", "-i", "nothing", *named)) == 1
            assert "nothing" in capsys.readouterr().err
            assert jubactl.main(("-c", "stop", *named)) == 0
            assert capsys.readouterr().out == "".join(f"{node}: stopped\n" for node in sorted(nodes))
            assert jubactl.main(("-c", "stop", *named)) == 1
            assert "found no server of stat 'figures'" in capsys.readouterr().err
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
