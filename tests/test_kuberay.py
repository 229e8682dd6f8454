"""The Kubernetes example: fields that KubeRay has, flags that the command line has, one image and one user."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

FOLDER = Path(__file__).parents[1] / "examples" / "kuberay"
JOB = yaml.safe_load((FOLDER / "rayjob.yaml").read_text())
CLUSTER = JOB["spec"]["rayClusterSpec"]
GROUPS = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]

# fields of ray.io/v1 as KubeRay's reference of its API lists them
JOB_FIELDS = {
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint", "entrypointNumCpus",
    "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata", "rayClusterSpec", "runtimeEnvYAML",
    "shutdownAfterJobFinishes", "submissionMode", "submitterConfig", "submitterPodTemplate", "suspend",
    "ttlSecondsAfterFinished",
}  # fmt: skip
CLUSTER_FIELDS = {
    "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
    "headServiceAnnotations", "managedBy", "rayVersion", "suspend", "workerGroupSpecs",
}  # fmt: skip
AUTOSCALER_FIELDS = {
    "env", "envFrom", "idleTimeoutSeconds", "image", "imagePullPolicy", "resources", "securityContext",
    "upscalingMode", "version", "volumeMounts",
}  # fmt: skip
HEAD_FIELDS = {"enableIngress", "headService", "rayStartParams", "serviceType", "template"}
WORKER_FIELDS = {
    "groupName", "idleTimeoutSeconds", "maxReplicas", "minReplicas", "numOfHosts", "rayStartParams", "replicas",
    "scaleStrategy", "suspend", "template",
}  # fmt: skip


def test_fields():
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    assert JOB["spec"].keys() <= JOB_FIELDS
    assert CLUSTER.keys() <= CLUSTER_FIELDS
    assert CLUSTER["autoscalerOptions"].keys() <= AUTOSCALER_FIELDS
    assert CLUSTER["headGroupSpec"].keys() <= HEAD_FIELDS
    for group in CLUSTER["workerGroupSpecs"]:
        assert group.keys() <= WORKER_FIELDS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in GROUPS:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())


def test_one_image_one_user_the_same_volumes():
    pods = [group["template"]["spec"] for group in GROUPS]
    containers = [container for pod in pods for container in pod["containers"]]
    assert len({container["image"] for container in containers}) == 1
    dockerfile = (FOLDER / "Dockerfile").read_text()
    assert re.search(r"^USER (\d+)$", dockerfile, re.M)[1] == "1000"
    for pod in pods:
        assert pod["securityContext"]["runAsUser"] == 1000 and pod["securityContext"]["runAsNonRoot"]
    for container in containers:
        assert container["resources"]["requests"] == container["resources"]["limits"]
    claims = {claim["metadata"]["name"] for claim in yaml.safe_load_all((FOLDER / "volumes.yaml").read_text())}
    for pod in pods:
        volumes = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        assert set(volumes.values()) == claims and mounts == {"data": "/data", "models": "/models"}


def test_the_image_has_the_ray_of_the_job():
    dockerfile = (FOLDER / "Dockerfile").read_text()
    assert re.search(r"^ARG RAY_VERSION=(.+)$", dockerfile, re.M)[1] == CLUSTER["rayVersion"]
    root = FOLDER.parents[1]
    for line in re.findall(r"^COPY (.+)$", dockerfile, re.M):
        for source in line.split()[:-1]:
            assert (root / source).exists()
    assert re.search(r"^ENV XDG_CACHE_HOME=(\S+)$", dockerfile, re.M)[1] in re.search(r"chown (.+)", dockerfile)[1]


def told(*words):
    command = [sys.executable, "-m", "hogwild.cli.main", *words, "--help"]
    return subprocess.run(command, capture_output=True, text=True, env=None)


@pytest.mark.parametrize("command", [JOB["spec"]["entrypoint"], "--checkpoint F --resume --replicas 2"])
def test_the_command_line_knows_the_flags(command):
    words = shlex.split(command)
    if command == JOB["spec"]["entrypoint"]:
        assert words[:3] == ["hogwild", "cluster", "train"]
        assert words[words.index("--model") + 1].startswith("/models/")
    done = told("cluster", "train")
    if done.returncode == 2 and "No such command 'cluster'" in done.stderr:
        pytest.skip("this build has no `hogwild cluster`")
    assert done.returncode == 0, done.stderr
    for flag in (word for word in words if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", done.stdout), flag


def test_cutting_rows_into_shards_as_the_steps_say():
    step = re.search(r"`(hogwild cache [^`]+)`", (FOLDER / "README.md").read_text())[1]
    done = told("cache")
    assert done.returncode == 0
    for flag in (word for word in step.split() if word.startswith("--")):
        assert re.search(rf"(?<![\w-]){flag}(?![\w-])", done.stdout), flag


@pytest.mark.slow
def test_warming_compiles_the_kernels():
    done = subprocess.run([sys.executable, str(FOLDER / "warm.py")], capture_output=True, text=True)
    assert done.returncode == 0 and "kernels compiled" in done.stdout, done.stderr[-3_000:]
