"""What a licence says of commercial use, as far as its name tells. A version is bound by its base and its data.

A licence is an SPDX expression (SPDX 2.3, annex D) or what the makers wrote: "CC BY-NC 4.0", "cc_by_nc", an address.
Only names of a list count as read; any other is to be read by a person, and forbids where its words say so.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NON_COMMERCIAL = re.compile(
    r"(^|-)(nc(?![a-z])|non?-?commercial|not-for-commercial|research|academic|non-production|evaluation-only"
    r"|mrl|mnpl|amlr|cpml)(?![a-z])"  # of Mistral (2), Apple, Coqui
)
# SPDX ids whose terms are known, to people who write about data and models at least.
_KNOWN = re.compile(
    r"(mit(-0)?|apache-(1\.1|2\.0)|(0|[1-4]-clause-)?bsd(-[1-4]-clause(-clear|-patent)?)?|isc|zlib|bsl-1\.0|unlicense"
    r"|cc0(-1\.0)?|cc-by(-nc)?(-sa)?(-[1-4]\.[05])?|cc-pddc|pddl-1\.0|odbl-1\.0|odc-by-1\.0"
    r"|cdla-(permissive|sharing)-[12]\.0|[al]?gpl-[123]\.[01](\+|-only|-or-later)?|mpl-(1\.1|2\.0)|epl-[12]\.0"
    r"|eupl-1\.[12]|ms-pl|afl-3\.0|artistic-2\.0|postgresql|psf-2\.0|ncsa|upl-1\.0|mulanpsl-2\.0"
    r"|polyform-noncommercial-1\.0\.0|etalab-2\.0|dl-de-by-2\.0|ogl-uk-3\.0)"
)
_OPERATORS = re.compile(r"(\(|\)|(?<!\S)(?:AND|OR|WITH)(?!\S))")


def forbids_commercial_use(expression: str) -> bool:
    """Whether a licence, or an expression of several, does: by AND any of them, by OR only all."""
    return _judged(expression).forbids


def needs_reading(expression: str) -> bool:
    """Whether a name stands for terms that it does not tell: conditions of the maker, or no known licence."""
    return not _judged(expression).is_known


def is_non_commercial(licences: Iterable[str]) -> bool:
    """Whether one of the licences that bind a version forbids commercial use."""
    return any(forbids_commercial_use(licence) for licence in licences)


@dataclass(frozen=True)
class _Judged:
    """is_known: every name of it is."""

    forbids: bool
    is_known: bool


def _judged(expression: str) -> _Judged:
    tokens = [token.strip() for token in _OPERATORS.split(expression) if token.strip()]
    try:
        found = _any_of(tokens)
    except (IndexError, RecursionError):
        return _name(expression)
    return found if not tokens else _name(expression)  # what is no expression is one name


def _any_of(tokens: list[str]) -> _Judged:
    """Takes the tokens that it reads from the list; raises IndexError where one is missing."""
    parts = [_all_of(tokens)]
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        parts.append(_all_of(tokens))
    return _Judged(all(part.forbids for part in parts), all(part.is_known for part in parts))


def _all_of(tokens: list[str]) -> _Judged:
    parts = [_one(tokens)]
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        parts.append(_one(tokens))
    return _Judged(any(part.forbids for part in parts), all(part.is_known for part in parts))


def _one(tokens: list[str]) -> _Judged:
    if (token := tokens.pop(0)) != "(":
        found = _name(token)
        if tokens and tokens[0] == "WITH":  # an exception permits more, never less
            tokens.pop(0)
            tokens.pop(0)
        return found
    found = _any_of(tokens)
    tokens.pop(0)  # the closing one
    return found


def _name(text: str) -> _Judged:
    """Of one licence; blanks, underscores and slashes count as hyphens, case does not count."""
    folded = re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-")
    return _Judged(_NON_COMMERCIAL.search(folded) is not None, _KNOWN.fullmatch(folded) is not None)
