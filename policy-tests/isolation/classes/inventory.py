"""A rendered tree as the tree invariants ask about it: objects by key, whose they are, and every pod."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isolation.classes.profile import Profile
from isolation.manifests.pods import WORKFLOW_KINDS, Container, Pod, containers_of, pods_of, workflow_spec
from isolation.manifests.templates import Templates
from isolation.manifests.tree import Document, Tree

Key = tuple[str, str | None, str]
PLANES = ("train", "serve")
TENANT_LABEL = "tenon.dev/tenant"


@dataclass(frozen=True, eq=False)
class Inventory:
    """What stands in a tree, read once for all invariants."""

    tree: Tree
    profile: Profile
    tenants: tuple[str, ...]

    @cached_property
    def nested(self) -> tuple[Document, ...]:
        """The manifests inside workflow templates, each as an object of the same namespace."""
        templates = Templates()
        documents = self.tree.of_kind(*sorted(WORKFLOW_KINDS))
        return tuple(made for document in documents for made in _nested(document, templates))

    @cached_property
    def objects(self) -> tuple[Document, ...]:
        """The documents, and those nested in them."""
        return (*self.tree.documents, *self.nested)

    @cached_property
    def of_tenants(self) -> tuple[Document, ...]:
        return tuple(document for document in self.objects if tenant_of(document) is not None)

    @cached_property
    def by_key(self) -> dict[Key, Document]:
        """(kind, namespace, name) -> the rendered object."""
        return {(each.kind, each.namespace, each.name): each for each in self.tree.documents}

    @cached_property
    def by_namespace(self) -> dict[tuple[str, str | None], list[Document]]:
        """(kind, namespace) -> objects."""
        found: dict[tuple[str, str | None], list[Document]] = {}
        for document in self.objects:
            found.setdefault((document.kind, document.namespace), []).append(document)
        return found

    @cached_property
    def queues(self) -> dict[str | None, list[Document]]:
        """Tenant -> its ClusterQueues."""
        found: dict[str | None, list[Document]] = {}
        for document in self.tree.of_kind("ClusterQueue"):
            found.setdefault(tenant_of(document), []).append(document)
        return found

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        return tuple(pod for document in self.objects for pod in pods_of(document))

    @cached_property
    def tenant_pods(self) -> tuple[Pod, ...]:
        """Pods in tenants' own namespaces."""
        return tuple(pod for pod in self.pods if pod.document.namespace in self.namespaces)

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """Of every pod, and of TrainJobs, whose runtime holds the pod."""
        jobs = (job for job in self.objects if job.kind == "TrainJob")
        trainers = (Container(job, "trainer", spec_of(job).get("trainer") or {}) for job in jobs)
        return (*(each for pod in self.pods for each in containers_of(pod)), *trainers)

    @cached_property
    def namespaces(self) -> dict[str, str]:
        """Namespace -> its tenant, by the judge's own naming rule."""
        return {f"{tenant}-{plane}": tenant for tenant in self.tenants for plane in PLANES}

    def kind(self, *kinds: str) -> Iterator[Document]:
        """Objects of these kinds that tenants' folders hold, nested ones too."""
        return (document for document in self.of_tenants if document.kind in kinds)


def tenant_of(document: Document) -> str | None:
    """Whose folder the document stands in; None for the platform's."""
    return document.place[1] if document.place[:1] == ("tenants",) else None


def part_of(document: Document) -> str:
    """`foundation`, `workloads` or `delivery`."""
    return document.place[2] if document.place[:1] == ("tenants",) else document.place[1]


def spec_of(document: Document) -> dict[str, Any]:
    """The object's `spec`; empty where there is none."""
    spec = document.body.get("spec")
    return spec if isinstance(spec, dict) else {}


def _nested(document: Document, templates: Templates) -> Iterator[Document]:
    for template in workflow_spec(document).get("templates") or ():
        text = (template.get("resource") or {}).get("manifest")
        found = templates.documents(str(text), where=document.file, tenant=tenant_of(document)) if text else ()
        for body, _ in found:
            metadata = {"namespace": document.namespace, **(body.get("metadata") or {})}
            yield Document(document.file, {**body, "metadata": metadata}, {}, document.place)
