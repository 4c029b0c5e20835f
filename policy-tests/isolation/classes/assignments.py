"""The labels that a pod's author may choose, as far as any policy can tell them apart.

A selector sees of a pod only whether its terms hold. So for every key that selectors in play name and the cluster does
not set, one value each that they name, one that they do not, and none at all stand for every choice; of these
assignments one for each distinct vector of answers is kept. Forged keys of the cluster's are overwritten before a
policy sees them (labels.py), so that they are no choice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod

from isolation.manifests.refusals import Refused
from isolation.policies.labels import PodLabels, is_trusted
from isolation.policies.selectors import LabelSelector, Requirement

MOST = 4096  # assignments tried for one namespace and account; each is asked every selector in play
ANOTHER = "another-value"


def assignments(pod: PodLabels, selectors: Iterable[LabelSelector]) -> Iterator[Mapping[str, str]]:
    """One assignment of chosen labels for each answer that the selectors can give together; none chosen comes first.

    Raises Refused where more than MOST would have to be tried.
    """
    playing = _in_play(pod, selectors)
    values = {key: _values(key, playing) for key in sorted({t.key for s in playing for t in _chosen_terms(s)})}
    if (count := prod(len(each) for each in values.values())) > MOST:
        where = f"pods of {pod.namespace}/{pod.account}"
        why = f"{count} assignments of {len(values)} labels are more than {MOST}; select by namespace and account"
        raise Refused(where=where, at="", why=why)
    seen: set[tuple[bool, ...]] = set()
    for chosen in product(*values.values()):
        labels = {key: value for key, value in zip(values, chosen, strict=True) if value is not None}
        identity = replace(pod, chosen=labels).identity()
        answers = tuple(selector.matches(identity) for selector in playing)
        if answers not in seen:
            seen.add(answers)
            yield labels


def is_chosen(term: Requirement) -> bool:
    """Whether a pod's author decides the term. Pods carry no `reserved:` label, whatever they write."""
    return term.source != "reserved" and not is_trusted(term.key)


def _chosen_terms(selector: LabelSelector) -> Iterator[Requirement]:
    return (term for term in selector.requirements if is_chosen(term))


def _in_play(pod: PodLabels, selectors: Iterable[LabelSelector]) -> Sequence[LabelSelector]:
    """Selectors with a term that is chosen, whose other terms hold for the pod."""
    fixed = replace(pod, chosen={}).identity()
    return [
        selector
        for selector in dict.fromkeys(selectors)
        if any(_chosen_terms(selector))
        and all(term.holds(fixed) for term in selector.requirements if not is_chosen(term))
    ]


def _values(key: str, selectors: Iterable[LabelSelector]) -> list[str | None]:
    named = sorted({value for selector in selectors for value in selector.values_of(key)})
    another = ANOTHER
    while another in named:
        another += "-x"
    return [None, *named, another]
