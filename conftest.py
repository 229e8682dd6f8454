"""Modules that can only be imported with what is not always installed."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["src/hogwild/torch/*.py"]
