"""A served version as a drift evaluation sees it: what Git says of the adapter, and which job's rows it is held to."""

from pydantic import Field

from trainer.contract.job import ModelName
from trainer.contract.parameter import Parameter


class ServedVersion(Parameter):
    """The stable version of a model record, as it travels in the `version` parameter of a drift Workflow."""

    tenant: str = Field(description="tenant id")
    model: ModelName = Field(description="name of the model record")
    version: str = Field(description="name of the version; its adapter is below models/ of the tenant's bucket")
    job: str = Field(description="job that made it; the held-out rows are those of the job's attempt")
    adapter_digest: str = Field(description="sha256 of adapter_model.safetensors, as Git states it")
    base: str = Field(description="URL of the base model's folder")
    base_digest: str = Field(description="sha256 of the base model's MANIFEST.json")
    recipe: str = Field(description="recipe of the record; decides width and precision")
