"""The tenant file: the one reviewed input from which everything of a tenant is derived."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.contract.directory import Budget, Credential, Limits
from app.contract.job import TenantId
from app.contract.models import ModelRecord
from app.contract.wire import Wire

_HOST = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def is_host(value: str) -> bool:
    """Whether this is a whole DNS name of two labels at least, in lower case, whose last begins with a letter."""
    return _HOST.fullmatch(value) is not None


def _exact_host(value: str) -> str:
    if "*" in value:
        raise ValueError("is a wildcard; name the host exactly (a wildcard admits every account's buckets)")
    if not is_host(value):
        raise ValueError("is no exact lower-case host name; write it without scheme, port and path")
    return value


_CRON_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))  # minute, hour, day, month, weekday
_CRON_FIELD = re.compile(r"(\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # days of each month, in a leap year


def _cron(value: str) -> str:
    fields = value.split(" ")
    if len(fields) != len(_CRON_BOUNDS):
        raise ValueError("has to be five fields (minute hour day month weekday), one space between two")
    for field, (least, most) in zip(fields, _CRON_BOUNDS, strict=True):
        for part in field.split(","):
            found = _CRON_FIELD.fullmatch(part)
            numbers = [int(number) for number in (found.group(2, 3) if found else ()) if number]
            if not found or found.group(4) == "0" or not all(least <= number <= most for number in numbers):
                raise ValueError(f"has {part!r} where {least}-{most}, a range, a list or * is meant; write one of them")
            if numbers != sorted(numbers):
                raise ValueError(f"has the range {part!r}, which ends before it begins; turn it round")
    _refuse_no_date(fields)
    return value


def _refuse_no_date(fields: list[str]) -> None:
    """With a weekday beside them, days of the month only add times (cron takes either)."""
    _, _, days, months, weekday = fields
    longest = max(_LONGEST[month - 1] for month in _numbers(months, _CRON_BOUNDS[3]))
    if weekday.startswith("*") and min(_numbers(days, _CRON_BOUNDS[2])) > longest:
        raise ValueError(f"names day {days} of month {months}, a date that never comes; name one that does")


def _numbers(field: str, bounds: tuple[int, int]) -> set[int]:
    """What a field that was found well formed stands for; `5/10` begins at 5 and goes on to the bound."""
    found: set[int] = set()
    for part in field.split(","):
        matched = _CRON_FIELD.fullmatch(part)
        first, last, step = matched.group(2, 3, 4) if matched else (None, None, None)
        begins = int(first or bounds[0])
        ends = int(last) if last else begins if first and not step else bounds[1]
        found |= set(range(begins, ends + 1, int(step or 1)))
    return found


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds control characters; write one line of text")
    if "{{" in value:
        raise ValueError("holds '{{', with which templates of alerts and workflows begin; leave it out")
    return value


_OWNER = r"^@[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)?$"
Host = Annotated[str, AfterValidator(_exact_host)]
Use = Literal["commercial", "research"]


class Gpus(Wire):
    """GPUs of the training namespace; Kueue governs them."""

    flavor: str = Field(description="a GPU flavor of platform.yaml")
    guaranteed: int = Field(ge=0, le=4096, description="GPUs that are the tenant's whenever it asks")
    sharing: Literal["none", "timeSlicing", "mps"] = Field(
        "none", description="the tenant's own pods share GPUs without memory isolation; must be the flavor's"
    )
    borrow: int = Field(0, ge=0, le=4096, description="GPUs it may take on top while others leave them idle")


class Resize(Wire):
    """Memory of a running pod may be raised in place, by the tenant's owners."""

    most_memory_gib: int = Field(ge=1, le=16384, alias="mostMemoryGiB", description="of one rank")


class Training(Wire):
    """How jobs train."""

    runner: Literal["jobset", "trainjob", "rayjob"] = Field("jobset", description="object that carries the ranks")
    gpus: Gpus
    claims: Literal["devicePlugin", "dra"] = Field(
        "devicePlugin",
        description="how pods ask for GPUs; dra: by ResourceClaimTemplate, needs the flavor's deviceClass",
    )
    resize: Resize | None = Field(None, description="none: a pod keeps the memory it started with")


class Drift(Wire):
    """The stable versions are evaluated again, on the held-out rows of their own jobs."""

    schedule: Annotated[str, AfterValidator(_cron)] = Field(description="five cron fields, UTC")


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
    owners: tuple[Annotated[str, Field(pattern=_OWNER)], ...] = Field(
        min_length=1, description="accounts or teams (@name, @org/team) that approve changes of this file"
    )
    isolation: Literal["standard", "hard"] = Field(
        "standard", description="hard: the tenant's own jobs cannot reach each other either"
    )
    budget: Budget | None = Field(None, description="money per calendar month; no budget: no bound")
    limits: Limits = Limits()
    use: Use = Field("commercial", description="what the models are for; a base's licence may forbid it")
    training: Training
    drift: Drift | None = Field(None, description="none: a served version is never evaluated again")
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


__all__ = [
    "Budget",
    "Credential",
    "Drift",
    "Gpus",
    "Host",
    "Limits",
    "Resize",
    "ServingShare",
    "Tenant",
    "Training",
    "Use",
]
