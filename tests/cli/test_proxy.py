"""``hogwild proxy`` and the `juba..._proxy` programs."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

pytest.importorskip("msgspec")

from online.proxy.fake_servers import FakeServer

from hogwild.cli import proxy, proxying
from hogwild.online.proxy.settings import ProxySettings
from hogwild.online.service.client import RpcClient

PROGRAM = (sys.executable, "-m", "hogwild.cli.proxying", "classifier")


@pytest.mark.parametrize(
    ("words", "status", "error"),
    [
        (("dance",), 2, "error: found the type 'dance', expected one of classifier, regression, "),
        (("stat",), 1, "error: expected either ZooKeeper (-z HOST:2181) or fixed members (--members HOST:PORT,...)"),
        (("stat", "--members", "a"), 1, "error: a member is HOST:PORT, found 'a'"),
    ],
)
def test_an_error_is_one_line(words, status, error, capsys):
    assert proxying.main(words) == status
    said = capsys.readouterr().err
    assert said.startswith(error) and said.count("\n") == 1


@pytest.mark.parametrize("words", [("-p", "-1"), ("-p", "70000"), ("-t", "soon"), ("-I", "-3")])
def test_a_wrong_value_is_wrong_usage(words, capsys):
    with pytest.raises(SystemExit) as ended:
        proxying.main(("stat", "--members", "a:1", *words))
    assert ended.value.code == 2 and f"found '{words[1]}', expected" in capsys.readouterr().err


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        proxying.main(("stat", "--version"))
    assert ended.value.code == 0 and capsys.readouterr().out.startswith("jubastat_proxy (hogwild ")


def test_it_takes_the_originals_options_passes_calls_on_and_answers_what_has_come_when_it_is_ended():
    async def main():
        server = await FakeServer(lambda node, method, params: [method, params[0]]).start()
        options = [
            "--thread",
            "8",
            "--timeout",
            "0",
            "-Z",
            "10",
            "-l",
            ".",
            "-E",
            "60",
            "-S",
            "1",
            "-I",
            "5s",
            "--listen_addr",
            "127.0.0.1",
            "--rpc-port",
            "0",
        ]
        process = subprocess.Popen(
            [*PROGRAM, "--members", f"127.0.0.1:{server.port}", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            line = await asyncio.to_thread(process.stdout.readline)
            port = re.fullmatch(r"classifier proxy listens at 127\.0\.0\.1:(\d+)\n", line).group(1)
            async with RpcClient("127.0.0.1", int(port)) as client:
                assert await client.call("classify", ("spam", ())) == ("classify", "spam")
                process.send_signal(signal.SIGTERM)
                assert await asyncio.to_thread(process.wait, 20) == 0
        finally:
            process.kill()
            process.communicate()
            await server.stop()

    asyncio.run(main())


def test_the_command_has_the_same_options(monkeypatch):
    ran = []
    monkeypatch.setattr(proxying, "run", lambda settings, logdir=None: ran.append(settings) or 0)
    app = typer.Typer()
    app.command()(proxy.command)
    for words in ([], ["-p", "0", "-b", "0.0.0.0", "-t", "0", "-I", "1m"]):
        assert CliRunner().invoke(app, ["stat", "--members", "a:1,b:2", *words]).exit_code == 0
        assert proxying.main(["stat", "--members", "a:1,b:2", *words]) == 0
    assert ran[0] == ran[1] == ProxySettings("stat", members=("a:1", "b:2"))
    assert ran[2] == ran[3]
    assert (ran[2].host, ran[2].port, ran[2].limits.idle, ran[2].timeout) == ("0.0.0.0", 0, 0.0, 60.0)
    assert CliRunner().invoke(app, ["stat", "--members", "a:1", "-t", "soon"]).exit_code == 2


def test_it_starts_without_what_it_does_not_need():
    heavy = ["numpy", "numba", "scipy", "sklearn", "kazoo", "typer", "fastapi"]
    code = f"import sys; import hogwild.cli.proxying; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
