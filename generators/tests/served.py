"""One model record as it is rendered; for tests of serving."""

from typing import Any

from app.contract.models import ModelRecord, Serving
from generators.serving.model import ModelServing
from generators.tests.samples import SERVE, made, platform, sample_tenant

MODEL = "replies"
Made = dict[tuple[str, str, str], dict[str, Any]]


def served(model: ModelRecord) -> Made:
    """All objects of the record `replies` of acme."""
    return made(ModelServing, tenant=sample_tenant(models={MODEL: model}), platform=platform(), model=MODEL)


def spec(model: ModelRecord, kind: str, name: str = MODEL) -> dict[str, Any]:
    return dict(served(model)[SERVE, kind, name]["spec"])


def rollout(model: ModelRecord, name: str = MODEL) -> dict[str, Any]:
    return spec(model, "Rollout", name)


def command(model: ModelRecord, name: str = MODEL) -> str:
    """The words that start the server."""
    return " ".join(rollout(model, name)["template"]["spec"]["containers"][0]["command"])


def option(command: str, name: str) -> str:
    """The word after an option."""
    words = command.split()
    return words[words.index(name) + 1]


def serving(replicas: int = 1, **changes: Any) -> Serving:
    return Serving.model_validate({"replicas": replicas, **changes})
