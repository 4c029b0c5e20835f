"""Charts of the cluster's add-ons: by digest, from their project's sources alone, and never into a tenant's namespace.

A chart is run by Helm and nothing of what it makes is in the tree, so the project is the whole bound (H29).
"""

import re
from collections.abc import Collection, Iterator

from isolation.classes.inventory import spec_of
from isolation.manifests.pods import Body
from isolation.manifests.tree import Document, Tree
from isolation.objects.applications import AUTOMATED, BACKOFF, OPTIONS, SERVER, application_faults
from isolation.results import CounterExample

PROJECT = "addons"
_NAMED = "addon-"  # so that none passes for what delivers a folder
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HELM = frozenset({"releaseName", "valuesObject"})
_FILES = frozenset({"include"})
# A webhook that istiod opens and closes itself, once it runs.
_CLOSED_LATER: Body = {
    "group": "admissionregistration.k8s.io",
    "kind": "ValidatingWebhookConfiguration",
    "jqPathExpressions": [".webhooks[].failurePolicy"],
}


def is_chart(url: str) -> bool:
    """Whether a source is an OCI artifact; everything else is the one Git repository's."""
    return url.startswith("oci://")


def is_of_charts(application: Document) -> bool:
    """Whether an Application is judged here: by its project or by its source."""
    return spec_of(application).get("project") == PROJECT or is_chart(str(_source(application).get("repoURL")))


def chart_faults(tree: Tree, tenants: Collection[str]) -> Iterator[CounterExample]:
    """`tenants`: their namespaces. The project is asked first, then each Application of it or of a chart."""
    projects = [each for each in tree.of_kind("AppProject") if each.name == PROJECT]
    permitted = {str(url) for each in projects for url in spec_of(each).get("sourceRepos") or ()}
    places = {str(place.get("namespace")) for each in projects for place in spec_of(each).get("destinations") or ()}
    for document in projects:
        yield from (CounterExample(document.file, fault) for fault in _project(document, tenants))
    for document in filter(is_of_charts, tree.of_kind("Application")):
        faults = _application(document, permitted, places)
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


def _application(document: Document, permitted: Collection[str], places: Collection[str]) -> Iterator[str]:
    source = _source(document)
    url, digest = str(source.get("repoURL")), str(source.get("targetRevision"))
    namespace = str(spec_of(document).get("destination", {}).get("namespace"))
    if spec_of(document).get("project") != PROJECT or url not in permitted:
        yield f"reads {url} in project {spec_of(document).get('project')}, which does not name it"
    if not document.name.startswith(_NAMED):
        yield f"is called {document.name}; the name of a chart's Application begins with {_NAMED}"
    if not _DIGEST.fullmatch(digest):
        yield f"follows {digest}; a chart is named by its digest"
    if namespace not in places:
        yield f"goes to {namespace}, which its project does not name"
    yield from application_faults(document, _shape(document), ignored=(_CLOSED_LATER,))


def _shape(document: Document) -> Body:
    """A chart with its values, or files of it that a pattern names; what differs from chart to chart is its own."""
    spec, source = spec_of(document), _source(document)
    tool, known = ("helm", _HELM) if "helm" in source else ("directory", _FILES)
    told = source[tool] if isinstance(source.get(tool), dict) else {}
    options = [*OPTIONS, "Prune=confirm", *(["RespectIgnoreDifferences=true"] if "ignoreDifferences" in spec else [])]
    return {
        "project": spec.get("project"),
        "source": {
            **{key: source.get(key) for key in ("repoURL", "targetRevision")},
            "path": ".",
            **({tool: {key: value for key, value in told.items() if key in known}} if tool in source else {}),
        },
        "destination": {"server": SERVER, "namespace": spec.get("destination", {}).get("namespace")},
        "syncPolicy": {
            "automated": AUTOMATED,
            "retry": {"limit": 10, "refresh": True, "backoff": BACKOFF},
            "syncOptions": options,
        },
    }


def _source(document: Document) -> Body:
    source = spec_of(document).get("source")
    return source if isinstance(source, dict) else {}
