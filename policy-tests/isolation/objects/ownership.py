"""What belongs to whom: kinds, names and labels of each tenant's folder (H1, H2, H30-H32)."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from isolation.classes.inventory import PLANES, TENANT_LABEL, Inventory, part_of, tenant_of
from isolation.manifests.everywhere import Everywhere
from isolation.manifests.tree import Document
from isolation.objects.allowed_kinds import IN_WORKFLOWS, OF_CLUSTER, OF_PLATFORM, OF_TENANTS
from isolation.results import CounterExample, Result

_WORD = re.compile(r"[a-z0-9][a-z0-9-]+")
_CONTEXT = re.compile(r"(?:tenants/|tenon:|tenon\.dev/(?:tenant|directory)[\"']?[:=] *[\"']?)([a-z0-9-]+)")
_CONFIRM = "Prune=confirm,Delete=confirm"
_SYNC_OPTIONS = "argocd.argoproj.io/sync-options"
_ID_KEYS = frozenset({TENANT_LABEL, "tenon.dev/directory", "clusterQueue", "project"})  # hold an id, bare


def kinds(inventory: Inventory) -> Result:
    """Each kind in its own part of a folder; of a tenant, no cluster-wide object but the namespaces and the queue.

    All but what Argo CD itself reads stands in a namespace of the tree: in one that others own, a pod could take an
    account that the judge trusts, as the resolver's.
    """
    rendered = {None, *(document.name for document in inventory.tree.of_kind("Namespace"))}
    faults = [
        CounterExample(document.file, fault) for document in inventory.tree.documents for fault in _kind(document)
    ]
    faults += [
        CounterExample(document.file, f"stands in namespace {document.namespace}, which is not rendered")
        for document in inventory.tree.documents
        if document.namespace not in rendered and part_of(document) != "delivery"
    ]
    faults += [
        CounterExample(made.file, f"a workflow makes a {made.kind}; only {', '.join(sorted(IN_WORKFLOWS))}")
        for made in inventory.nested
        if made.kind not in IN_WORKFLOWS
    ]
    claim = "each folder holds kinds of its list only, each in its part"
    return Result("kinds", claim, len(inventory.objects), tuple(faults), row="H1")


def own_names(inventory: Inventory) -> Result:
    """No string of a tenant's folder names another tenant: namespaces, bucket, hosts, accounts, secrets, projects."""
    names = _Names(inventory)
    faults = [CounterExample(tenant, fault) for tenant, fault in names.ambiguous]
    for document in inventory.tree.documents:
        if (tenant := tenant_of(document)) is not None:
            faults += [CounterExample(document.file, fault) for fault in names.foreign(document, tenant)]
    claim = "no string of a tenant's folder names another tenant"
    return Result("own-names", claim, names.asked, tuple(faults), row="H2")


def labels(inventory: Inventory) -> Result:
    """Every object of a folder says whose it is, its namespaces too; no other namespace claims a tenant."""
    faults = []
    for document in inventory.tree.documents:
        owner = tenant_of(document)
        if document.kind == "Namespace":
            owner = inventory.namespaces.get(document.name)
        if document.labels.get(TENANT_LABEL) != owner:
            faults.append(CounterExample(document.file, f"label {TENANT_LABEL} is not {owner}"))
    faults += [
        CounterExample(pod.document.file, f"{pod} carries another tenant's label")
        for pod in inventory.tenant_pods
        if pod.labels.get(TENANT_LABEL) not in {None, inventory.namespaces[str(pod.document.namespace)]}
    ]
    claim = "the tenant label is the folder's, on namespaces and on every object"
    return Result("labels", claim, len(inventory.tree.documents), tuple(faults), row="H30")


def offboarding(inventory: Inventory) -> Result:
    """Removing a folder removes its tenant: nothing outside names it. Namespaces ask before they go."""
    names = _Names(inventory)
    faults = []
    for document in inventory.tree.documents:
        if tenant_of(document) is None:
            faults += [CounterExample(document.file, fault) for fault in names.foreign(document, None)]
        options = (document.body.get("metadata") or {}).get("annotations") or {}
        if document.kind == "Namespace" and options.get(_SYNC_OPTIONS) != _CONFIRM:
            faults.append(CounterExample(document.file, f"is pruned unasked; annotate it with {_CONFIRM}"))
    claim = "nothing outside a tenant's folder names it; its namespaces ask first"
    return Result("offboarding", claim, len(inventory.tree.documents), tuple(faults), row="H31")


def once(inventory: Inventory) -> Result:
    """Each object stands in one file. Else the tenant that comes later would change an object of one that was there."""
    found = Counter(_identity(document) for document in inventory.tree.documents)
    faults = [
        CounterExample(document.file, f"{document.kind} {document.name} stands in {found[_identity(document)]} files")
        for document in inventory.tree.documents
        if found[_identity(document)] > 1
    ]
    claim = "each object stands in one file, so a tenant changes no other's"
    return Result("once", claim, len(inventory.tree.documents), tuple(faults), row="H32")


