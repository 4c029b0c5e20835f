"""The catalogue: every rule of the linter as data, with an example that it finds and one that it passes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

_PARTS = (
    "documents",
    "shapes",
    "rejected",
    "no_effect",
    "peers",
    "names",
    "proxies",
    "siblings",
    "reach",
    "ways_around",
)


@dataclass(frozen=True)
class LintRule:
    """One rule. bad, good: YAML documents; one without `kind` is the spec of a CiliumNetworkPolicy `example-<n>` in
    the namespace team-a."""

    id: str
    name: str
    severity: str
    explanation: str
    fix: str
    bad: str
    good: str


@dataclass(frozen=True)
class Chapter:
    """Rules about one subject."""

    title: str
    rules: tuple[LintRule, ...]


@cache
def chapters() -> tuple[Chapter, ...]:
    """The catalogue in the order of its ids."""
    folder = files("isolation.linting") / "catalogue_data"
    return tuple(_chapter((folder / f"{part}.yaml").read_text("utf-8")) for part in _PARTS)


@cache
def catalogue() -> Mapping[str, LintRule]:
    """id -> rule."""
    return {rule.id: rule for chapter in chapters() for rule in chapter.rules}


def _chapter(text: str) -> Chapter:
    data = yaml.load(text, Loader=yaml.CSafeLoader)
    return Chapter(data["title"], tuple(LintRule(**rule) for rule in data["rules"]))


def example_documents(text: str) -> str:
    """An example as whole objects, ready to be linted."""
    made = []
    for number, part in enumerate(text.split("\n---\n"), start=1):
        if "kind: " in part.splitlines()[0] or "\nkind: " in f"\n{part}":
            made.append(part)
            continue
        metadata = f"metadata: {{name: example-{number}, namespace: team-a}}"
        head = f"apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n{metadata}"
        body = "\n".join(f"  {line}" for line in part.strip().splitlines())
        made.append(f"{head}\nspec:\n{body}\n")
    return "\n---\n".join(made)
