import pytest


@pytest.fixture(scope="module")
def cluster():
    """A cluster of this machine alone, of two cores, for the tests of one module."""
    pytest.importorskip("ray")
    from hogwild.cluster.ray.local import connected

    with connected("local", cores=2):
        yield
