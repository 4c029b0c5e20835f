"""Pods and Services against the classes: each rendered pod is one of them, each Service leads to its owner's pods.

These read the whole tree, so that they ask nothing of verdicts.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from isolation.classes.buckets import bucket
from isolation.classes.cluster import Cluster
from isolation.classes.edges import S3_PORT
from isolation.classes.inventory import tenant_of
from isolation.classes.roles import STORAGE, Roles
from isolation.classes.services import WRITTEN_BY_HAND, Service, services_of, tenant_behind
from isolation.manifests.everywhere import Everywhere
from isolation.manifests.tree import Document
from isolation.results import CounterExample, Result

_Place = tuple[str | None, str | None]  # whose folder, and namespace
_KEY = "serviceAccountName"
_ALIAS = "serviceAccount"  # the older spelling, which the API server still takes
_OF_PLANE = {
    "serve": re.compile("default|deployer|model"),
    "train": re.compile(r"default|executor|step|trainer(-\d+)?"),
}
_NONE = re.compile("(?!)")
_PARAMETER = "{{"  # of a workflow, filled in when it runs: the account of a slot, which the dispatcher assigns


def accounted(cluster: Cluster) -> Result:
    """Every pod template runs as an account that is rendered beside it, in the same owner's folder: beside a gateway of
    a tenant stand the accounts of the platform, which reach more. One on the node's network is the node."""
    inventory = cluster.inventory
    rendered: dict[_Place, set[str]] = {}
    asked, broken, on_nodes = 0, dict[CounterExample, None](), dict[str, None]()
    for document in cluster.tree.of_kind("ServiceAccount"):
        asked += 1
        rendered.setdefault(_place(document), set()).add(document.name)
        if not _is_derived(document, inventory.namespaces):
            what = f"{document.namespace}/{document.name} is no account of {_whose(document)}"
            broken[CounterExample(document.file, what)] = None
    for pod in inventory.pods:
        asked += 1
        if pod.spec.get("hostNetwork"):
            on_nodes[f"{pod} runs on the node's network: it is identity `host`"] = None
        elif _ALIAS in pod.spec:
            broken[CounterExample(pod.document.file, f"{pod} names its account by {_ALIAS}; write {_KEY}")] = None
        elif not _is_known(pod.account, rendered.get(_place(pod.document), ())):
            broken[_strange(pod.document, pod.account)] = None
    everywhere = Everywhere(_accounts)
    for document in inventory.objects:
        for account in everywhere.inside(document.body):
            asked += 1
            if not _is_known(account, rendered.get(_place(document), ())):
                broken[_strange(document, account)] = None
    claim = "every pod runs as an account that its owner's folder holds"
    return Result("accounted", claim, asked, tuple(broken), evidence=tuple(on_nodes))


def backends(cluster: Cluster) -> Result:
    """A Service in a tenant's folder leads to pods of that tenant only, the platform's to none of a tenant; and the
    Service behind a bucket's name leads to its tenant's gateway. No peers of a Service are written by hand."""
    roles = Roles(cluster.classes.tenants, cluster.profile)
    services = services_of(cluster.inventory)
    broken = [
        CounterExample(each.file, f"{each.kind} written by hand leads a name anywhere; select pods by a Service")
        for each in cluster.tree.of_kind(*WRITTEN_BY_HAND)
    ]
    broken += [fault for service in services for fault in _misled(service, roles)]
    wanted = cluster.classes.tenants if cluster.profile.storage_mode == "inCluster" else ()
    by_name = {str(service): service for service in services}
    for tenant in wanted:
        name = f"{STORAGE}/{bucket(cluster.profile, tenant)}"
        broken += _bucket_faults(tenant, name, by_name.get(name), roles=roles)
    claim = "each Service leads to its owner's pods; a bucket's name to its tenant's gateway"
    asked = len(services) + len(wanted)
    evidence = tuple(
        f"{service} leads to {', '.join('/'.join(each) for each in service.accounts) or 'no pod of the tree'}"
        for service in services
    )
    return Result("backends", claim, asked, tuple(broken), row="H15", evidence=evidence)


def _place(document: Document) -> _Place:
    return tenant_of(document), document.namespace


def _whose(document: Document) -> str:
    return tenant_of(document) or "the platform"


def _is_derived(account: Document, namespaces: Mapping[str, str]) -> bool:
    """Whether the account is one of those that each tenant has; of the platform, whether it stands outside of tenants'
    namespaces, where its names are roles.py's."""
    tenant, namespace = _place(account)
    if tenant is None:
        return namespace not in namespaces
    if namespace == STORAGE:
        return account.name == f"s3-{tenant}"
    return bool(_OF_PLANE.get((namespace or "").removeprefix(f"{tenant}-"), _NONE).fullmatch(account.name))


def _is_known(account: str, rendered: Collection[str]) -> bool:
    """Whether the account is rendered; of one with a parameter in it, whether one is that it may become."""
    prefix, parameter, _ = account.partition(_PARAMETER)
    return any(name.startswith(prefix) for name in rendered) if parameter else account in rendered


def _strange(document: Document, account: str) -> CounterExample:
    where = "is not rendered in the folder of " + _whose(document)
    what = f"a pod runs as {document.namespace}/{account}, which {where}; no class is known to be its own"
    return CounterExample(document.file, what)


def _accounts(key: str, value: Any) -> Iterator[str]:
    """Values of serviceAccountName, those of overrides included."""
    if key == _KEY and isinstance(value, str):
        yield value


def _misled(service: Service, roles: Roles) -> Iterator[CounterExample]:
    if service.elsewhere:
        yield CounterExample(service.document.file, service.elsewhere)
    owner = tenant_behind(service)
    for namespace, account in service.accounts:
        if (found := roles.role(namespace, account).tenant) != owner:
            what = f"leads to {namespace}/{account}, a pod of {found or 'the platform'}"
            yield CounterExample(service.document.file, f"Service of {owner or 'the platform'} {what}")


def _bucket_faults(tenant: str, name: str, service: Service | None, *, roles: Roles) -> Iterator[CounterExample]:
    if service is None:
        yield CounterExample(tenant, f"Service {name} is not rendered, so that its bucket's name leads nowhere")
        return
    behind = {roles.role(namespace, account).name for namespace, account in service.accounts}
    if behind != {"gateway"}:
        what = f"leads to {', '.join(sorted(behind)) or 'no pod'}, and only the gateway of {tenant} may stand there"
        yield CounterExample(service.document.file, what)
    ports = {target.number for number in service.ports() for target in service.targets(number)}
    if ports != {S3_PORT}:
        yield CounterExample(service.document.file, f"leads to ports {sorted(ports)}; the gateway listens on {S3_PORT}")
