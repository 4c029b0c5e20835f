"""Objects that running attempts still need after a new content has taken their place.

A running Workflow keeps its template's spec in its status (argo-workflows: workflow/controller/operator.go,
setStoredWfSpec), but one that no controller has seen yet does not, a TrainJob asks for its runtime until it ends, and
each pod that is made anew asks for its claim template. So names carry a hash of the content, and Argo CD leaves an
object that is no longer rendered where it is, without calling the Application out of sync. It goes with its namespace.
"""

import hashlib
import json
from typing import Any

from generators import naming

KEPT = {
    "argocd.argoproj.io/sync-options": "Prune=false",
    "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
}


def hash8(content: Any) -> str:
    """Eight hexadecimal digits of the content's sha256."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def hashed(stem: str, content: Any) -> str:
    """`<stem>-<hash8>`: a sync makes a new object and changes none that a running job uses (D6)."""
    return f"{stem}-{hash8(content)}"


def kept_object(api_version: str, kind: str, *, name: str, tenant: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object named by its content, which a sync makes and never changes or prunes."""
    metadata = {"name": name, "labels": naming.labels(tenant), "annotations": dict(KEPT)}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
