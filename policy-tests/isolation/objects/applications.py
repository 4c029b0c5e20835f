"""Applications of the one Git repository, compared with the one shape that each may have, field by field (H29).

An Application decides what of the tree is applied at all: a file that `exclude` names, another revision or another
cluster, and what was proved is not what runs. So nothing is left to a list of what is dangerous.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from isolation.classes.inventory import spec_of
from isolation.manifests.pods import Body
from isolation.manifests.tree import Document, Tree
from isolation.results import CounterExample

ARGOCD, PLATFORM = "argocd", "platform"
API = "argoproj.io/v1alpha1"
SERVER = "https://kubernetes.default.svc"  # Argo CD runs in the cluster that it delivers to
# Git's branch of what was reviewed, by its full name: a tag of the same name is another.
_REVISION = "refs/heads/main"
_RENDERED = "rendered"
BACKOFF = {"duration": "10s", "factor": 2, "maxDuration": "5m"}
AUTOMATED = {"allowEmpty": False, "enabled": True, "prune": True, "selfHeal": True}
OPTIONS = ("ApplyOutOfSyncOnly=true", "CreateNamespace=false", "FailOnSharedResource=true", "ServerSideApply=true")
_OF_WORKLOADS = ("PruneLast=true", "RespectIgnoreDifferences=true")
_ROOT_READS = "delivery"  # by the one Application that is applied by hand
_OF_PLATFORM = {PLATFORM: "platform/foundation", "platform-ground": "platform/ground"}
# What the Rollouts controller writes during a canary; nothing else of the cluster may differ from the tree.
_OF_ROLLOUTS: tuple[Body, ...] = (
    {"group": "", "kind": "Service", "jsonPointers": ["/spec/selector/rollouts-pod-template-hash"]},
    {
        "group": "gateway.networking.k8s.io",
        "kind": "HTTPRoute",
        "jqPathExpressions": [".spec.rules[].backendRefs[].weight"],
        "jsonPointers": ["/metadata/labels/rollouts.argoproj.io~1gatewayapi-canary"],
    },
    {
        "group": "networking.istio.io",
        "kind": "VirtualService",
        "jqPathExpressions": [".spec.http[].route[].weight"],
    },
)


@dataclass(frozen=True)
class Source:
    """Where the tree lies: the repository, and the folder of this cluster in it."""

    url: str
    folder: str


def source_of(tree: Tree) -> Source:
    """As the platform's own Application has it; the folder as it is on disk, where that is known."""
    application = next((each for each in tree.of_kind("Application") if each.name == PLATFORM), None)
    source: Body = spec_of(application).get("source", {}) if application else {}
    folder = str(source.get("path")).removesuffix("/" + _OF_PLATFORM[PLATFORM])
    if application is not None and application.file.endswith("/".join(application.place)):
        root = PurePosixPath(application.file[: -len("/".join(application.place)) or None])
        folder = f"{_RENDERED}/{root.name}" if root.parent.name == _RENDERED else folder
    return Source(str(source.get("repoURL")), folder)


def tenant_application(document: Document, source: Source, *, tenant: str) -> Iterator[str]:
    """Faults of `<tenant>-foundation` or `<tenant>-workloads`."""
    part = document.name.removeprefix(f"{tenant}-")
    wanted = _spec(source, folder=f"tenants/{tenant}/{part}")
    if part == "workloads":
        wanted["project"] = tenant
        wanted["destination"]["namespace"] = f"{tenant}-serve"  # whose account applies it, in both namespaces
        wanted["syncPolicy"]["syncOptions"] += _OF_WORKLOADS
    yield from application_faults(document, wanted, ignored=_OF_ROLLOUTS if part == "workloads" else ())


def platform_application(document: Document, source: Source) -> Iterator[str]:
    """Faults of `platform` or `platform-ground`; any other name is one."""
    if document.name in _OF_PLATFORM:
        yield from application_faults(document, _spec(source, folder=_OF_PLATFORM[document.name]))
    else:
        yield "is neither the platform's, nor a tenant's, nor a chart"


def application_faults(document: Document, wanted: Body, *, ignored: tuple[Body, ...] = ()) -> Iterator[str]:
    """Where the spec differs from the wanted one. ignored: what `ignoreDifferences` may list."""
    if strange := set(document.body) - {"apiVersion", "kind", "metadata", "spec"}:
        yield f"has {', '.join(sorted(strange))}, which is the controller's to write"
    found = {**spec_of(document)}
    for entry in found.pop("ignoreDifferences", ()):
        if entry not in ignored:
            yield f"lets {entry.get('kind')} differ from the tree"
    yield from differences(_comparable(found), _comparable(wanted), at="spec")


def differences(found: Any, wanted: Any, *, at: str) -> Iterator[str]:
    """Each field that is missing, too much or another."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted}, key=str):
            if key not in wanted:
                yield f"{at} has field {key}, which is none of the rule's"
            else:
                yield from differences(found.get(key), wanted[key], at=f"{at}.{key}")
    elif found != wanted or type(found) is not type(wanted):
        yield f"{at} is {found}; {wanted} is the rule"


def unread(tree: Tree) -> Iterator[CounterExample]:
    """Objects that no Application applies, and what stands among Applications without being one."""
    read = {f"tenants/{each.place[1]}/{_part(each)}" for each in tree.of_kind("Application") if _is_of_tenant(each)}
    read |= {_OF_PLATFORM[each.name] for each in tree.of_kind("Application") if each.name in _OF_PLATFORM}
    for document in tree.documents:
        *folder, part = document.place[: 3 if _is_of_tenant(document) else 2]
        of_argocd = document.kind in {"AppProject", "Application"}
        if part != _ROOT_READS and "/".join((*folder, part)) not in read:
            yield CounterExample(document.file, "stands in a folder that no Application reads, so nobody applies it")
        if (part == _ROOT_READS, document.namespace == ARGOCD) != (of_argocd, of_argocd):
            yield CounterExample(document.file, "Applications and projects, and they alone, stand in delivery, argocd")
        if of_argocd and document.body.get("apiVersion") != API:
            yield CounterExample(document.file, f"is no {API}")


def _spec(source: Source, *, folder: str) -> Body:
    return {
        "project": PLATFORM,
        "source": {
            "repoURL": source.url,
            "targetRevision": _REVISION,
            "path": f"{source.folder}/{folder}",
            "directory": {"recurse": True, "include": "*.yaml"},
        },
        "destination": {"server": SERVER},
        "syncPolicy": {
            "automated": AUTOMATED,
            "retry": {"limit": 5, "refresh": True, "backoff": BACKOFF},
            "syncOptions": [*OPTIONS],
        },
    }


def _comparable(spec: Body) -> Body:
    """The order of options means nothing."""
    policy = spec.get("syncPolicy", {})
    options = policy.get("syncOptions")
    ordered = sorted(options, key=str) if isinstance(options, list) else options
    return {**spec, "syncPolicy": {**policy, "syncOptions": ordered}}


def _is_of_tenant(document: Document) -> bool:
    return document.place[:1] == ("tenants",)


def _part(application: Document) -> str:
    return application.name.removeprefix(f"{application.place[1]}-")
