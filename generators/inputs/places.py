"""Names and labels that platform.yaml chooses: none is the cluster's, an add-on's or a tenant's, no two nodes alike."""

from collections.abc import Iterator, Sequence
from itertools import permutations

from generators import naming
from generators.inputs.platform import Platform
from generators.inputs.reading import Document, KeyPath, dotted
from generators.inputs.sources import TenantSource

OF_KUBERNETES = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})
OF_TENANTS = ("-serve", "-train")


def refuse_places(platform: Platform, document: Document, tenants: Sequence[TenantSource]) -> None:
    """Collect every breach; a tenant's stands at its own file, since the platform was there first."""
    name = platform.gateway.namespace
    if name in _namespaces(platform) or name.endswith(OF_TENANTS):
        text = f"{name!r} is a namespace with rules of its own; choose one that the Gateway has alone, such as gateway"
        document.refuse(("gateway", "namespace"), text)
    _refuse_nodes(platform, document)
    bucket = f"{platform.storage.bucket_prefix}-"
    for each in tenants:
        if each.tenant.id.startswith(bucket):
            text = f"{each.tenant.id!r}: begins with {bucket} (storage.bucketPrefix), as another tenant's bucket does"
            each.document.refuse((), f"{text}; choose another id")
        own = tuple(naming.derived(each.tenant.id, prefix=platform.storage.bucket_prefix))
        for path, chosen in _chosen(platform):
            if taken := next((one for one in own if chosen == one or chosen.startswith(f"{one}-")), None):
                where = f"platform.yaml {dotted(path)}"
                text = f"{each.tenant.id!r} would have the name {taken}, which is {where}; choose another id"
                each.document.refuse((), text)


def _namespaces(platform: Platform) -> set[str]:
    """Those that are there whatever the Gateway's is called."""
    from generators.cluster.addons import addons
    from generators.cluster.services import ACCOUNTS

    elsewhere = platform.gateway.model_copy(update={"namespace": ""})
    made = addons(platform.model_copy(update={"gateway": elsewhere}))
    of_addons = {name for addon in made for name in (addon.namespace, *addon.also)}
    return {*OF_KUBERNETES, *ACCOUNTS, *of_addons, naming.ARGOCD_NAMESPACE}


def _refuse_nodes(platform: Platform, document: Document) -> None:
    """A pod goes to the nodes that carry all labels of its flavor."""
    for name, flavor in platform.gpu_flavors.items():
        if not flavor.node_labels:
            text = "has no label, and pods of the flavor would run on every node; name what its nodes alone carry"
            document.refuse(("gpuFlavors", name, "nodeLabels"), text)
    labelled = ((name, flavor) for name, flavor in platform.gpu_flavors.items() if flavor.node_labels)
    for (name, flavor), (other, its) in permutations(labelled, 2):
        if flavor.node_labels.items() <= its.node_labels.items():
            text = f"are all labels of nodes of flavor {other} too, where its pods could run; add one that tells apart"
            document.refuse(("gpuFlavors", name, "nodeLabels"), text)


def _chosen(platform: Platform) -> Iterator[tuple[KeyPath, str]]:
    yield ("gateway", "name"), platform.gateway.name
    yield ("gateway", "namespace"), platform.gateway.namespace
    yield ("broker", "cluster"), platform.broker.cluster
    yield from ((("gpuFlavors", name), name) for name in platform.gpu_flavors)
    yield from ((("catalogue", name), name) for name in platform.catalogue)
