"""Charts of the cluster's add-ons: by digest, from their project's sources alone, and never into a tenant's namespace.

A chart is run by Helm and nothing of what it makes is in the tree, so the project is the whole bound (H29).
"""

import re
from collections.abc import Collection, Iterator

from isolation.classes.inventory import spec_of
from isolation.manifests.tree import Document, Tree
from isolation.results import CounterExample

PROJECT = "addons"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HELM = frozenset({"releaseName", "valuesObject"})


def is_chart(url: str) -> bool:
    """Whether a source is an OCI artifact; everything else is the one Git repository's."""
    return url.startswith("oci://")


def chart_faults(tree: Tree, tenants: Collection[str]) -> Iterator[CounterExample]:
    """`tenants`: their namespaces. The project is asked first, then each Application of it or of a chart."""
    projects = [each for each in tree.of_kind("AppProject") if each.name == PROJECT]
    permitted = {str(url) for each in projects for url in spec_of(each).get("sourceRepos") or ()}
    for document in projects:
        yield from (CounterExample(document.file, fault) for fault in _project(document, tenants))
    for document in tree.of_kind("Application"):
        url = str((spec_of(document).get("source") or {}).get("repoURL"))
        if is_chart(url) or spec_of(document).get("project") == PROJECT:
            faults = _application(document, url, permitted)
            yield from (CounterExample(document.file, fault) for fault in faults)


def _project(document: Document, tenants: Collection[str]) -> Iterator[str]:
    spec = spec_of(document)
    for key in ("destinations", "destinationServiceAccounts"):
        for each in spec.get(key) or ():
            namespace = str(each.get("namespace"))
            if namespace in tenants or "*" in namespace or "*" in str(each.get("server")):
                yield f"{key} names {namespace}; charts go to namespaces of their own"
    if not all(is_chart(str(url)) and "*" not in str(url) for url in spec.get("sourceRepos") or ()):
        yield "reads sources that are no charts, or any of some"
    kinds = {(each.get("group"), each.get("kind")) for each in spec.get("clusterResourceWhitelist") or ()}
    if ("", "Namespace") in kinds or any("*" in str(part) for kind in kinds for part in kind):
        yield "may write namespaces, or cluster-wide kinds that it does not name"


def _application(document: Document, url: str, permitted: Collection[str]) -> Iterator[str]:
    spec = spec_of(document)
    source = spec.get("source") or {}
    if spec.get("project") != PROJECT or url not in permitted or "sources" in spec:
        yield f"reads {url} in project {spec.get('project')}, which does not name it"
    if not _DIGEST.fullmatch(str(source.get("targetRevision"))):
        yield f"follows {source.get('targetRevision')}; a chart is named by its digest"
    if (
        set(source) - {"repoURL", "targetRevision", "path", "helm", "directory"}
        or set(source.get("helm") or ()) - _HELM
    ):
        yield "runs more than a chart with its values"
    if spec.get("syncPolicy", {}).get("managedNamespaceMetadata"):
        yield "writes a namespace's labels"
