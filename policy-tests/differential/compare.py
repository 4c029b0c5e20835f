"""The judge's verdicts on a whole tree beside those of Cilium's engine.

`sides` compares every endpoint's own side about every party on every port, as the judge decides it when it proves;
`lines` compares answers to flow lines, with the rules that decided and the names that are answered.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.oracle import Oracle
from isolation.classes.cluster import Cluster, Party
from isolation.policies.parsing import EGRESS, INGRESS
from isolation.policies.ports import Port
from isolation.verdicts.world import Side, SideVerdict
from isolation.worlds.answering import answers

from differential.expected import differences, parser_name
from differential.worlds import Asked, Line, asked_of

_DENIED = ("deny",)

Value = tuple[str, ...]  # the verdict; for a redirect also its parser and server names


@dataclass(frozen=True)
class Comparison:
    """asked: questions put to both; mismatches: in words, those of one pair on all its ports as one."""

    asked: int
    mismatches: tuple[str, ...]


def sides(oracle: Oracle, cluster: Cluster) -> Comparison:
    """Both sides of every flow that the tree's parties can make."""
    asked, found = 0, list[str]()
    for question in asked_of(cluster):
        oracle.ask([question.world])
        for direction in (EGRESS, INGRESS):
            asked += len(question.subjects) * len(question.peers) * len(cluster.ports)
            found += _different_cells(oracle, cluster, question, direction)
    return Comparison(asked, tuple(found))


def lines(oracle: Oracle, world: Line, flows: Sequence[Line]) -> Comparison:
    """One world and flows about it. A line that our evaluator refuses is a mismatch here."""
    asked = [json.dumps(line) for line in (world, *flows)]
    theirs, ours = map(json.loads, oracle.ask_text(asked)), answers(asked)
    found = []
    for line, mine, engines in zip((world, *flows), ours, theirs, strict=True):
        if wrong := (*differences(mine, engines), *_differently_matched(mine, engines)):
            found.append(f"{line.get('id') or line}: {', '.join(wrong)}: ours {mine}, the engine's {engines}")
        elif "refused" in mine:
            found.append(f"{line.get('id') or line}: {mine['refused']}")
    return Comparison(len(asked), tuple(found))


def confirm(oracle: Oracle, world: Line, probes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the engine answers to probes: to the query, or for the side that is asked. `allow by tls` leaves it to a
    proxy, which looks at the server name."""
    _, *answers_ = oracle.ask([world, *probes])
    return [_answer(probe, answer) for probe, answer in zip(probes, answers_, strict=True)]


def _answer(probe: Mapping[str, Any], answer: Mapping[str, Any]) -> str:
    if "query" in probe:
        return str(answer.get("dns", answer))
    side = answer.get(str(probe["direction"]), answer)
    parsers = sorted({parser_name(rules) for rules in side.get("l7", ())})
    return " by ".join((str(side.get("verdict")), *parsers))


def _different_cells(oracle: Oracle, cluster: Cluster, asked: Asked, direction: str) -> Iterator[str]:
    ports = [(port.number, port.protocol) for port in cluster.ports]
    subjects, peers = ([str(party) for party in parties] for parties in (asked.subjects, asked.peers))
    matrix = oracle.matrix(subjects, peers, ports, direction=direction)
    values, width = [_engines(value) for value in matrix.values], len(ports)
    row = 0
    for subject in asked.subjects:
        side = cluster.side(subject, direction)
        for peer in asked.peers:
            theirs = [values[cell] for cell in matrix.cells[row : row + width]]
            row += width
            mine = _row(side, peer, cluster.ports)
            if mine != theirs:
                yield f"{direction} of {subject}, {peer}: {_told(cluster.ports, mine, theirs)}"


def _row(side: Side, peer: Party, ports: Sequence[Port]) -> list[Value]:
    selecting = side.selecting(peer.identity)
    if side.is_shut(selecting, peer.identity):
        return [_DENIED] * len(ports)
    return [_value(side.decide(selecting, peer.identity, port)) for port in ports]


def _value(verdict: SideVerdict) -> Value:
    if not verdict.is_allowed:
        return ("error",) if verdict.error else _DENIED
    if not verdict.l7:
        return ("allow",)
    names = {entry.text for rule in verdict.by for entry in rule.server_names or ()}
    return ("redirect", *verdict.l7, *sorted(names))


def _engines(value: str) -> Value:
    """`redirect tls a,b; tls c` is one redirect with three server names."""
    verdict, _, content = value.partition(" ")
    filters = [text.split(" ") for text in content.split("; ") if text]
    names = {name for words in filters for text in words[1:] if not text.startswith("[") for name in text.split(",")}
    return (verdict, *sorted({words[0] for words in filters}), *sorted(names))


def _told(ports: Iterable[Port], mine: list[Value], theirs: list[Value]) -> str:
    wrong = [row for row in zip(ports, mine, theirs, strict=True) if row[1] != row[2]]
    port, own, engines = wrong[0]
    return f"{len(wrong)} ports, on {port} ours {' '.join(own)}, the engine's {' '.join(engines)}"


def _differently_matched(mine: Mapping[str, Any], engines: Mapping[str, Any]) -> tuple[str, ...]:
    """The engine merges entries and names the objects behind the one that won; ours names every object that decided.

    So its objects are among ours, and both name some or none.
    """
    wrong = []
    for side in (EGRESS, INGRESS):
        own, theirs = (set(answer.get(side, {}).get("matched", ())) for answer in (mine, engines))
        if not theirs <= own or bool(theirs) != bool(own):
            wrong.append(f"{side}.matched")
    return tuple(wrong)
