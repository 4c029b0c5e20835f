"""Runner `rayjob` as KubeRay 1.6 takes it: what it writes into pods itself, and what their image has to hold."""

import re
from pathlib import Path
from typing import Any

import pytest

from app.contract.internal import METRICS_PORT
from generators import versions
from generators.foundation.network import RAY_PORT
from generators.tests.samples import platform, pods
from generators.tests.trained import EIGHT, ONE, carried, environment

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements/trainer-ray.txt").read_text(encoding="utf-8")


def containers(step: str = "train", recipe: str = ONE) -> list[dict[str, Any]]:
    """The submitter's and the head's."""
    found = [one for pod in pods(carried(recipe, "rayjob", step)) for one in pod["containers"]]
    assert {each["name"] for each in found} == {"ray-head", "ray-job-submitter"}
    return found


@pytest.mark.requirement("D65")
@pytest.mark.parametrize("step", ["train", "evaluate"])
def test_the_step_is_rays_job_and_no_command_that_kuberay_would_run_before_ray(step: str) -> None:
    assert carried(ONE, "rayjob", step)["spec"]["entrypoint"] == f"python -m trainer {step}"
    for container in containers(step):
        assert not container.keys() & {"command", "args"}, container["name"]


def test_head_and_submitter_start_from_the_image_that_holds_ray() -> None:
    assert {each["image"] for each in containers()} == {platform().image("trainerray")}
    assert "requirements/trainer-ray.txt" in (ROOT / "images/trainer-ray/Dockerfile").read_text(encoding="utf-8")


def test_other_runners_and_plain_steps_do_without_ray() -> None:
    assert platform().image("trainerray") not in str(carried(EIGHT, "jobset"))


def test_the_clusters_ray_is_the_locked_one_and_new_enough_to_be_probed_without_wget() -> None:
    (locked,) = re.findall(r"^ray==(\S+)", LOCK, re.MULTILINE)
    assert locked == versions.RAY_RELEASE == carried(ONE, "rayjob")["spec"]["rayClusterSpec"]["rayVersion"]
    assert tuple(map(int, locked.split(".")))[:2] >= (2, 53)


def test_what_trains_with_ray_is_what_trains_without_it() -> None:
    pinned = r"^[A-Za-z0-9_.-]+==\S+"
    trainer = (ROOT / "requirements/trainer.txt").read_text(encoding="utf-8")
    assert set(re.findall(pinned, trainer, re.MULTILINE)) <= set(re.findall(pinned, LOCK, re.MULTILINE))


@pytest.mark.parametrize("step", ["train", "evaluate"])
def test_rays_processes_have_a_home_that_can_be_written_and_a_users_name(step: str) -> None:
    for container in containers(step):
        told = environment(container)
        assert told["USER"], container["name"]
        assert told["HOME"] in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_kuberay_finds_the_job_by_the_heads_service_and_prometheus_rays_figures() -> None:
    cluster = carried(ONE, "rayjob")["spec"]["rayClusterSpec"]["headGroupSpec"]
    ports = {each["name"]: each["containerPort"] for each in cluster["template"]["spec"]["containers"][0]["ports"]}
    assert ports == {"metrics": METRICS_PORT, "dashboard": RAY_PORT}
    assert cluster["rayStartParams"]["metrics-export-port"] == str(METRICS_PORT)
