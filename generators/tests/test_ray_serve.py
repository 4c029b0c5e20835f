import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.contract.models import Stage
from generators import versions
from generators.foundation.network import RAY_PORT
from generators.inputs.reading import Document
from generators.inputs.refusals import refuse_ray
from generators.serving import ray, ray_access
from generators.serving.model import ModelServing
from generators.serving.rollout import peak_gpus
from generators.serving.server import Served
from generators.tests.samples import SERVE, made, platform, pods, record, sample_platform, sample_tenant, version

STABLE = version("replies-0123456789ab", Stage.STABLE)
CANARY = version("replies-ba9876543210", Stage.CANARY)
KEY = "key"


def served(*versions: Any, **serving: Any) -> Served:
    model = record(*versions, runtime="ray", strategy="blueGreen", **serving)
    return Served(sample_tenant(models={"replies": model}), platform(), "replies")


def spec(of: Served) -> dict[str, Any]:
    return dict(ray.ray_service(of)["spec"])


def cluster(of: Served) -> dict[str, Any]:
    return dict(spec(of)["rayClusterConfig"])


def group(of: Served) -> dict[str, Any]:
    (found,) = cluster(of)["workerGroupSpecs"]
    return dict(found)


def application(of: Served) -> dict[str, Any]:
    (found,) = yaml.safe_load(spec(of)["serveConfigV2"])["applications"]
    return dict(found)


@pytest.mark.requirement("D69")
def test_an_upgrade_is_a_second_cluster_and_the_peak_counts_it() -> None:
    of = served(STABLE, replicas=3, gpusPerReplica=2)

    assert spec(of)["upgradeStrategy"] == {"type": "NewCluster"}
    assert peak_gpus(of.record.serving) == 2 * 3 * 2


@pytest.mark.requirement("D70")
def test_the_engine_asks_for_the_gpus_that_its_worker_has() -> None:
    of = served(STABLE, gpusPerReplica=2)
    (model,) = application(of)["args"]["llm_configs"]
    (server,) = group(of)["template"]["spec"]["containers"]

    assert model["engine_kwargs"]["tensor_parallel_size"] == 2
    assert sum(bundle["GPU"] for bundle in model["placement_group_config"]["bundles"]) == 2
    assert server["resources"]["limits"]["nvidia.com/gpu"] == "2"


@pytest.mark.requirement("D70")
def test_ray_installs_and_fetches_nothing_when_it_runs() -> None:
    text = spec(served(STABLE))["serveConfigV2"]

    for word in ("runtime_env", "pip", "working_dir", "http:", "https:", "s3:", "lora_config"):
        assert word not in text
    assert all("@sha256:" in each["image"] for pod in pods(spec(served(STABLE))) for each in pod["containers"])


def test_the_cluster_says_the_version_that_its_image_has() -> None:
    lock = yaml.safe_load((Path(__file__).parents[2] / "images.lock").read_text(encoding="utf-8"))

    assert f":{versions.RAY_SERVE_RELEASE}-" in lock["ray"]["from"]


def test_workers_serve_the_merged_weights_under_the_models_name() -> None:
    of = served(STABLE)
    (model,) = application(of)["args"]["llm_configs"]

    assert model["model_loading_config"] == {"model_id": "replies", "model_source": "/models/merged"}
    assert [each["name"] for each in group(of)["template"]["spec"]["initContainers"]] == [
        "fetch-base",
        f"fetch-{STABLE.version}",
        "merge",
    ]


def test_another_version_makes_another_cluster_because_the_workers_pods_change() -> None:
    assert group(served(STABLE))["template"] != group(served(STABLE, CANARY))["template"]


