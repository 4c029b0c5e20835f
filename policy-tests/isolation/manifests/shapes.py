"""Tenants of equal policy shape: as many of them are judged as a claim can speak of, and they stand for the others.

A tenant's shape is what the network invariants read of its folder, with a mark in place of its id. Judging does not
look into ids: rename two tenants of one shape into each other, and every verdict is renamed likewise. So a claim holds
of all tenants if it holds of as many of each shape as it can name. A flow names two; whether it is open is decided by
whether rules exist that allow, deny or filter it, of which a third tenant's stands for all others of its shape; that
it would be decided otherwise without that rule, a fourth's; a pod may be named by an account of one tenant in a
namespace of another, which is the fifth. Hence REPRESENTATIVES.

It holds only where nothing does look into an id, so that a tenant is judged itself, for itself, whose id
- is a word of the platform's files, of another tenant's, or of its own where it does not mean the tenant;
- is a word that the judge or YAML knows, or may be read as part of an address;
- shares a word with a name pattern.
A name pattern or an expression that could match a part of an id keeps every tenant as it is. Limits on the length of
names are kept by the longest id of a shape, which is always judged.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isolation.manifests import vocabulary
from isolation.manifests.templates import ID, OF_ID, Template
from isolation.manifests.tree import Document, Tree
from isolation.manifests.whole_words import replaced

REPRESENTATIVES = 5
# All that invariants of representatives read of tenants; what reads more is asked about the whole tree (proof.py).
KINDS = frozenset(
    {
        "CiliumClusterwideNetworkPolicy",
        "CiliumNetworkPolicy",
        "NetworkPolicy",
        "Namespace",
        "Service",
        "ServiceAccount",
    }
)
_LONGEST_ID = 32
_MARK = "\0"  # no JSON text holds it
_ESCAPE = re.compile(r"\\(?:u[0-9a-f]{4}|.)")
_WORD = re.compile(r"[a-z0-9\0-]+")
_OF_ADDRESS = re.compile(r"[0-9a-f]{1,4}")
_PATTERN = re.compile(r'"[^"]*\*[^"]*"')
_CUTS_WORDS = re.compile(r"[A-Za-z0-9\0]\*|\*[A-Za-z0-9\0]")
_EXPRESSION = re.compile(r'":"[^"]*[][(){}^$+?|\\]')
_MARKED_KEY = re.compile(r'\0[^"]*":')


@dataclass(frozen=True, eq=False)
class Reduced:
    """The platform and the tenants that are judged. alike: judged tenant -> all tenants of its shape, itself among
    them; none for a tenant that stands for itself only."""

    tree: Tree
    judged: tuple[str, ...]
    alike: Mapping[str, tuple[str, ...]]


def reduced(tree: Tree, *, most: int = REPRESENTATIVES, besides: Iterable[str] = ()) -> Reduced:
    """The tree with at most so many tenants of each shape. besides: tenants that are judged themselves whatever their
    shape."""
    platform, folders = _parted(tree)
    groups = _groups(platform, folders) if len(folders) > most else [[tenant] for tenant in folders]
    judged, alike = set(besides) & folders.keys(), dict[str, tuple[str, ...]]()
    for members in groups:
        chosen = sorted(members, key=lambda tenant: (-len(tenant), tenant))[:most]
        judged.update(chosen)
        if len(members) > most:
            alike |= dict.fromkeys(chosen, tuple(sorted(members)))
    kept = {id(document) for tenant in judged for document in folders[tenant]}
    documents = (each for each in tree.documents if _owner(each) is None or id(each) in kept)
    return Reduced(Tree(tuple(documents)), tuple(sorted(judged)), alike)


def names_in(text: str, names: Iterable[str]) -> Iterator[str]:
    """Those of the names that stand in a text as a word, or as a part of one between dashes."""
    known = frozenset(names)
    found = {run for word in _WORD.findall(text.lower()) for run in _runs(word)}
    return (name for name in sorted(found) if name in known)


def renamed(text: str, words: Mapping[str, str]) -> str:
    """The text with one word for another, all at once."""
    either = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    return re.sub(rf"(?<![A-Za-z0-9])(?:{either})(?![A-Za-z0-9])", lambda found: words[found[0]], text)


def _parted(tree: Tree) -> tuple[list[Document], dict[str, list[Document]]]:
    """The platform's documents, and what is read of each tenant's; all of them where nothing is of a kind to read."""
    platform: list[Document] = []
    folders: dict[str, list[Document]] = {}
    rest: dict[str, list[Document]] = {}
    for document in tree.documents:
        if (tenant := _owner(document)) is None:
            platform.append(document)
        else:
            (folders if document.kind in KINDS else rest).setdefault(tenant, []).append(document)
    return platform, {tenant: folders.get(tenant) or rest[tenant] for tenant in sorted({*folders, *rest})}


def _owner(document: Document) -> str | None:
    return document.place[1] if document.place[:1] == ("tenants",) else None


def _groups(platform: list[Document], folders: Mapping[str, list[Document]]) -> list[list[str]]:
    """The tenants, those of equal shape together."""
    ids = frozenset(folders)
    own = _singular(ids)
    texts = _Texts()
    shapes: dict[tuple[_Text, ...], list[str]] = {}
    for tenant, documents in folders.items():
        shapes.setdefault(tuple([texts.of(document, tenant) for document in documents]), []).append(tenant)
    for shape, members in shapes.items():
        marked = frozenset[str]().union(*(text.marked for text in shape))
        named = _Named(marked, ids)
        if any(text.tells_apart for text in shape):
            own.update(members)
        for tenant in members:
            own |= named.by(tenant) - {tenant}
    read = [_Text.of(_json(each.body), of_policy=_is_policy(each)) for each in platform]
    read += texts.read
    if any(text.cuts_words for text in read):
        return [[tenant] for tenant in folders]
    said = {name for text in read for word in text.words for name in _runs(word)} & ids
    pieces = {piece for text in read for piece in text.pieces}
    own |= said | {tenant for tenant in ids if pieces & set(tenant.split("-"))}
    alone = [[tenant] for members in shapes.values() for tenant in members if tenant in own]
    return alone + [kept for members in shapes.values() if (kept := [each for each in members if each not in own])]


def _singular(ids: Iterable[str]) -> set[str]:
    """Ids that mean something by themselves."""
    return {
        tenant
        for tenant in ids
        if not ID.fullmatch(tenant) or tenant in vocabulary.WORDS or _OF_ADDRESS.fullmatch(tenant)
    }


@dataclass(frozen=True, eq=False)
class _Text:
    """What one marked text holds: words without the mark and with it, pieces of words in name patterns, and whether a
    pattern or an expression of it (`cuts_words`), or a key (`tells_apart`), could depend on the letters of an id."""

    words: frozenset[str]
    marked: frozenset[str]
    pieces: frozenset[str]
    cuts_words: bool
    tells_apart: bool

    @classmethod
    def of(cls, text: str, *, of_policy: bool) -> "_Text":
        plain = _ESCAPE.sub(" ", text).lower()
        found = frozenset(_WORD.findall(plain))
        marked = frozenset(word for word in found if _MARK in word)
        patterns = _PATTERN.findall(plain) if of_policy else []
        pieces = {piece for each in patterns for word in _WORD.findall(each) for piece in word.split("-")}
        cuts = of_policy and (any(map(_CUTS_WORDS.search, patterns)) or bool(_EXPRESSION.search(text)))
        return cls(found - marked, marked, frozenset(pieces - {"", _MARK}), cuts, bool(_MARKED_KEY.search(plain)))


class _Texts:
    """The texts of tenants' documents, with a mark for the id; equal ones are one.

    What was made of one template, and stands at places that differ in the id only, has one text, which is the
    template's: nothing else is in such a body (templates.py).
    """

    def __init__(self) -> None:
        self._by_text: dict[str, _Text] = {}
        self._by_template: dict[tuple[Template, str], _Text] = {}

    @property
    def read(self) -> Iterable["_Text"]:
        return self._by_text.values()

    def of(self, document: Document, tenant: str) -> "_Text":
        """In whose folder it stands."""
        place = "/".join(document.place[2:])
        if document.template is None:
            return self._text(replaced(f"{place}/{_json(document.body)}", tenant, _MARK), document)
        key = document.template, place.replace(tenant, _MARK)
        found = self._by_template.get(key)
        if found is None:
            marked = replaced(place, tenant, _MARK)
            body = _json(document.template.body).replace(OF_ID, _MARK)
            found = self._text(f"{marked}/{body}", document)
            if marked == key[1]:
                self._by_template[key] = found
        return found

    def _text(self, marked: str, document: Document) -> "_Text":
        if marked not in self._by_text:
            self._by_text[marked] = _Text.of(marked, of_policy=_is_policy(document))
        return self._by_text[marked]


def _is_policy(document: Document) -> bool:
    return document.kind.endswith("NetworkPolicy")


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class _Named:
    """The ids that words hold once a tenant's own stands in place of their mark."""

    def __init__(self, words: Iterable[str], ids: frozenset[str]) -> None:
        self._words, self._ids = frozenset(words), ids
        runs = {run for word in words for run in _runs(word)}
        self._marked = [run for run in runs if _MARK in run]
        self._always = runs & ids

    def by(self, tenant: str) -> set[str]:
        if "-" in tenant:  # a part of it may end, or begin, another's id
            return {name for word in self._words for name in _runs(word.replace(_MARK, tenant))} & self._ids
        return self._always | ({run.replace(_MARK, tenant) for run in self._marked} & self._ids)


def _runs(word: str) -> Iterator[str]:
    """The word, and each part of it between dashes that is no longer than an id."""
    parts = word.split("-")
    for first in range(len(parts)):
        length = -1
        for last in range(first, len(parts)):
            length += len(parts[last]) + 1
            if length > _LONGEST_ID:
                break
            yield "-".join(parts[first : last + 1])
