"""Several of Ray's nodes on one machine: one of them is killed while a job runs."""

import os
import signal

import pytest

pytest.importorskip("ray")

import hogwild
from hogwild.cluster.fitting import fit
from hogwild.data import make_rcv1_like

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# seconds until a node counts as dead are 15 by default
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 6}


@pytest.fixture
def nodes():
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": QUICK},
    )
    second = cluster.add_node(num_cpus=1)
    ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
    yield second
    ray.shutdown()
    cluster.shutdown()


def test_a_node_that_is_killed_takes_a_worker_and_shards_with_it(nodes):
    X, y = make_rcv1_like(20_000, 5_000, random_state=0)
    killed = []

    def callback(progress):
        if not killed and progress.rows >= 20_000:
            killed.append(nodes.all_processes["raylet"][0].process.pid)
            os.kill(killed[0], signal.SIGKILL)

    sgd = hogwild.SGDClassifier("log_loss", alpha=1e-6, eta0=3.0, max_iter=60, tol=None, random_state=0)
    fitted = fit(sgd, (X, y), shards=2, replicas=2, phase_rows=500, callback=callback)
    report = fitted.cluster_report_
    assert killed and report.rows == 60 * 20_000 and len(report.workers) == 2
    assert "lost" in [reason for _, reason in report.evictions]
    lost = {node for _, what, node in report.happened if what == "lost" and node.startswith("shard")}
    promoted = {node for _, what, node in report.happened if what == "promoted"}
    assert promoted == {f"{node[:-1]}1" for node in lost if node.endswith("/0")}  # by the copy on the other node
    assert fitted.score(X, y) > 0.85
