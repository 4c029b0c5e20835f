"""Objects of two tenants that say the same are each needed: each must stay when the other tenant goes."""

from collections.abc import Callable

from differential.renaming import with_twin
from isolation.manifests.tree import Tree

Breaks = Callable[[Tree, str], bool]


def test_two_tenants_may_call_back_to_one_host(pair: Tree, breaks: Breaks) -> None:
    twins = with_twin(pair, "acme", "nova")
    for name in ("", "-dns"):
        ours, theirs = (
            next(d for d in twins.of_kind("CiliumNetworkPolicy") if d.name == f"webhooks-{tenant}{name}")
            for tenant in ("acme", "nova")
        )
        spec = ours.body["spec"]
        twins = twins.changed(theirs, lambda body: body.update(spec=spec))  # noqa: B023
    assert not breaks(twins, "effective")


def test_one_tenant_may_not_say_the_same_twice(pair: Tree, breaks: Breaks) -> None:
    bucket = next(d for d in pair.of_kind("CiliumNetworkPolicy") if (d.namespace, d.name) == ("acme-train", "bucket"))
    renamed = pair.changed(bucket, lambda body: body["metadata"].update(name="again"))
    again = next(document for document in renamed.documents if document.name == "again")
    assert breaks(Tree((*pair.documents, again)), "effective")
