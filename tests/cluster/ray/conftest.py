import os
from pathlib import Path

import pytest

TESTS = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def cluster():
    """A cluster of this machine alone, of two cores, for the tests of one module; its nodes can import tests."""
    pytest.importorskip("ray")
    from hogwild.cluster.ray.local import connected

    path = os.environ.get("PYTHONPATH")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [TESTS, path])))
        with connected("local", cores=2):
            yield
