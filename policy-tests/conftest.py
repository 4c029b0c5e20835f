"""The rendered tree that is judged, and copies of it with one object changed."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from controlplane.api import Api
from controlplane.binaries import MissingToolError
from controlplane.oracle import Oracle
from controlplane.server import ControlPlane, control_plane
from controlplane.trees import INPUTS, RenderedTree, bootstrapped, render_tree
from isolation.classes.cluster import Cluster, cluster_of
from isolation.manifests.tree import Document, Tree, read_tree
from isolation.proof import INVARIANTS

ROOT = Path(__file__).parents[1]

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="session")
def tree() -> Tree:
    (folder,) = (path for path in (ROOT / "rendered").iterdir() if path.is_dir())
    return read_tree(folder)


@pytest.fixture(scope="session")
def pair(tree: Tree) -> Tree:
    """The platform and two tenants, one with hard isolation: half as much to judge for each mutant."""
    return Tree(tuple(each for each in tree.documents if each.place[:2] != ("tenants", "initech")))


@pytest.fixture(scope="session")
def cluster(tree: Tree) -> Cluster:
    return cluster_of(tree)


@pytest.fixture
def breaks() -> Callable[[Tree, str], bool]:
    """Whether the named invariant of the network does not hold in a tree."""
    by_name = {ask.__name__.replace("_", "-"): ask for ask in INVARIANTS}
    return lambda tree, name: not by_name[name](cluster_of(tree)).holds


@pytest.fixture(scope="session")
def policy(tree: Tree) -> Callable[[str], Document]:
    """`acme-train/dns`, or `/imds` for a clusterwide one; `default-deny` is the native kind."""

    def find(reference: str) -> Document:
        namespace, _, name = reference.partition("/")
        if not namespace:
            return tree.one("CiliumClusterwideNetworkPolicy", None, name)
        return tree.one("NetworkPolicy" if name == "default-deny" else "CiliumNetworkPolicy", namespace, name)

    return find


@pytest.fixture(scope="session")
def plane(absent: Callable[[str], None]) -> Iterator[ControlPlane]:
    """One kube-apiserver per session: the first request of a kind makes it build that kind's schema."""
    try:
        with control_plane() as started:
            yield started
    except MissingToolError as error:
        absent(str(error))


@pytest.fixture(scope="session")
def oracle(absent: Callable[[str], None]) -> Iterator[Oracle]:
    """Cilium's own engine; each question that depends on a world begins with its world's line."""
    try:
        with Oracle() as started:
            yield started
    except MissingToolError as error:
        absent(str(error))


@pytest.fixture(scope="session")
def api(plane: ControlPlane) -> Api:
    return plane.api


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RenderedTree]:
    """A tree by the name of its inputs, rendered once."""
    return cache(lambda name: render_tree(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="session")
def aws(trees: Callable[[str], RenderedTree]) -> Tree:
    """The tree of options/aws, judged and not the repository's own."""
    return read_tree(trees("aws").folder)


@pytest.fixture(scope="session")
def mesh(trees: Callable[[str], RenderedTree]) -> Tree:
    """The tree of options/istio."""
    return read_tree(trees("istio").folder)


@pytest.fixture(scope="session", params=list(INPUTS))
def rendered(request: pytest.FixtureRequest, trees: Callable[[str], RenderedTree]) -> RenderedTree:
    """The sample tree and the trees of the options, one after the other."""
    return trees(request.param)


@pytest.fixture(scope="session")
def sample(trees: Callable[[str], RenderedTree], api: Api) -> RenderedTree:
    """The sample tree, with its kinds served and its namespaces and accounts really there."""
    tree = trees("sample")
    api.install({each.kind for each in (*tree.documents, *tree.inside)})
    api.establish([*bootstrapped(), *tree.documents])
    return tree
