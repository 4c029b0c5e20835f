"""Servers on a GPU that several pods share: each takes its part of the memory and one part of one GPU."""

import json
from typing import Any

import pytest

from app.contract.models import Stage
from generators.inputs.fitness import refuse_misfits
from generators.inputs.reading import Document
from generators.inputs.sources import TenantSource
from generators.serving import ray, triton, vllm
from generators.serving.server import Served
from generators.serving.shared_gpu import memory_share
from generators.tests.samples import record, sample_platform, sample_tenant, version

FLAVOR = {"capacity": 12, "pricePerHour": 1, "memoryGiB": 16, "architecture": "turing"}


def platform(replicas: int | None = 2) -> Any:
    sharing = {"sharing": {"mode": "timeSlicing", "replicas": replicas}} if replicas else {}
    return sample_platform(gpuFlavors={"t4": {**FLAVOR, **sharing}})


def on(replicas: int | None, **serving: Any) -> Served:
    models = {"replies": record(version("replies-a", Stage.STABLE), **serving)}
    return Served(sample_tenant(models=models), platform(replicas), "replies")


def faults(replicas: int | None, needs: int, **serving: Any) -> list[str]:
    served, document = on(replicas, **serving), Document("replies")
    base = served.platform.catalogue["small"].model_copy(update={"memory_gib": needs})
    changed = served.platform.model_copy(update={"catalogue": {"small": base}})
    refuse_misfits(TenantSource(served.tenant, Document("acme"), {"replies": document}), changed, {})
    return [error.text for error in document.errors]


@pytest.mark.parametrize(("replicas", "share"), [(None, None), (2, 0.45), (3, 0.3), (4, 0.22), (12, 0.07)])
def test_all_servers_of_a_gpu_together_take_no_more_than_nine_tenths(replicas: int | None, share: float | None) -> None:
    assert memory_share(on(replicas)) == share


def test_every_engine_is_told_its_share() -> None:
    words = vllm.container(on(2))["command"]
    assert words[words.index("--gpu-memory-utilization") + 1] == "0.45"
    (engine,) = [text for name, text in triton.repository(on(2, runtime="triton"))["data"].items() if "json" in name]
    assert json.loads(engine)["gpu_memory_utilization"] == 0.45
    (of_ray,) = ray.serve_config(on(2, runtime="ray", strategy="blueGreen"))["applications"][0]["args"]["llm_configs"]
    assert of_ray["engine_kwargs"]["gpu_memory_utilization"] == 0.45


def test_a_server_that_has_its_gpu_alone_takes_what_the_engine_takes() -> None:
    assert "--gpu-memory-utilization" not in vllm.container(on(None))["command"]


def test_a_base_fits_the_part_of_a_gpu_that_a_server_has() -> None:
    assert faults(2, 8) == faults(None, 16) == []
    assert faults(2, 9) == [
        (
            "serving.gpusPerReplica: 'small' needs 9 GiB of GPU memory and a server has 8 (1 x t4, of which 2 pods"
            " share each); choose a smaller base, or a flavor without sharing"
        )
    ]


def test_a_server_asks_for_one_part_of_a_shared_gpu() -> None:
    assert faults(None, 8, gpusPerReplica=2) == []
    assert faults(2, 8, gpusPerReplica=2) == [
        (
            "serving.gpusPerReplica: 2 GPUs of a server, and flavor t4 shares each among several pods; set it to 1 or"
            " choose a flavor without sharing"
        )
    ]
