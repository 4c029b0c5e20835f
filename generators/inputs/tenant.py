"""The tenant file: the one reviewed input from which everything of a tenant is derived."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.contract.directory import Budget, Credential, Limits
from app.contract.job import TenantId
from app.contract.models import ModelRecord
from app.contract.wire import Wire

_HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def _exact_host(value: str) -> str:
    if "*" in value:
        raise ValueError("is a wildcard; name the host exactly (a wildcard admits every account's buckets)")
    if not _HOST.fullmatch(value):
        raise ValueError("is no exact lower-case host name; write it without scheme, port and path")
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds control characters; write one line of text")
    return value


Host = Annotated[str, AfterValidator(_exact_host)]


class Gpus(Wire):
    """GPUs of the training namespace; Kueue governs them."""

    flavor: str = Field(description="a GPU flavor of platform.yaml")
    guaranteed: int = Field(ge=0, le=4096, description="GPUs that are the tenant's whenever it asks")
    borrow: int = Field(0, ge=0, le=4096, description="GPUs it may take on top while others leave them idle")


class Training(Wire):
    """How jobs train."""

    runner: Literal["jobset", "trainjob", "rayjob"] = Field("jobset", description="object that carries the ranks")
    gpus: Gpus


class ServingShare(Wire):
    """GPUs of the serving namespace; ResourceQuota governs them."""

    gpus: int = Field(1, ge=0, le=4096, description="most GPUs at one time, the peak of a canary included")


class Tenant(Wire):
    """`tenants/<id>.yaml`. `id` is the file's name, `models` are the records beside it; neither is a key in it."""

    id: TenantId
    models: dict[str, ModelRecord] = Field(default_factory=dict)
    display_name: Annotated[str, AfterValidator(_printable)] = Field(
        "", max_length=80, description="for people; the id when empty"
    )
    owners: tuple[Annotated[str, Field(pattern=r"^@[A-Za-z0-9][A-Za-z0-9/_.-]*$")], ...] = Field(
        min_length=1, description="accounts or teams (@name, @org/team) that approve changes of this file"
    )
    isolation: Literal["standard", "hard"] = Field(
        "standard", description="hard: the tenant's own jobs cannot reach each other either"
    )
    budget: Budget | None = Field(None, description="money per calendar month; no budget: no bound")
    limits: Limits = Limits()
    training: Training
    credentials: tuple[Credential, ...] = Field(min_length=1, description="who may act for the tenant at the API")
    egress: tuple[Host, ...] = Field((), max_length=20, description="outside hosts that jobs may reach, port 443")
    callbacks: tuple[Host, ...] = Field((), max_length=20, description="hosts that callback URLs may name")
    serving: ServingShare = ServingShare()

    def key(self, path: str) -> str:
        """Provenance of a rendered object: the file and key path it comes from, never a line."""
        return f"tenants/{self.id}.yaml {path}".rstrip()

    def model_key(self, model: str, path: str = "") -> str:
        """Provenance of an object that comes from a model record."""
        return f"tenants/{self.id}/models/{model}.yaml {path}".rstrip()

    @property
    def most_gpus(self) -> int:
        """GPUs that training can hold at one time."""
        return self.training.gpus.guaranteed + self.training.gpus.borrow

    @property
    def name(self) -> str:
        return self.display_name or self.id


__all__ = ["Budget", "Credential", "Gpus", "Host", "Limits", "ServingShare", "Tenant", "Training"]
