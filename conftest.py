"""Modules that need what is not always installed; Ctrl-C, whoever started the tests; one Ray cluster at a time."""

import signal
from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("torch") else ["src/hogwild/torch/*.py", "src/hogwild/cluster/torch_modules.py"]
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: its children would ignore it as well
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Let one worker run all tests that start Ray: two clusters on two cores wait for each other."""
    for item in items:
        if "cluster/ray/" in item.path.as_posix() or item.path.name == "test_cluster_train.py":
            item.add_marker(pytest.mark.xdist_group("ray"))
