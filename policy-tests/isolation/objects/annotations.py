"""Annotations: which keys an object may carry, and what Argo CD makes of them (H29).

Annotations are where controllers take orders from, and an order may be to leave the object out: Argo CD runs an object
with `helm.sh/hook` as a hook, which for most values means never. So each key is known, with its kinds and its values.
"""

import re
from collections.abc import Iterator

from isolation.classes.inventory import Inventory, spec_of
from isolation.manifests.tree import Document
from isolation.results import CounterExample, Result

WAVE = "argocd.argoproj.io/sync-wave"
_OPTIONS = "argocd.argoproj.io/sync-options"
_NUMBER = re.compile(r"-?[0-9]{1,4}")
_ANY = re.compile(r".*")
_KEPT = frozenset({"ConfigMap", "ResourceClaimTemplate", "TrainingRuntime", "WorkflowTemplate"})
# Key -> the kinds that may carry it, None for all, and what may stand there. Not here is refused.
_KNOWN: dict[str, tuple[frozenset[str] | None, re.Pattern[str]]] = {
    WAVE: (None, _NUMBER),
    _OPTIONS: (_KEPT | {"Namespace", "ServiceAccount"}, _ANY),
    "argocd.argoproj.io/compare-options": (
        _KEPT | {"Application"},
        re.compile("ServerSideDiff=true|IgnoreExtraneous"),
    ),
    "argocd.argoproj.io/ignore-healthcheck": (frozenset({"CronWorkflow"}), re.compile("true")),
    # what the path does not cover is not rendered anew when it changes, so it is the whole folder
    "argocd.argoproj.io/manifest-generate-paths": (frozenset({"Application"}), re.compile(r"\.")),
    "eks.amazonaws.com/role-arn": (frozenset({"ServiceAccount"}), _ANY),  # values: credentials.py
    "kubernetes.io/service-account.name": (frozenset({"Secret"}), _ANY),  # values: credentials.py
    "tenon.dev/release": (frozenset({"Application"}), _ANY),
}
# Known options of a sync and of an object, with the values they may have. A misspelt one is ignored by Argo CD.
_SYNC_OPTIONS = {
    "ApplyOutOfSyncOnly": {"true"},
    "CreateNamespace": {"false"},  # true would let an Application write a namespace's labels
    "FailOnSharedResource": {"true"},
    "Prune": {"confirm"},
    "PruneLast": {"true"},
    "PrunePropagationPolicy": {"foreground", "background"},
    "RespectIgnoreDifferences": {"true"},
    "ServerSideApply": {"true"},
}
_OBJECT_OPTIONS = {
    "Delete": {"confirm", "false"},
    "Prune": {"confirm", "false"},
    "ServerSideApply": {"true"},
    "SkipDryRunOnMissingResource": {"true"},
}
# What keeps tenants apart is there before wave 0, and nothing that starts pods is.
_ISOLATES = frozenset(
    {
        "AuthorizationPolicy",
        "CiliumClusterwideNetworkPolicy",
        "CiliumNetworkPolicy",
        "EnvoyFilter",
        "LimitRange",
        "Namespace",
        "NetworkPolicy",
        "PeerAuthentication",
        "ResourceQuota",
        "ServiceAccount",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    }
)
_STARTS_PODS = frozenset(
    {
        "CronJob",
        "CronWorkflow",
        "DaemonSet",
        "Deployment",
        "Experiment",
        "Job",
        "Kafka",
        "KafkaNodePool",
        "Pod",
        "RayService",
        "Rollout",
        "StatefulSet",
    }
)


def sync_options(inventory: Inventory) -> Result:
    """Argo CD ignores an option that it does not know, believes annotations that forge its own, and applies wave by
    wave (argo-cd 3.5, gitops-engine sync: hooks are an object's own and Helm's)."""
    faults, asked = [], 0
    for document in inventory.tree.documents:
        annotations = annotations_of(document)
        options = [text.strip() for text in annotations.get(_OPTIONS, "").split(",") if text.strip()]
        wrong = [text for text in options if not _is_known(text, _OBJECT_OPTIONS)]
        if document.kind == "Application":
            listed = _options_of(document)
            wrong += [text for text in listed if not _is_known(text, _SYNC_OPTIONS)]
            asked += len(listed)
        asked += 1 + len(annotations)
        faults += [CounterExample(document.file, f"sync option {text} is none, or not ours") for text in wrong]
        faults += [CounterExample(document.file, fault) for fault in (*_strange(document), *_out_of_turn(document))]
    claim = "Argo CD applies every object in its turn, and knows every option"
    return Result("sync-options", claim, asked, tuple(faults), row="H29")


def annotations_of(document: Document) -> dict[str, str]:
    """As texts; empty where there are none, or where that is no mapping (metadata.py tells)."""
    found = (document.body.get("metadata") or {}).get("annotations")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def wave_of(document: Document) -> int:
    """0 where none is said, as with Argo CD; and for what is no number, which `sync_options` tells of."""
    text = annotations_of(document).get(WAVE, "0")
    return int(text) if _NUMBER.fullmatch(text) else 0


def _strange(document: Document) -> Iterator[str]:
    for key, value in annotations_of(document).items():
        if key not in _KNOWN:
            yield f"carries annotation {key}, which nothing of ours reads; a controller may, so leave it out"
            continue
        kinds, values = _KNOWN[key]
        if kinds is not None and document.kind not in kinds:
            yield f"carries annotation {key}, which no {document.kind} has"
        elif not values.fullmatch(value):
            yield f"annotation {key} is {value}; {values.pattern} is the rule"


def _out_of_turn(document: Document) -> Iterator[str]:
    wave = wave_of(document)
    if document.kind in _ISOLATES and wave >= 0:
        yield f"is applied in wave {wave}, when pods may run already; what isolates has a negative wave"
    if document.kind in _STARTS_PODS and wave < 0:
        yield f"starts pods in wave {wave}, before what isolates them is all there; 0 is the first"


def _options_of(application: Document) -> list[str]:
    policy = spec_of(application).get("syncPolicy")
    listed = policy.get("syncOptions") if isinstance(policy, dict) else None
    return [str(text) for text in listed] if isinstance(listed, list) else []


def _is_known(text: str, known: dict[str, set[str]]) -> bool:
    name, _, value = text.partition("=")
    return value in known.get(name, set())
