"""Why the pods of workflows failed, remembered: at an attempt's end its pods and sets of pods are deleted.

What was not seen, because this process was not there, is told by the workflow's own words instead.
"""

import re
import threading
from collections import OrderedDict
from typing import Any

from app.apiserver import ApiServer
from app.jobs.causes import Cause, Failure, of_jobset, of_pod
from app.mirror import Mirror
from app.workflows.kubernetes import Tenants
from trainer.contract.steps import Exit

MOST_REMEMBERED = 10_000  # workflows
JOBSETS = "apis/jobset.x-k8s.io/v1alpha2"
_OF_WORKFLOW = re.compile(r"(ft-[a-z0-9]+-a[0-9]+)-.+")


class PodCauses:
    """Follows pods and JobSets of the tenants' training namespaces."""

    def __init__(self, api: ApiServer, tenants: Tenants) -> None:
        self._tenants = tenants
        self._seen: OrderedDict[str, Failure] = OrderedDict()
        self._lock = threading.Lock()
        self._pods = Mirror[str](api.access, self._see_pod)
        self._jobsets = Mirror[str](api.access, self._see_jobset)

    def refresh(self) -> None:
        """Follow the namespaces of exactly the tenants that there are."""
        namespaces = [tenant.training_namespace for tenant in self._tenants.tenants()]
        self._pods.follow(f"/api/v1/namespaces/{namespace}/pods" for namespace in namespaces)
        self._jobsets.follow(f"/{JOBSETS}/namespaces/{namespace}/jobsets" for namespace in namespaces)

    def of(self, workflow: str) -> Failure | None:
        """The last failure that says more than others."""
        with self._lock:
            return self._seen.get(workflow)

    def seconds_stale(self) -> float | None:
        """How old the picture may be; None before the first one."""
        return self._pods.seconds_stale()

    def close(self) -> None:
        self._pods.close()
        self._jobsets.close()

    def _see_pod(self, body: dict[str, Any]) -> None:
        """A rank that was asked to stop, and did, is no failure."""
        found = of_pod(body)
        if found is not None and (found.cause is not Cause.STEP or found.exit_code not in {Exit.STOPPED, Exit.KILLED}):
            self._remember(body, found, is_pod=True)

    def _see_jobset(self, body: dict[str, Any]) -> None:
        if (found := of_jobset(body)) is not None:
            self._remember(body, found, is_pod=False)

    def _remember(self, body: dict[str, Any], found: Failure, *, is_pod: bool) -> None:
        """The newest; but that a set failed says less than why one of its pods did."""
        if (match := _OF_WORKFLOW.fullmatch(str(body["metadata"]["name"]))) is None:
            return
        with self._lock:
            before = self._seen.get(match[1])
            if before is None or is_pod or _says_more(found, before):
                self._seen[match[1]] = found
                self._seen.move_to_end(match[1])
            while len(self._seen) > MOST_REMEMBERED:
                self._seen.popitem(last=False)


def _says_more(found: Failure, before: Failure) -> bool:
    return before.cause is Cause.STEP and found.cause is not Cause.STEP
