"""The job as the trainer sees it: everything that decides the adapter, and nothing of Kubernetes or the queue."""

from typing import Annotated, Literal

from pydantic import Field

from trainer.contract.checks import Checks
from trainer.contract.filters import Filters
from trainer.contract.parameter import Parameter
from trainer.contract.recipe import Hyperparameters
from trainer.contract.search import Search

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$", description="a DNS label of 1-40")]

JobId = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?$", description="part of names and paths")]


class TrainingJob(Parameter):
    """One fine-tuning job, as it travels in the Workflow's `job` parameter and in `tenon train SPEC`.

    `data`, `evaluation` and `base` are `s3://bucket/key` URLs or local paths; in the pipeline `base` is
    `s3://<prefix>-models/<digest>`.
    """

    job: JobId = Field("local", description="job id")
    tenant: str = Field("local", description="tenant id")
    model: ModelName = Field("model", description="name of the model record the version belongs to")
    base: str = Field(description="folder of the base model, with its MANIFEST.json")
    base_digest: str | None = Field(None, description="sha256 of the base model's MANIFEST.json; None: not verified")
    data: str = Field(description="training rows: .jsonl, .json, .csv or .parquet")
    data_licence: str | None = Field(None, description="SPDX id of the rows' licence, for the model card")
    evaluation: str | None = Field(None, description="held-out rows; None: a tenth of the rows, by duplicate cluster")
    filters: Filters = Filters()
    checks: Checks = Checks()
    recipe: str = Field("smollm2-135m-cpu", pattern=r"^[a-z0-9.-]+$", description="name under trainer/recipes/")
    hyperparameters: Hyperparameters = Hyperparameters()
    search: Search | None = Field(None, description="search for hyperparameters in the place of one training")
    exports: tuple[Literal["merged", "gguf"], ...] = Field(
        (), description="forms of the model that are published beside the adapter"
    )
    seed: int = Field(0, ge=0, lt=2**31)

    @property
    def version(self) -> str:
        """Name of the model version this job makes."""
        return f"{self.model}-{self.job[:12]}"
