"""The words of the judge's own code are known, so that a tenant that is called like one is judged itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from isolation import shapes, vocabulary

FOLDER = Path(shapes.__file__).parent
STARTS = ("proof", "shapes")
OF_THE_TREE = "tree_invariants"  # these are asked about every tenant, so that they may know any word
ID = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")


def imported(name: str) -> Iterator[str]:
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.ImportFrom) and node.module == "isolation":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("isolation."):
            yield str(node.module).split(".")[1]


def parsed(name: str) -> ast.Module:
    return ast.parse((FOLDER / f"{name}.py").read_text())


def modules() -> set[str]:
    found, left = set[str](), list(STARTS)
    while left:
        name = left.pop()
        if name not in found and name not in {OF_THE_TREE, "vocabulary"} and (FOLDER / f"{name}.py").is_file():
            found.add(name)
            left += imported(name)
    return found


def words(name: str) -> Iterator[str]:
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not re.search(r"\s", node.value):
            yield from (word for part in re.findall(r"[a-z0-9-]+", node.value) if ID.fullmatch(word := part.strip("-")))


def test_every_word_of_the_code_is_known() -> None:
    found = {word for name in modules() for word in words(name)}
    assert sorted(found - vocabulary.WORDS) == [], "add these to isolation/vocabulary.py"
