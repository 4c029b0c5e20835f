"""The ranks of one GPU step: how many pods of what size, how they find each other, in which queue they wait.

How they divide the work (ddp, fsdp2) is the recipe's, which the job names; an object holds what Kubernetes must know.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.contract.internal import SLOT_PARAMETER
from generators import hosts, naming, restricted
from generators.inputs.platform import GpuFlavor, Platform
from generators.inputs.tenant import Tenant
from trainer.contract import steps
from trainer.contract.recipe import Recipe
from trainer.contract.steps import Step

PORT = 29500  # where ranks meet, torchrun's own default
DAY_SECONDS = 24 * 3600
RUN_SECONDS = 5 * DAY_SECONDS  # of one step's ranks, waiting not included
_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


@dataclass(frozen=True)
class Ranks:
    """The pods that carry one step of one recipe.

    name: of the object that carries them, one per attempt and step, so that a second create is refused.
    priority: WorkloadPriorityClass. slot: the account's number with isolation `hard`; standard has one account.
    given: environment beside that of every step.
    """

    step: Step
    tenant: Tenant
    platform: Platform
    recipe: Recipe
    name: str
    priority: str = naming.FINETUNE
    slot: str = f"{{{{workflow.parameters.{SLOT_PARAMETER}}}}}"
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_divided(self) -> bool:
        """Whether the step runs on all ranks of the recipe: a training, and whatever loads a model that is sharded."""
        return self.step.resumable or self.recipe.parallel == "fsdp2"

    @property
    def nodes(self) -> int:
        """Pods."""
        return self.recipe.nodes if self.is_divided else 1

    @property
    def gpus(self) -> int:
        """GPUs of one pod; 0: one rank on the CPU."""
        return self.recipe.gpus_per_node if self.is_divided else min(self.recipe.gpus_per_node, 1)

    @property
    def per_node(self) -> int:
        """Ranks of one pod."""
        return max(self.gpus, 1)

    @property
    def flavor(self) -> GpuFlavor:
        return self.platform.gpu_flavors[self.tenant.training.gpus.flavor]

    @property
    def account(self) -> str:
        """With isolation `hard` that of the slot which the dispatcher gave the job."""
        return naming.TRAINER if self.tenant.isolation == "standard" else f"{naming.TRAINER}-{self.slot}"

    @property
    def labels(self) -> dict[str, str]:
        """Of the object that Kueue admits as a whole: all pods of all ranks, or none."""
        return {
            **naming.labels(self.tenant.id),
            naming.WORKFLOW_LABEL: "{{workflow.name}}",
            "kueue.x-k8s.io/queue-name": naming.QUEUE,
            "kueue.x-k8s.io/priority-class": self.priority,
        }


def resources(ranks: Ranks, *, cpus: int = 0, memory_gib: int = 0) -> dict[str, Any]:
    """Of one pod: each rank takes the cores and memory that come with a GPU, less what stands beside it.

    A rank on the CPU takes the same share, so that what is left is whole for the next GPU. With claims `dra` the GPUs
    stand in a claim and in no resource.
    """
    flavor = ranks.flavor
    cores = ranks.per_node * flavor.cpus_per_gpu - cpus
    memory = ranks.per_node * flavor.host_memory_gib_per_gpu - memory_gib
    counted = ranks.gpus if ranks.tenant.training.claims == "devicePlugin" else 0
    return restricted.resources(str(cores), f"{memory}Gi", gpus=counted)


def rendezvous(ranks: Ranks, *, pod_zero: str) -> list[dict[str, Any]]:
    """Environment by which several ranks find each other; one rank has none.

    Static, as Kubeflow Trainer sets it: the number of ranks never changes while they run, and they start again
    together. `pod_zero` is the host name of the first pod inside its headless Service.
    """
    if ranks.nodes * ranks.per_node == 1:
        return []
    several = ranks.nodes > 1
    address = hosts.service(pod_zero, naming.training_namespace(ranks.tenant.id)) if several else "localhost"
    number = {"valueFrom": {"fieldRef": {"fieldPath": _INDEX}}} if several else {"value": "0"}
    return [
        {"name": steps.NODES, "value": str(ranks.nodes)},
        {"name": steps.RANKS_PER_NODE, "value": str(ranks.per_node)},
        {"name": steps.NODE_RANK, **number},
        {"name": steps.MASTER_ADDRESS, "value": address},
        {"name": steps.MASTER_PORT, "value": str(PORT)},
    ]


def sharing(ranks: Ranks) -> dict[str, str]:
    """Bound of GPU memory where the tenant's own pods take turns on a GPU: nothing else keeps them apart.

    MPS bounds its clients itself; time slicing bounds nothing, so torch's allocator does it.
    """
    shared = ranks.flavor.sharing
    if not ranks.gpus or shared is None or shared.mode != "timeSlicing":
        return {}
    return {"PYTORCH_ALLOC_CONF": f"per_process_memory_fraction:{1 / shared.replicas:.3f}"}
