"""A platform and tenants for tests of constructs; each test changes the one key it speaks of."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from app.contract.models import ModelRecord, ModelVersion, Stage
from generators.charts import ChartLock
from generators.images import ImageLock
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Manifest, synthesize

DIGEST = "a" * 64
TRAIN, SERVE = "acme-train", "acme-serve"

_IMAGES = ImageLock.model_validate(
    {
        role: {"repository": f"registry.example/{role}", "digest": DIGEST, "from": "test"}
        for role in ImageLock.model_fields
    }
)

_CHARTS = ChartLock.model_validate(
    {
        name: {"repository": f"registry.example/charts/{name.replace('_', '-')}", "digest": DIGEST, "from": "test:1"}
        for name in ChartLock.model_fields
    }
)


@cache
def platform(mode: str = "inCluster") -> Platform:
    return sample_platform(
        storage={"mode": mode, **({"region": "eu-central-1", "account": "123456789012"} if mode == "s3" else {})}
    )


def sample_platform(**changes: Any) -> Platform:
    flavor = {"capacity": 8, "pricePerHour": 1, "memoryGiB": 16, "architecture": "turing"}
    base = {"source": "s", "digest": DIGEST, "licence": "apache-2.0", "memoryGiB": 2, "recipe": "smollm2-135m-t4"}
    document = {
        "cluster": "eu1",
        "domain": "models.example",
        "repository": "https://git.example/tenon.git",
        "gpuFlavors": {"t4": flavor},
        "catalogue": {"small": base},
        "nodeRanges": ["10.0.0.0/16"],
        "oidcIssuers": ["https://login.example"],
        "trustedRegistries": ["registry.example"],
        "images": _IMAGES.by_role(),
        "charts": _CHARTS.by_name(),
    }
    return Platform.model_validate({**document, **changes})


def sample_tenant(**changes: Any) -> Tenant:
    rule = {"issuer": "https://login.example", "audience": "tenon", "claim": "groups", "value": "acme"}
    document = {
        "id": "acme",
        "owners": ["@acme/ml"],
        "training": {"runner": "jobset", "gpus": {"flavor": "t4", "guaranteed": 1}},
        "credentials": [{"oidc": rule}],
    }
    return Tenant.model_validate({**document, **changes})


def runner(name: str) -> dict[str, Any]:
    return {"training": {"runner": name, "gpus": {"flavor": "t4", "guaranteed": 1}}}


def record(*versions: ModelVersion, **serving: Any) -> ModelRecord:
    return ModelRecord.model_validate(
        {"base": "small", "recipe": "smollm2-135m-t4", "serving": serving, "versions": versions}
    )


def version(name: str, stage: Stage) -> ModelVersion:
    return ModelVersion(
        version=name,
        stage=stage,
        adapter_digest="b" * 64,
        dataset_fingerprint="c" * 64,
        metrics={},
        job="j",
        trained_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def made(construct: Any, **arguments: Any) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The objects of one construct: (namespace, kind, name) -> body."""

    def build(scope: Construct) -> None:
        construct(scope, "tested", **arguments)

    return {key(manifest): manifest.body for manifest in synthesize(build)}


def key(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest.body["metadata"]
    return metadata.get("namespace", ""), manifest.body["kind"], metadata["name"]


def pods(value: Any) -> list[dict[str, Any]]:
    """Every pod spec inside a body, at any depth."""
    found = [value] if isinstance(value, dict) and {"containers", "volumes"} <= value.keys() else []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return found + [pod for item in items for pod in pods(item)]
