"""Near-duplicate rows: clusters, the split that never cuts one, the check that none spans training and held-out rows.

Two rows are near-duplicates when the Jaccard similarity of their word 5-grams is >= 0.8. MinHash finds the candidates,
the exact similarity decides, so the answer does not hang on hash luck. The only module that imports datasketch.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

from trainer.data.formats import Row
from trainer.outcomes import BadInput

NEAR = 0.8
GRAM = 5  # words
_PERMUTATIONS = 64
_CANDIDATE = 0.65  # below NEAR, so that MinHash misses next to nothing


def normalised(text: str) -> str:
    """Unicode NFC, lower case, words parted by one blank: what counts as the same text."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFC", text).lower()))


def without_copies(rows: Sequence[Row]) -> list[Row]:
    """The rows whose normalised turns stand for the first time."""
    seen: dict[tuple[str, ...], Row] = {}
    for row in rows:
        seen.setdefault(tuple(f"{turn.role} {normalised(turn.content) or turn.content}" for turn in row.turns), row)
    return list(seen.values())


def clusters(rows: Sequence[Row]) -> list[int]:
    """For each row the index of the first row of its near-duplicate cluster (transitive; copies are in one)."""
    grams = [_grams(row.text) for row in rows]
    first = list(range(len(rows)))

    def root(index: int) -> int:
        while first[index] != index:
            index = first[index]
        return index

    for one, other in _candidates(grams):
        if len(grams[one] & grams[other]) >= NEAR * len(grams[one] | grams[other]):
            low, high = sorted((root(one), root(other)))
            first[high] = low
    return [root(index) for index in range(len(rows))]


def split(rows: Sequence[Row], *, share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Training and held-out rows: whole clusters are held out, in an order drawn from the seed, until `share` is met.

    Raises BadInput when the rows are all of one cluster, so that none could be held out.
    """
    groups: dict[int, list[Row]] = {}
    for row, cluster in zip(rows, clusters(rows), strict=True):
        groups.setdefault(cluster, []).append(row)
    if len(groups) == 1:
        raise BadInput(
            f"{len(rows)} rows are near-duplicates of one another; none can be held out; give an evaluation file"
        )
    ordered = sorted(groups.values(), key=lambda group: hashlib.sha256(f"{seed} {group[0].text}".encode()).digest())
    held: list[Row] = []
    while len(held) < share * len(rows) and len(ordered) > 1:
        held += ordered.pop()
    kept = [row for group in ordered for row in group]
    return sorted(kept, key=lambda row: row.line), sorted(held, key=lambda row: row.line)


def refuse_leaks(training: Sequence[Row], evaluation: Sequence[Row], *, shown_as: str) -> None:
    """Raise BadInput when a held-out row is in a cluster with a training row; every such row is a detail."""
    found = clusters([*training, *evaluation])
    lines = {cluster: row.line for row, cluster in reversed(list(zip(training, found, strict=False)))}
    leaks = [
        f"{shown_as}:{row.line}: is a near-duplicate of training row {lines[cluster]}"
        for row, cluster in zip(evaluation, found[len(training) :], strict=True)
        if cluster in lines
    ]
    if leaks:
        text = (
            f"{shown_as}: {len(leaks)} of {len(evaluation)} held-out rows also stand in the training rows; remove them"
        )
        raise BadInput(f"{text} (first: {leaks[0]})", leaks)


def _grams(text: str) -> frozenset[str]:
    words = normalised(text).split()
    return frozenset(" ".join(words[start : start + GRAM]) for start in range(max(1, len(words) - GRAM + 1)))


def _candidates(grams: Sequence[frozenset[str]]) -> list[tuple[int, int]]:
    from datasketch import MinHash, MinHashLSH

    encoded = [[gram.encode() for gram in sorted(found)] for found in grams]
    index = MinHashLSH(threshold=_CANDIDATE, num_perm=_PERMUTATIONS)
    pairs = []
    for number, sketch in enumerate(MinHash.generator(encoded, num_perm=_PERMUTATIONS, seed=1)):
        pairs += [(int(other), number) for other in index.query(sketch)]
        index.insert(number, sketch)
    return sorted(pairs)