def test_the_operator_finds_the_heads_dashboard_by_its_name() -> None:
    (container,) = ray.head(served())["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]}["dashboard"] == RAY_PORT


def test_the_head_holds_no_gpu_no_weights_and_no_work() -> None:
    head = cluster(served(STABLE))["headGroupSpec"]
    (server,) = head["template"]["spec"]["containers"]

    assert "initContainers" not in head["template"]["spec"]
    assert "nvidia.com/gpu" not in server["resources"]["limits"]
    assert head["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.requirement("D69")
def test_rays_ports_ask_for_a_token_and_stand_behind_no_service_of_ours() -> None:
    of = served(STABLE)

    assert cluster(of)["authOptions"] == {"mode": "token"}
    assert [port["targetPort"] for port in spec(of)["serveService"]["spec"]["ports"]] == [8000]
    assert spec(of)["excludeHeadPodFromServeSvc"] is True


def test_every_pod_of_ray_is_restricted_and_has_no_token() -> None:
    for pod in pods(spec(served(STABLE))):
        assert pod["serviceAccountName"] == "model"
        assert pod["automountServiceAccountToken"] is False
        for each in (*pod["containers"], *pod.get("initContainers", ())):
            assert each["securityContext"]["readOnlyRootFilesystem"] is True
            assert each["resources"]["requests"] == each["resources"]["limits"]


def test_a_ray_model_has_no_rollout_and_the_routes_of_every_other_model() -> None:
    tenant = served(STABLE).tenant
    objects = made(ModelServing, tenant=tenant, platform=platform(), model="replies")

    kinds = {kind for _, kind, _ in objects}
    assert "RayService" in kinds
    assert not {"Rollout", "AnalysisTemplate", "PodDisruptionBudget"} & kinds
    assert (SERVE, "HTTPRoute", "replies") in objects


def test_the_service_that_kuberay_makes_is_the_one_that_routes_lead_to() -> None:
    objects = made(ModelServing, tenant=served(STABLE).tenant, platform=platform(), model="replies")
    (rule,) = objects[SERVE, "HTTPRoute", "replies"]["spec"]["rules"]

    made_by_kuberay = objects[SERVE, "RayService", "replies"]["spec"]["serveService"]["metadata"]["name"]
    services = {name for _, kind, name in objects if kind == "Service"} | {made_by_kuberay}
    assert {each["name"] for each in rule["backendRefs"]} <= services


def test_every_proxy_loads_the_program_that_is_mounted() -> None:
    of = served(STABLE)
    for pod in pods(spec(of)):
        (server,) = pod["containers"]
        environment = {each["name"]: each.get("value") for each in server["env"]}
        module, _, function = str(environment["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"]).partition(":")
        assert f"{module}.py" in ray.access_program(of)["data"]
        assert hasattr(ray_access, function)
        assert ray_access.KEY in environment
        assert environment["PYTHONPATH"] in {each["mountPath"] for each in server["volumeMounts"]}


def test_the_mounted_program_is_no_tenants_text() -> None:
    assert ray.access_program(served(STABLE))["data"] == ray.access_program(served())["data"]


@pytest.mark.parametrize(
    ("name", "serving", "router", "why"),
    [
        ("7replies", {}, "gatewayApi", "begins with a digit"),
        ("replies", {"replicas": 0}, "gatewayApi", "no engine without a server"),
        ("replies", {"gpusPerReplica": 0}, "gatewayApi", "no engine without a server"),
        ("replies", {}, "istio", "no sidecar lets through"),
    ],
)
def test_what_ray_cannot_do_is_refused(name: str, serving: dict[str, int], router: str, why: str) -> None:
    document = Document("replies.yaml")
    model = record(STABLE, runtime="ray", strategy="blueGreen", **serving)

    refuse_ray(name, model, document, platform=sample_platform(trafficRouter=router))

    (error,) = document.errors
    assert why in str(error)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("TENON_API_KEY", KEY)

    def answer(_request: object) -> PlainTextResponse:
        return PlainTextResponse("answered")

    routes = [Route(path, answer) for path in ("/v1/models", "/-/healthz", "/-/routes")]
    return TestClient(Starlette(routes=routes, middleware=ray_access.middlewares()))


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("/v1/models", f"Bearer {KEY}", 200),
        ("/v1/models", None, 401),
        ("/v1/models", KEY, 401),
        ("/v1/models", "Bearer other", 401),
        ("/v1/models", "Bearer ", 401),
        ("/-/routes", None, 401),
        ("/-/healthz", None, 200),
    ],
)
def test_ray_answers_callers_who_have_the_models_key(
    path: str, given: str | None, status: int, client: TestClient
) -> None:
    headers = {"authorization": given} if given is not None else {}
    assert client.get(path, headers=headers).status_code == status


def test_two_keys_in_one_request_are_no_key(client: TestClient) -> None:
    twice = [("authorization", f"Bearer {KEY}"), ("authorization", "Bearer other")]
    assert client.get("/v1/models", headers=twice).status_code == 401


def test_a_socket_without_the_key_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENON_API_KEY", KEY)
    sent: list[Any] = []

    async def app(*_given: object) -> None:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    asyncio.run(ray_access.Access(app)({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert [each["type"] for each in sent] == ["websocket.close"]


@pytest.mark.parametrize("value", ["", None])
def test_a_proxy_without_a_key_does_not_start(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENON_API_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TENON_API_KEY", value)
    with pytest.raises(RuntimeError, match="TENON_API_KEY"):
        ray_access.middlewares()