class _Names:
    """Whom a string names. A name belongs to the tenants whose derived names it is or begins with, and a bare id only
    excuses: tenant `s3-acme` may say its own id, which is also the account of acme's gateway."""

    def __init__(self, inventory: Inventory) -> None:
        self.prefix = inventory.profile.bucket_prefix
        self.tenants = frozenset(inventory.tenants)
        self.owners: dict[str, set[str]] = {}
        self.platform = frozenset(d.name for d in inventory.tree.documents if tenant_of(d) is None)
        self.ambiguous = []
        for tenant in inventory.tenants:
            for name in _derived(tenant, self.prefix):
                if name in self.platform:
                    self.ambiguous.append((tenant, f"{name} is an object of the platform; rename the tenant"))
                else:
                    self.owners.setdefault(name, set()).add(tenant)
        self.asked = 0
        self._hosts = _host_pattern(inventory)
        self._clean = set[str]()  # texts that name nobody
        self._everywhere = Everywhere(self._said)

    def foreign(self, document: Document, own: str | None) -> Iterator[str]:
        """What the document names that is another tenant's."""
        for said, owners in self._everywhere.inside(document.body):
            self.asked += 1
            if own not in owners:
                yield said if said.startswith("`") else f"names `{said}`, which is {' or '.join(sorted(owners))}'s"

    def _said(self, key: str, value: Any) -> Iterator[tuple[str, frozenset[str]]]:
        """Whom the key and the value name; a value with an id in a field for ids says so by a text of its own."""
        if key not in self._clean:
            yield from self._words(key)
        if isinstance(value, str):
            if key in _ID_KEYS and value in self.tenants:
                yield f"`{key}: {value}` is another tenant", frozenset({value})
            if value not in self._clean:
                yield from self._words(value)

    def _words(self, text: str) -> tuple[tuple[str, frozenset[str]], ...]:
        found = tuple(self._find(text))
        if not found:
            self._clean.add(text)
        return found

    def _find(self, text: str) -> Iterator[tuple[str, frozenset[str]]]:
        lowered = text.lower()
        for word in set(_WORD.findall(lowered)):
            if owners := self._of(word):
                yield word, frozenset(owners | ({word} & self.tenants))
        contexts = _CONTEXT.findall(lowered) + (self._hosts.findall(lowered) if self._hosts else [])
        for word in contexts:
            if word in self.tenants:
                yield word, frozenset({word})

    def _of(self, word: str) -> set[str]:
        """Owners of the longest derived name that the word is, or begins with at a dash."""
        while word and word not in self.platform:
            if word in self.owners:
                return self.owners[word]
            word = word.rpartition("-")[0]
        return set()


def _derived(tenant: str, prefix: str) -> Iterator[str]:
    yield from (f"{tenant}-{end}" for end in (*PLANES, "foundation", "workloads"))
    yield f"{prefix}-{tenant}"
    yield from (f"{kind}-{tenant}" for kind in ("s3", "directory", "slots", "webhooks"))


def _host_pattern(inventory: Inventory) -> re.Pattern[str] | None:
    """`<anything>.<tenant>.<domain>`; the domain is what all hosts of routes end in (traffic.py holds them to one)."""
    hosts = (host for each in inventory.kind("HTTPRoute", "VirtualService") for host in route_hosts(each))
    domains = {host.split(".", 2)[2] for host in hosts if host.count(".") > 2}
    ends = "|".join(re.escape(domain) for domain in sorted(domains))
    return re.compile(rf"([a-z0-9-]+)\.(?:{ends})\b") if ends else None


def route_hosts(document: Document) -> list[str]:
    """Host names that a route answers to. Names of Services, which a VirtualService may list too, have no dot."""
    spec = document.body.get("spec") or {}
    found = spec.get("hostnames" if document.kind == "HTTPRoute" else "hosts") or ()
    return [str(host) for host in found if "." in str(host) and not str(host).endswith(".svc.cluster.local")]


def _kind(document: Document) -> Iterator[str]:
    group = str(document.body.get("apiVersion")).rpartition("/")[0]
    part, known = part_of(document), OF_PLATFORM if tenant_of(document) is None else OF_TENANTS
    if part not in known.get(f"{group}/{document.kind}", set()):
        yield f"{group}/{document.kind} is not among the kinds of {part}"
    elif (document.namespace is None) != (document.kind in OF_CLUSTER):
        yield f"{document.kind} {'has no' if document.namespace is None else 'has a'} namespace"


def _identity(document: Document) -> tuple[str, str, str | None, str]:
    group = str(document.body.get("apiVersion")).rpartition("/")[0]
    return group, document.kind, document.namespace, document.name
