"""Modules that can only be imported with what is not always installed; Ctrl-C, whoever started the tests."""

import signal
from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["src/hogwild/torch/*.py", "src/hogwild/cluster/torch_modules.py"]
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job: its children would ignore it as well
    signal.signal(signal.SIGINT, signal.default_int_handler)
