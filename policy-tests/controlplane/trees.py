"""The trees that are tried: the sample inputs and the two folders of options, each rendered anew."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from controlplane.documents import Document, read_documents
from controlplane.embedded import embedded

REPOSITORY = Path(__file__).parents[2]
INPUTS = {
    "sample": REPOSITORY,
    "aws": REPOSITORY / "policy-tests" / "options" / "aws",
    "istio": REPOSITORY / "policy-tests" / "options" / "istio",
}

# What the one command of a cluster's bootstrap makes before anything of a tree is there.
BOOTSTRAPPED = ("argocd",)


@dataclass(frozen=True)
class RenderedTree:
    """One cluster's folder of rendered/."""

    name: str
    folder: Path

    @cached_property
    def documents(self) -> Sequence[Document]:
        return read_documents(self.folder)

    @cached_property
    def inside(self) -> Sequence[Document]:
        """Objects and pods inside the documents."""
        return [inner for outer in self.documents for inner in embedded(outer)]

    @cached_property
    def tenants(self) -> Sequence[str]:
        return sorted(path.name for path in (self.folder / "tenants").iterdir())


def render_tree(name: str, root: Path) -> RenderedTree:
    """Copy the inputs below `root` and render them there."""
    from generators.rendering import write  # starts Node, which the judge's tests do without

    source = INPUTS[name]
    for file in (source / "platform.yaml", REPOSITORY / "images.lock", REPOSITORY / "charts.lock"):
        shutil.copy(file, root / file.name)
    shutil.copytree(source / "tenants", root / "tenants")
    write(root)
    (folder,) = (root / "rendered").iterdir()
    return RenderedTree(name, folder)


def bootstrapped() -> list[Document]:
    return [
        Document(f"bootstrap {name}", f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
        for name in BOOTSTRAPPED
    ]
