"""Model records: `tenants/<id>/models/<model>.yaml`. Humans edit the head, promotion edits `versions`."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from app.contract.wire import Wire
from trainer.contract.job import ModelName

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Stage(StrEnum):
    """Where a version stands; canary and stable are Argo Rollouts' own words."""

    CANDIDATE = "candidate"
    CANARY = "canary"
    STABLE = "stable"
    RETIRED = "retired"


class Gate(Wire):
    """What a report must show before a version may reach users (app/jobs/gate.py judges)."""

    min_loss_reduction: float = Field(
        0.05, ge=0, lt=1, description="least fall of the held-out loss against the base model, as a fraction"
    )
    max_regression: float = Field(
        0.02, ge=0, lt=1, description="most rise of the held-out loss against the stable version, same held-out rows"
    )
    min_evaluation_rows: int = Field(20, ge=1, description="fewer held-out rows prove nothing")


class CanaryStrategy(Wire):
    """Traffic steps of a canary, in percent."""

    level: Literal["server", "adapter"] = Field(
        "server",
        description="adapter: one server holds both versions and the router splits requests (for a tenant of one GPU)",
    )
    adapter_share: int = Field(
        5, ge=0, le=100, description="level adapter: percent of requests for the canary; raised by pull request"
    )

    weights: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        (5, 10, 25, 50, 100), min_length=1, description="share of the traffic at each step; rises and ends at 100"
    )
    approval: Literal["manual", "auto"] = Field(
        "manual", description="manual pauses after the first step and before 100 %, ended in the Rollouts dashboard"
    )

    @model_validator(mode="after")
    def _weights_rise_to_100(self) -> "CanaryStrategy":
        if list(self.weights) != sorted(set(self.weights)) or self.weights[-1] != 100:  # noqa: PLR2004
            raise ValueError(f"weights {list(self.weights)} must rise and end at 100")
        return self


class AbTest(Wire):
    """Two versions side by side for as long as the key stands; the router keeps each user in one arm."""

    version: str = Field(description="what arm b serves; arm a is the stable version")
    share: int = Field(50, ge=1, le=99, description="percent of users in arm b")
    replicas: int = Field(1, ge=1, le=64, description="servers of arm b")


class Experiment(Wire):
    """The base model beside the version of the record, measured by the same analysis."""

    duration: str = Field("1h", pattern=r"^[1-9][0-9]{0,3}[mh]$", description="then both are removed")
    replicas: int = Field(1, ge=1, le=8, description="servers of each of the two")


class Autoscale(Wire):
    """More servers while requests wait; `replicas` is the least."""

    by: Literal["hpa", "keda"] = Field("hpa", description="what scales: HorizontalPodAutoscaler or KEDA ScaledObject")
    max_replicas: int = Field(ge=1, le=64, description="most servers; the peak of a canary is computed from it")
    waiting_requests: int = Field(8, ge=1, le=1000, description="waiting requests per server above which one is added")


class Serving(Wire):
    """How versions of the model are served."""

    runtime: Literal["vllm", "triton", "ray", "transformers"] = Field(
        "vllm", description="the server that loads base and adapters"
    )
    replicas: int = Field(1, ge=0, le=64, description="servers of the stable version")
    gpus_per_replica: int = Field(1, ge=0, le=16, description="GPUs of one server")
    strategy: Literal["canary", "blueGreen"] = Field("canary", description="how a new version takes over")
    canary: CanaryStrategy = CanaryStrategy()
    ab: AbTest | None = Field(None, description="a second version for a share of the users")
    experiment: Experiment | None = Field(None, description="base beside tuned, for a while")
    autoscale: Autoscale | None = Field(None, description="none: always `replicas` servers")

    @model_validator(mode="after")
    def _parts_fit(self) -> "Serving":
        if self.canary.level == "adapter" and (self.runtime != "vllm" or self.strategy != "canary"):
            raise ValueError("canary.level adapter needs runtime vllm and strategy canary; choose both or level server")
        if self.runtime == "ray" and (self.strategy != "blueGreen" or self.autoscale or self.ab or self.experiment):
            raise ValueError("runtime ray upgrades as blueGreen and scales by itself; take strategy blueGreen alone")
        if self.autoscale and self.autoscale.max_replicas < max(self.replicas, 1):
            raise ValueError(f"autoscale.maxReplicas {self.autoscale.max_replicas} is less than replicas; raise it")
        return self

    @property
    def most_replicas(self) -> int:
        """Servers of the stable version at its largest."""
        return self.autoscale.max_replicas if self.autoscale else self.replicas


class ModelVersion(Wire):
    """One trained adapter. Every field is evidence: change none by hand but `stage`."""

    version: str = Field(pattern=r"^[a-z0-9-]{1,63}$", description="`<model>-<first 12 of the job id>`")
    stage: Stage = Field(description="where the version stands; candidate has no traffic")
    adapter_digest: Sha256 = Field(description="sha256 of adapter_model.safetensors")
    dataset_fingerprint: Sha256 = Field(description="sha256 over data, template, tokenizer and parameters")
    metrics: dict[str, float] = Field(description="held-out loss before and after, rows, tokens per second")
    job: str = Field(description="id of the job that made it")
    rank: int | None = Field(None, ge=1, le=256, description="of its LoRA matrices, where not the recipe's")
    trained_at: datetime = Field(description="end of the training, UTC")


class ModelRecord(Wire):
    """One model of one tenant."""

    base: str = Field(description="a base model of the catalogue in platform.yaml")
    recipe: str = Field(description="a recipe of trainer/recipes/")
    gate: Gate = Gate()
    serving: Serving = Serving()
    versions: tuple[ModelVersion, ...] = Field((), description="newest first; written by promotion")

    @model_validator(mode="after")
    def _one_version_per_live_stage(self) -> "ModelRecord":
        for stage in (Stage.CANARY, Stage.STABLE):
            if len(names := [v.version for v in self.versions if v.stage is stage]) > 1:
                raise ValueError(f"versions {names} are all {stage}; one at most")
        if len({v.version for v in self.versions}) != len(self.versions):
            raise ValueError("two versions have one name")
        if self.serving.ab and self.serving.ab.version not in {v.version for v in self.versions}:
            raise ValueError(f"serving.ab.version {self.serving.ab.version!r} is no version of this record; name one")
        return self

    def at(self, stage: Stage) -> ModelVersion | None:
        """The version of a live stage (canary, stable)."""
        return next((v for v in self.versions if v.stage is stage), None)


__all__ = [
    "AbTest",
    "Autoscale",
    "CanaryStrategy",
    "Experiment",
    "Gate",
    "ModelName",
    "ModelRecord",
    "ModelVersion",
    "Serving",
    "Sha256",
    "Stage",
]
