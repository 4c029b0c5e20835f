"""GPUs by claim (`training.claims: dra`): the ResourceClaimTemplate from which each pod of a job gets its own claim.

It stands in the foundation, because a claim decides which devices a pod gets and may ask for administrative access;
the tenant's deployer has no right on it. No `config` and one exact request: more than that Kueue cannot count.
"""

from typing import Any

from generators import versions
from generators.training.content import hashed, kept_object
from generators.training.ranks import Ranks

NAME = "gpus"  # of the request, and of the claim inside a pod


def claims_gpus(ranks: Ranks) -> bool:
    """Whether the pods have a claim: there are GPUs, and the tenant asks for them so."""
    return ranks.gpus > 0 and ranks.tenant.training.claims == "dra"


def claim_template(ranks: Ranks) -> dict[str, Any]:
    """The ResourceClaimTemplate of pods of this size."""
    spec = _spec(ranks)
    name = hashed(NAME, spec)
    return kept_object(versions.RESOURCE, "ResourceClaimTemplate", name=name, tenant=ranks.tenant.id, spec=spec)


def pod_claims(ranks: Ranks) -> dict[str, Any]:
    """`resourceClaims` of a pod spec; nothing without claims."""
    if not claims_gpus(ranks):
        return {}
    return {"resourceClaims": [{"name": NAME, "resourceClaimTemplateName": hashed(NAME, _spec(ranks))}]}


def container_claims(ranks: Ranks) -> dict[str, Any]:
    """`claims` of a container's resources; nothing without claims."""
    return {"claims": [{"name": NAME}]} if claims_gpus(ranks) else {}


def _spec(ranks: Ranks) -> dict[str, Any]:
    exactly = {
        "deviceClassName": ranks.flavor.device_class,
        "allocationMode": "ExactCount",
        "count": ranks.gpus,
    }
    return {"spec": {"devices": {"requests": [{"name": NAME, "exactly": exactly}]}}}
