"""Model records: `tenants/<id>/models/<model>.yaml`. Humans edit the head, promotion edits `versions`."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from app.contract.wire import Wire, fault
from trainer.contract.job import JobId, ModelName

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


ScoreName = Literal["exactMatch", "rougeL", "bleu", "chrf"]  # of Evaluation.scores in a report


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
    min_scores: dict[ScoreName, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict,
        description="score -> least lower end of its 95 % interval",
    )
    max_general_regression: float | None = Field(
        None, ge=0, lt=1, description="most rise of the loss over rows of general ability; needs checks.regression"
    )
    max_refusals_lost: int | None = Field(
        None, ge=0, description="prompts the base model refused and the version does not; needs checks.safety"
    )
    non_commercial: bool = Field(
        default=False, description="whether a version may pass whose base or data forbids commercial use"
    )


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
            raise fault(f"{list(self.weights)} does not rise and end at 100; write it so", "weights")
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
        self._strategy_fits()
        if self.runtime in {"vllm", "triton"} and not self.gpus_per_replica:
            raise fault(
                f"0: {self.runtime} starts on no CPU; set 1 at least, or runtime transformers", "gpusPerReplica"
            )
        if self.autoscale and not self.replicas:
            raise fault(
                "0: autoscale adds to servers that are there; set 1 at least, or leave autoscale out", "replicas"
            )
        if self.autoscale and self.autoscale.max_replicas < self.replicas:
            text = f"{self.autoscale.max_replicas} is less than replicas ({self.replicas}); raise it"
            raise fault(text, "autoscale", "maxReplicas")
        return self

    def _strategy_fits(self) -> None:
        by_weights = self.strategy == "canary" and self.canary.level == "server" and self.runtime != "ray"
        if self.canary.level == "adapter" and (self.runtime != "vllm" or self.strategy != "canary"):
            text = "adapter needs runtime vllm and strategy canary; choose both, or level server"
            raise fault(text, "canary", "level")
        if self.runtime == "ray" and (self.strategy != "blueGreen" or self.autoscale or self.ab or self.experiment):
            raise fault("ray upgrades as blueGreen and scales by itself; take strategy blueGreen alone", "runtime")
        if by_weights and self.canary.approval == "manual" and len(self.canary.weights) == 1:
            text = "manual pauses at a weight below 100 and there is none; add one, or set auto"
            raise fault(text, "canary", "approval")

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
    metrics: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        description="held-out loss before and after, rows, tokens per second"
    )
    job: JobId = Field(description="id of the job that made it")
    rank: int | None = Field(None, ge=1, le=256, description="of its LoRA matrices, where not the recipe's")
    trained_at: AwareDatetime = Field(description="end of the training, UTC")


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
                raise fault(f"{', '.join(names)} are all {stage}; leave one at most", "versions")
        if len({v.version for v in self.versions}) != len(self.versions):
            raise fault("two of them have one name; remove one", "versions")
        return self

    @model_validator(mode="after")
    def _versions_beside_are_others(self) -> "ModelRecord":
        stable, ab = self.at(Stage.STABLE), self.serving.ab
        if self.serving.experiment and not (stable or self.at(Stage.CANARY)):
            text = "there is no version to compare with the base; leave it out until one is promoted"
            raise fault(text, "serving", "experiment")
        if ab and (reason := self._unfit_for_arm(ab.version, stable)):
            raise fault(f"{ab.version!r} {reason}", "serving", "ab", "version")
        return self

    def _unfit_for_arm(self, name: str, stable: ModelVersion | None) -> str | None:
        found = next((v for v in self.versions if v.version == name), None)
        if found is None:
            return "is no version of this record; name one"
        if stable is None:
            return "has no stable version beside it, which arm a serves; leave ab out until one is promoted"
        if found is stable:
            return "is the stable version, which arm a serves; name another, or leave ab out"
        return "is retired; name a version that is not, or leave ab out" if found.stage is Stage.RETIRED else None

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
