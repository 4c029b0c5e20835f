"""The end of a Workflow that did not succeed: the objects that its GPU steps made are deleted, and their GPUs are free.

Owning them is not enough: they go with the Workflow, and that stays for days after its end so that its outcome is read.
Argo stops the pod that waits for an object, never the object. The exit handler runs after a failure, at the deadline
and after `shutdown: Stop`; `Terminate` runs none (argo-workflows 4.1: workflow/controller/operator.go), so admission
refuses it. They are found by a label, because a search makes as many trials as it likes. Ranks that still run are
given their grace period, hence save a checkpoint. What failed by itself goes as well, with the logs of its pods; what
they told the status endpoint and wrote to the bucket stays. After success nothing is deleted.
"""

from hera.workflows import Resource, Steps
from hera.workflows import Step as SubStep

from generators import naming
from generators.foundation.rbac import RUNNERS
from generators.inputs.tenant import Tenant

EXIT = "release"  # name of the exit handler's template
_DELETE = "delete"


def release(tenant: Tenant) -> list[Steps | Resource]:
    """The exit handler of a tenant's Workflows, and the template that it runs."""
    group, resource = RUNNERS[tenant.training.runner]
    made_here = f"{naming.WORKFLOW_LABEL}={{{{workflow.name}}}}"
    unwanted = SubStep(name=_DELETE, template=_DELETE, when="{{workflow.status}} != Succeeded")
    return [
        Steps(name=EXIT, sub_steps=[unwanted]),
        Resource(
            name=_DELETE,
            action="delete",
            # not waited for: ranks may take minutes to save, and the executor may watch nothing
            flags=[f"{resource}.{group}", f"--selector={made_here}", "--wait=false"],
            service_account_name=naming.EXECUTOR,
        ),
    ]
