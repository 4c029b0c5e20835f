"""Files of any kind of manifests -> the objects that a linter is about, each with its lines.

Documents are read one by one, so that one that cannot be read hides no other; what holds no policy is passed over.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from isolation.linting.aliases import Aliases, Budget
from isolation.linting.objects import Policy
from isolation.linting.plain import listed
from isolation.linting.ways_around import WAYS_AROUND
from isolation.manifests.reading import DocumentPath, read_all
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document

_START = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_NAMES_A_POLICY = re.compile(r"\bkind[\"']?\s*:\s*[\"']?\w*NetworkPolicy\b")
_OUT_OF_BOUNDS = re.compile(r"is nested deeper than|aliases write more|anchors hold more|has no end|has no anchor")
_LINE = re.compile(r":([0-9]+)$")


@dataclass(frozen=True)
class Remark:
    """What is said of a document, or a whole file, before anything is judged: mostly that it could not be read. line:
    from 1."""

    rule: str
    file: str
    line: int
    path: str
    why: str


@dataclass(frozen=True)
class _Part:
    """One document's text. before: lines of the file above it."""

    file: str
    before: int
    text: str


@dataclass
class Inputs:
    """What was read: objects in the order of the files, and the comments that silence findings. not_read: documents of
    which nothing is known but that nothing in them is a policy's."""

    objects: list[Policy] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    ignored: dict[tuple[str, int], frozenset[str]] = field(default_factory=dict)
    files: int = 0
    not_read: int = 0

    def add(self, file: str, text: str) -> None:
        """Read one file's text."""
        self.files += 1
        self._comments(file, text)
        budget = Budget()
        for part in _parts(file, text):
            budget.used.clear()
            prepared = partial(Aliases, where=file, budget=budget)
            try:
                for read in read_all(part.text, where=file, prepared=prepared):
                    shifted = {path: line + part.before for path, line in read.lines.items()}
                    self.objects += _objects(file, read.body, shifted)
            except Refused as refused:
                told = list(_unread(part, refused))
                self.remarks += told
                self.not_read += not told
            else:
                self.remarks += _written_out(part, budget.used)

    def refuse(self, file: str, why: str) -> None:
        """Note a file whose text cannot be had."""
        self.files += 1
        self.remarks.append(Remark("TN001", file, 1, "", why))

    def _comments(self, file: str, text: str) -> None:
        """`# tenon-lint: ignore TN101 TN105 why`: on the line, or alone on the line above."""
        if "tenon-lint:" not in text:
            return
        for number, line in enumerate(text.splitlines(), start=1):
            if match := re.search(r"#\s*tenon-lint:\s*ignore\s+(.*)", line):
                rules = frozenset(re.findall(r"TN[0-9]{3}", match[1]))
                lines = (number, number + 1) if line.lstrip().startswith("#") else (number,)
                for covered in lines:
                    self.ignored[file, covered] = self.ignored.get((file, covered), frozenset()) | rules

    def is_ignored(self, file: str, line: int, rule: str) -> bool:
        return rule in self.ignored.get((file, line), ())


def _parts(file: str, text: str) -> Iterator[_Part]:
    """Each document's text. Nothing in YAML may hold `---` at a line's beginning."""
    start = line = 0
    for found in _START.finditer(text):
        if text[start : found.start()].strip():
            yield _Part(file, line, text[start : found.start()])
        line += text.count("\n", start, found.start())
        start = found.start()
    if text[start:].strip():
        yield _Part(file, line, text[start:])


def _objects(file: str, body: dict[str, Any], lines: Mapping[DocumentPath, int]) -> Iterator[Policy]:
    if body.get("kind") != "List" and not str(body.get("kind", "")).endswith("PolicyList"):
        yield Policy(Document(file, body, dict(lines)))
        return
    by_item: dict[int, dict[DocumentPath, int]] = {}
    for path, line in lines.items():
        if len(path) > 1 and path[0] == "items" and isinstance(path[1], int):
            by_item.setdefault(path[1], {})[path[2:]] = line
    for index, item in enumerate(listed(body.get("items"))):
        if isinstance(item, dict):
            yield Policy(Document(file, item, by_item.get(index, {})), prefix=("items", index))


def _unread(part: _Part, refused: Refused) -> Iterator[Remark]:
    """Nothing of a document that holds no policy and no way around one: how others are written is not our subject."""
    found = _LINE.search(refused.where)
    line = part.before + (int(found[1]) if found else 1)
    if refused.why.startswith("is no YAML"):
        yield Remark("TN001", part.file, line, "", refused.why)
    elif _NAMES_A_POLICY.search(part.text):
        yield Remark("TN002", part.file, line, refused.at, refused.why)
    elif word := WAYS_AROUND.search(part.text):
        yield Remark("TN008", part.file, line, refused.at, f"holds `{word[0]}` and is not read: {refused.why}")
    elif _OUT_OF_BOUNDS.search(refused.why):
        yield Remark("TN001", part.file, line, "", refused.why)


def _written_out(part: _Part, lines: list[int]) -> Iterator[Remark]:
    if lines and _NAMES_A_POLICY.search(part.text):
        aliases = "1 alias was" if len(lines) == 1 else f"{len(lines)} aliases were"
        yield Remark("TN007", part.file, part.before + lines[0], "", f"{aliases} written out")
