"""What holds of every world: an allow only opens, a deny only closes, and the order of documents does not matter."""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from differential.expected import expected, is_refused
from differential.generate import Generated, generate
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from isolation.worlds.answering import answers

Line = dict[str, Any]
Entry = dict[str, Any]

WORLDS = st.integers(0, 10**9).map(lambda seed: generate(seed, flows=25))
ALLOWS, DENIES = ("ingress", "egress"), ("ingressDeny", "egressDeny")
WIDEST = {"Endpoints": {"matchExpressions": []}, "Entities": "all", "CIDR": "0.0.0.0/0", "CIDRSet": {"cidr": "::/0"}}


def ask(world: Line, made: Generated) -> list[Line]:
    return list(answers(json.dumps(line) for line in (world, *made.flows)))


def entries(world: Line, sections: tuple[str, ...]) -> Iterator[list[Entry]]:
    """The lists of the sections that hold something, of every policy of Cilium's own kinds."""
    for policy in world["policies"]:
        specs = [policy.get("spec"), *(policy.get("specs") or ())] if policy["kind"] != "NetworkPolicy" else []
        for spec in (each for each in specs if each):
            yield from (spec[section] for section in sections if any(spec.get(section) or ()))


def open_flows(answered: list[Line]) -> set[str]:
    return {answer["id"] for answer in answered if answer.get("verdict") == "allow"}


def accepted(answered: list[Line]) -> list[bool]:
    return [policy["accepted"] for policy in answered[0]["policies"]]


def changed(made: Generated, sections: tuple[str, ...], change: Callable[[list[Entry], Random], bool]) -> Line:
    """A copy of the world with one list of entries changed; the example is dropped when there is nothing to change."""
    world, draw = copy.deepcopy(made.world), Random(made.world["id"])
    found = list(entries(world, sections))
    draw.shuffle(found)
    assume(any(change(each, draw) for each in found))
    return world


def widen(section: list[Entry], draw: Random) -> bool:
    """More peers, or every port, for an entry that no proxy looks at: a proxy's rules may refuse what passed before."""
    for entry in section:
        lists = [key for key, value in (entry or {}).items() if key != "toPorts" and value]
        if len(lists) != 1 or any("rules" in each or "serverNames" in each for each in entry.get("toPorts") or ()):
            continue
        kind = lists[0].removeprefix("to").removeprefix("from")
        if kind in WIDEST and draw.random() < 0.5:
            entry[lists[0]].append(WIDEST[kind])
            return True
        if (kind in WIDEST or lists == ["toFQDNs"]) and entry.pop("toPorts", None):
            return True
    return False


def remove(section: list[Entry], draw: Random) -> bool:
    del section[draw.randrange(len(section))]
    return True


@settings(max_examples=40, deadline=None)
@given(made=WORLDS)
def test_widening_an_allow_never_closes_a_flow(made: Generated) -> None:
    world = changed(made, ALLOWS, widen)
    before, after = ask(made.world, made), ask(world, made)
    assume(not is_refused(before[0]) and not is_refused(after[0]) and accepted(before) == accepted(after))
    assert open_flows(before) <= open_flows(after)


@settings(max_examples=40, deadline=None)
@given(made=WORLDS)
def test_removing_a_deny_never_closes_a_flow(made: Generated) -> None:
    world = changed(made, DENIES, remove)
    before, after = ask(made.world, made), ask(world, made)
    assume(not is_refused(before[0]) and not is_refused(after[0]) and accepted(before) == accepted(after))
    assert open_flows(before) <= open_flows(after)


@settings(max_examples=40, deadline=None)
@given(made=WORLDS, order=st.randoms(use_true_random=False))
def test_the_order_of_documents_never_matters(made: Generated, order: Random) -> None:
    assume(len(made.world["policies"]) > 1)
    policies = order.sample(made.world["policies"], len(made.world["policies"]))
    before, after = ask(made.world, made), ask(made.world | {"policies": policies}, made)
    assert [is_refused(each) or expected(each) for each in before[1:]] == [
        is_refused(each) or expected(each) for each in after[1:]
    ]
