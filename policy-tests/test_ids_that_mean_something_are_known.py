"""The words of the judge's own code are known, so that a tenant that is called like one is judged itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from isolation import proof
from isolation.manifests import vocabulary

FOLDER = Path(proof.__file__).parent
STARTS = ("proof", "manifests.shapes")
LEFT_OUT = {"objects.groups", "manifests.vocabulary"}  # the former's ask about every tenant, and may know any word
ID = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")


def imported(name: str) -> Iterator[str]:
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "isolation":
            module = str(node.module).removeprefix("isolation").removeprefix(".")
            yield module
            yield from (f"{module}.{alias.name}".removeprefix(".") for alias in node.names)


def parsed(name: str) -> ast.Module:
    return ast.parse(file_of(name).read_text())


def file_of(name: str) -> Path:
    return FOLDER / f"{name.replace('.', '/')}.py"


def modules() -> set[str]:
    found, left = set[str](), list(STARTS)
    while left:
        name = left.pop()
        if name not in found and name not in LEFT_OUT and file_of(name).is_file():
            found.add(name)
            left += imported(name)
    return found


def words(name: str) -> Iterator[str]:
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not re.search(r"\s", node.value):
            yield from (word for part in re.findall(r"[a-z0-9-]+", node.value) if ID.fullmatch(word := part.strip("-")))


def test_every_word_of_the_code_is_known() -> None:
    found = {word for name in modules() for word in words(name)}
    assert sorted(found - vocabulary.WORDS) == [], "add these to isolation/manifests/vocabulary.py"
