import json
from typing import Any

import pytest

from app.contract.models import Stage
from generators.serving import triton
from generators.serving.runtimes import runtime
from generators.serving.server import Served
from generators.tests.samples import platform, record, sample_tenant, version

STABLE = version("replies-0123456789ab", Stage.STABLE)


def served(*versions: Any, **serving: Any) -> Served:
    model = record(*versions, runtime="triton", **serving)
    return Served(sample_tenant(models={"replies": model}), platform(), "replies")


def template(of: Served) -> dict[str, Any]:
    return dict(runtime(of).template(of)["spec"])


def engine(of: Served) -> dict[str, Any]:
    return dict(json.loads(triton.repository(of)["data"]["model.json"]))


@pytest.mark.requirement("B44")
def test_triton_answers_to_the_models_name_with_the_merged_weights() -> None:
    of = served(STABLE)

    mounts = {each["mountPath"] for each in template(of)["containers"][0]["volumeMounts"]}

    assert {"/repository/replies/config.pbtxt", "/repository/replies/1/model.json"} <= mounts
    assert engine(of)["model"] == "/models/merged"


def test_base_and_adapter_are_fetched_and_verified_before_they_are_merged() -> None:
    containers = template(served(STABLE))["initContainers"]

    assert [each["name"] for each in containers] == ["fetch-base", f"fetch-{STABLE.version}", "merge"]
    assert containers[-1]["command"][3:] == [
        "/models/base",
        f"/models/versions/{STABLE.version}/adapter",
        "/models/merged",
    ]


def test_before_a_first_version_triton_serves_the_base() -> None:
    of = served()

    assert engine(of)["model"] == "/models/base"
    assert "merge" not in {each["name"] for each in template(of)["initContainers"]}


@pytest.mark.requirement("B47")
def test_nothing_can_be_loaded_into_a_running_triton() -> None:
    words = template(served(STABLE))["containers"][0]["command"]

    assert not {"explicit", "poll", "--enable-kserve-frontends", "--load-model"} & set(words)


def test_triton_asks_for_the_models_key_and_no_word_holds_it() -> None:
    (server,) = template(served(STABLE))["containers"]

    at = server["command"].index("--openai-restricted-api")
    assert server["command"][at + 2 : at + 4] == ["authorization", "Bearer $(TENON_API_KEY)"]
    assert server["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "replies-key"


def test_triton_is_asked_for_its_health_where_it_answers() -> None:
    (server,) = template(served(STABLE))["containers"]

    probes = [server[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert probes == [{"path": "/health/ready", "port": 8000}] * 3


def test_triton_reads_single_files_because_a_folder_of_links_looks_like_models_to_it() -> None:
    mounts = template(served(STABLE))["containers"][0]["volumeMounts"]

    assert all(each["subPath"] for each in mounts if each["name"] == "repository")


def test_another_configuration_has_another_name_so_that_running_pods_keep_theirs() -> None:
    one, two = (triton.repository(served(STABLE, gpusPerReplica=gpus)) for gpus in (1, 2))

    assert one["metadata"]["name"] != two["metadata"]["name"]
    assert engine(served(STABLE, gpusPerReplica=2))["tensor_parallel_size"] == 2
    assert one["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false"


def test_a_version_changes_the_pod_and_so_starts_the_canary() -> None:
    other = version("replies-ba9876543210", Stage.CANARY)

    assert template(served(STABLE)) != template(served(STABLE, other))
