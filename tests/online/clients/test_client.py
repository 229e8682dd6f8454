"""Programs of Jubatus' users, unchanged, against our servers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
CONVERTER = {
    "string_rules": [{"key": "*", "type": "space", "sample_weight": "bin", "global_weight": "bin"}],
    "num_rules": [{"key": "*", "type": "num"}],
}
IDF = {"string_rules": [{"key": "*", "type": "space", "sample_weight": "tf", "global_weight": "idf"}]}
AROW = {"method": "AROW", "parameter": {"regularization_weight": 1.0}, "converter": CONVERTER}
LSH = {"method": "euclid_lsh", "parameter": {"hash_num": 512}, "converter": CONVERTER}
CONFIGURATIONS = {
    "classifier": AROW,
    "regression": {
        "method": "PA1",
        "parameter": {"sensitivity": 0.1, "regularization_weight": 1.0},
        "converter": CONVERTER,
    },
    "recommender": {"method": "inverted_index", "parameter": {}, "converter": CONVERTER},
    "nearest_neighbor": LSH,
    "anomaly": {
        "method": "lof",
        "parameter": {
            "nearest_neighbor_num": 3,
            "reverse_nearest_neighbor_num": 5,
            "method": "inverted_index_euclid",
            "parameter": {},
        },
        "converter": CONVERTER,
    },
    "stat": {"window_size": 16},
    "weight": {"converter": {**CONVERTER, **IDF}},
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_the_client_finds_what_it_expects(kind, client_python, serving):
    text = json.dumps(CONFIGURATIONS[kind], indent=2) + "\n"
    with serving(kind, text, "--thread", "100", "--datadir", ".") as server:
        server.wait_until_it_answers()
        path = server.folder / f"{kind}.json"
        talked = subprocess.run(
            [client_python, HERE / "talking.py", kind, str(server.port), path],
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )
        assert talked.stdout == "done\n", talked.stderr + server.log.read_text()
        assert list(server.folder.glob(f"127.0.0.1_{server.port}_{kind}_model-1*")), "named as the original's"
        assert server.end() == 0


@pytest.mark.parametrize("flags", [("--listen_addr", "127.0.0.1", "--timeout", "0")])
def test_a_server_starts_and_stops_as_jubakit_has_it(flags, client_python, serving):
    text = json.dumps(AROW)
    with serving("classifier", text, *flags) as server:
        server.wait_until_it_answers()
        (server.folder / "classifier.json").unlink()  # it is a temporary file there
        asked = subprocess.run(
            [
                client_python,
                "-c",
                "import sys, json\n"
                "from jubatus.classifier.client import Classifier\n"
                "client = Classifier('127.0.0.1', int(sys.argv[1]), '', 60)\n"
                "first = client.get_status()\n"
                "saved = client.save('x')\n"
                "print(json.dumps([first, saved, client.get_status(), client.get_config()]))",
                str(server.port),
            ],
            capture_output=True,
            text=True,
            timeout=300,
        )
        first, saved, then, configuration = json.loads(asked.stdout or asked.stderr)
        node = f"127.0.0.1_{server.port}"
        assert int(first[node]["pid"]) == server.process.pid
        assert (first[node]["last_saved_path"], then[node]["last_saved_path"]) == ("", saved[node])
        assert configuration == text
        assert server.end() == 0


@pytest.mark.timeout(900)
def test_the_clients_own_suite_passes(client_python, own_suite, programs, tmp_path):
    # all at once: its servers have fixed ports
    kinds = ["error", *(kind for kind in CONFIGURATIONS if (own_suite / "jubatus_test" / kind / "test.py").exists())]
    ran = subprocess.run(
        [client_python, "-W", "ignore", "-m", "unittest", *(f"jubatus_test.{kind}.test" for kind in kinds)],
        env={**programs, "PYTHONPATH": f"{own_suite}{os.pathsep}{programs['PYTHONPATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=800,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == 0, ran.stderr
    assert len(kinds) == 7 and "\nOK" in ran.stderr


def test_jubakit_runs_our_servers(sibling_python, programs, tmp_path):
    ran = subprocess.run(
        [sibling_python, HERE / "sibling.py"],
        env=programs,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    assert ran.stdout == "done\n", ran.stderr


def test_programs_tell_their_version(programs):
    for kind in CONFIGURATIONS:
        shown = subprocess.run([f"juba{kind}", "--version"], env=programs, capture_output=True, text=True, timeout=60)
        assert shown.returncode == 0 and shown.stdout.strip()
