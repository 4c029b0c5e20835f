"""`training.runner`: which object carries the ranks of a step. Another is one line of `_RUNNERS` and one file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from generators.training import jobset, rayjob, trainjob
from generators.training.claims import claim_template, claims_gpus
from generators.training.ranks import Ranks


@dataclass(frozen=True)
class Carried:
    """A step's object and how Argo tells its end: `key == value` over plain fields, the parts of a failure or-ed."""

    body: dict[str, Any]
    success: str
    failure: str


def carried(ranks: Ranks) -> Carried:
    """The object that carries the ranks under the tenant's runner."""
    make, success, failure = _RUNNERS[ranks.tenant.training.runner]
    return Carried(make(ranks), success, failure)


def needed(ranks: Ranks) -> list[dict[str, Any]]:
    """Objects that have to be there before the ranks are made.

    They set accounts, security and devices of pods, so they belong to what the tenant's deployer cannot write.
    """
    made = [trainjob.runtime(ranks)] if ranks.tenant.training.runner == "trainjob" else []
    return [*made, claim_template(ranks)] if claims_gpus(ranks) else made


_RUNNERS: dict[str, tuple[Callable[[Ranks], dict[str, Any]], str, str]] = {
    "jobset": (jobset.jobset, jobset.SUCCESS, jobset.FAILURE),
    "trainjob": (trainjob.trainjob, trainjob.SUCCESS, trainjob.FAILURE),
    "rayjob": (rayjob.rayjob, rayjob.SUCCESS, rayjob.FAILURE),
}
