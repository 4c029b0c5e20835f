"""Texts that differ in the tenant's id and in hashes only are parsed once, and filled in for each tenant.

Filling in gives what parsing the tenant's own text would give, because of what is checked first; a text that fails a
check is parsed itself, and refused in its own words:

- An id is letters, digits and dashes and begins with a letter; a hash is 8 hexadecimal digits behind a dash: no
  character of them means anything to YAML.
- They are replaced as whole words only. Behind a backslash a mark is refused, because no escape begins with its letter.
- No mark stands in the text, and none can come out of it: a text that spells letters as escapes, or joins lines by a
  backslash, is parsed itself.
- A mark is as long as what it stands for may be, so that a key which is short enough for YAML with the mark is short
  enough without.
- A word without quotes that holds one is asked again whether it is a string: `null` and `e-1` are ids too.
- Keys that differ with the marks differ without.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from isolation.manifests.reading import DocumentPath, Lines, Reading, is_plain_string, read_all, read_documents
from isolation.manifests.refusals import Refused
from isolation.manifests.whole_words import replaced

ID = re.compile(r"[a-z][a-z0-9-]{1,30}[a-z0-9]")
_HASH = re.compile(r"(?<=-)[0-9a-f]{8}(?![A-Za-z0-9])")  # names of workflow templates end so
OF_ID = "q" * 32  # in place of the tenant's id
_OF_HASH = "x" * 7  # and a digit, by order of appearance
_MARK = re.compile(f"({OF_ID}|{_OF_HASH}[0-9])")
_SPELLS = re.compile(r"\\[xuU\n]")

Body = dict[str, Any]
Object = tuple[Body, Lines]
Words = Mapping[str, str]  # mark -> what stands there
_Fill = Callable[[Words], Any]


class Templates:
    """What was parsed so far."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Template, ...] | None] = {}  # None: the marked text is refused
        self._strings: set[str] = set()  # words that are strings without quotes

    def documents(self, text: str, *, where: str, tenant: str | None) -> list[Object]:
        """What read_documents gives, for a text of a tenant's folder, or of the platform's. Raises Refused."""
        return self.read(text, where=where, tenant=tenant)[0]

    def read(self, text: str, *, where: str, tenant: str | None) -> "tuple[list[Object], Template | None]":
        """The same, and the template where it makes the text of every tenant that differs in the id only."""
        if tenant is not None and _may_be_marked(text, tenant):
            marked, words = _marked(text, tenant)
            templates = self._templates(marked)
            if templates is not None and all(self._are_strings(each.plain, words) for each in templates):
                try:
                    made = [each.filled(words) for each in templates]
                except _AlikeError:
                    pass  # the text itself says which keys
                else:
                    is_one = len(templates) == 1 and len(words) == 1 and not templates[0].has_marked_keys
                    return made, templates[0] if is_one else None
        return list(read_documents(text, where=where)), None

    def _templates(self, marked: str) -> "tuple[Template, ...] | None":
        if marked not in self._known:
            try:
                self._known[marked] = tuple(map(_template, read_all(marked, where="")))
            except Refused:
                self._known[marked] = None
        return self._known[marked]

    def _are_strings(self, plain: frozenset[str], words: Words) -> bool:
        new = {word for each in plain if (word := _filled_text(each, words)) not in self._strings}
        if not all(map(is_plain_string, new)):
            return False
        self._strings |= new
        return True


class _AlikeError(Exception):
    """Two keys of a mapping become one."""


@dataclass(frozen=True, eq=False)
class Template:
    """One document with marks. plain: its words without quotes that hold one; fill: None where nothing does.

    What holds no mark is shared by all documents made of it; nothing writes into a document's body.
    """

    body: Body
    lines: Lines
    plain: frozenset[str]
    fill: _Fill | None
    has_marked_keys: bool

    def of(self, tenant: str) -> Object:
        """For a template with no other marks, and none in a key."""
        return (self.body if self.fill is None else self.fill({OF_ID: tenant})), self.lines

    def filled(self, words: Words) -> Object:
        """Raises _AlikeError."""
        if self.fill is None:
            return self.body, self.lines
        body = self.fill(words)
        if not self.has_marked_keys:
            return body, self.lines
        return body, {_filled_path(path, words): line for path, line in self.lines.items()}


def _template(reading: Reading) -> Template:
    plain = frozenset(filter(_MARK.search, reading.plain))
    is_marked = any(_MARK.search(step) for path in reading.lines for step in path[-1:] if isinstance(step, str))
    return Template(reading.body, reading.lines, plain, _fill(reading.body), is_marked)


def _may_be_marked(text: str, tenant: str) -> bool:
    is_free = OF_ID not in text and _OF_HASH not in text and not ("\\" in text and _SPELLS.search(text))
    return is_free and ID.fullmatch(tenant) is not None


def _marked(text: str, tenant: str) -> tuple[str, Words]:
    """The text with a mark for each whole word that is the id or a hash, and what the marks stand for."""
    marks: dict[str, str] = {}

    def mark(found: re.Match[str]) -> str:
        if len(marks) < 10:
            marks.setdefault(found[0], f"{_OF_HASH}{len(marks)}")
        return marks.get(found[0], found[0])

    marked = _HASH.sub(mark, replaced(text, tenant, OF_ID))
    return marked, {OF_ID: tenant, **{of: word for word, of in marks.items()}}


def _filled_path(path: DocumentPath, words: Words) -> DocumentPath:
    return tuple(_filled_text(step, words) if isinstance(step, str) else step for step in path)


def _filled_text(text: str, words: Words) -> str:
    return _MARK.sub(lambda found: words[found[0]], text)


def _fill(value: Any) -> _Fill | None:
    """How to make the value from words; None where it is the same for all."""
    if isinstance(value, str):
        parts = _MARK.split(value)
        return (lambda words: "".join([words.get(part, part) for part in parts])) if len(parts) > 1 else None
    if isinstance(value, list):
        items = [(index, fill) for index, item in enumerate(value) if (fill := _fill(item))]
        return _filled_copy(value, items) if items else None
    if isinstance(value, dict):
        fills = {key: fill for key, item in value.items() if (fill := _fill(item))}
        if any(map(_MARK.search, value)):
            return _filled_keys(value, fills)
        return _filled_copy(value, list(fills.items())) if fills else None
    return None


def _filled_copy(value: Any, fills: list[tuple[Any, _Fill]]) -> _Fill:
    def fill(words: Words) -> Any:
        made = value.copy()
        for step, fill_one in fills:
            made[step] = fill_one(words)
        return made

    return fill


def _filled_keys(value: Body, fills: dict[str, _Fill]) -> _Fill:
    def fill(words: Words) -> Body:
        made = {_filled_text(key, words): fills[key](words) if key in fills else item for key, item in value.items()}
        if len(made) < len(value):
            raise _AlikeError
        return made

    return fill
