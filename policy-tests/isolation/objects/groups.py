"""The invariants of the whole tree beside those of the network: rows H1-H32 of docs/requirements.md.

H12 to H14 are network invariants: default-deny, names, metadata. H31 and H32 speak of two renders; what one tree can
show of them stands here, and tests render twice.
"""

from collections.abc import Callable

from isolation.classes.inventory import Inventory
from isolation.objects import (
    admission,
    annotations,
    credentials,
    delivery,
    metadata,
    ownership,
    placement,
    quotas,
    references,
    rights,
    rollouts,
    traffic,
    workflows,
    workloads,
)
from isolation.results import Result

# By what they look at; `tenon prove` shows one line for each.
GROUPS: dict[str, tuple[Callable[[Inventory], Result], ...]] = {
    "ownership": (
        ownership.kinds,
        ownership.own_names,
        ownership.labels,
        ownership.offboarding,
        ownership.once,
        metadata.object_metadata,
    ),
    "rights": (rights.rights, rights.escalation, rights.accounts),
    "quotas": (
        quotas.pod_security,
        quotas.object_quotas,
        quotas.compute_quotas,
        quotas.container_limits,
        quotas.volumes,
    ),
    "pods": (workloads.restricted, workloads.tokens, workloads.images, workloads.gpu_environment),
    "placement": (placement.gpu_sharing, placement.nodes, placement.runtime_classes, placement.priorities),
    "doors": (traffic.services, traffic.ports, traffic.hosts),
    "credentials": (credentials.secrets, credentials.buckets),
    "admission": (admission.admission,),
    "workflows": (workflows.workflows, workflows.schedules),
    "roll-outs": (rollouts.rollouts, rollouts.analyses, rollouts.peaks),
    "delivery": (delivery.delivery, annotations.sync_options),
    "references": (references.references, references.selections),
}
