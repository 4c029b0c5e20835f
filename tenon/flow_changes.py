"""The sections of `tenon diff` that are about isolation: what a change breaks, and the flows it opens and closes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from isolation.answers.changes import CLOSED, OPENED, PLATFORM, FlowChanges, Side
from isolation.manifests.refusals import Refused
from isolation.proof import Proof, prove
from isolation.results import CounterExample, Result

from generators.changes.objects import Section
from tenon.garbage import no_garbage

_FLOW_COLUMNS = ("tenant", "change", "flow")
_ROWS = 3  # of each broken invariant
_PAIRS = 10  # of tenants between whom something opens


@dataclass(frozen=True)
class Fault:
    """One thing that a proof finds broken.

    flow: the two ends of an open one; about: namespaces and side, or a folder, of which faults are told together.
    """

    text: str
    flow: tuple[str, ...] = ()
    about: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """One cluster in one tree: its proof, or why there is none; neither where the tree has no such cluster.

    within: the folder that the two trees do not share, which texts about them leave out.
    """

    within: str = ""
    proof: Proof | None = None
    refused: str = ""

    @property
    def is_worse_than_proved(self) -> bool:
        return bool(self.refused) or (self.proof is not None and not self.proof.holds)

    @property
    def fault(self) -> str:
        """In one line; empty where isolation is proved."""
        return self.refused.splitlines()[0] if self.refused else ", ".join(self.broken)

    @property
    def side(self) -> Side:
        """What is open there; nothing where nothing can be told."""
        if self.proof is None:
            return Side(frozenset(), frozenset())
        return Side(frozenset(self.proof.tenants), frozenset(self.proof.allowed))

    @cached_property
    def broken(self) -> dict[str, list[Fault]]:
        """The invariants that do not hold, each with its counter-examples."""
        if self.proof is None:
            return {"not provable": [Fault(self.refused)]} if self.refused else {}
        return {each.name: self._faults(each) for each in self.proof.broken}

    def _faults(self, result: Result) -> list[Fault]:
        """Where more were found than kept, the number of the others is one more, so that a new one among them shows."""
        found = [self._fault(one) for one in result.broken] or [Fault(result.remark)]
        return [*found, Fault(f"and {result.more:,} more counter-examples")] if result.more else found

    def _fault(self, one: CounterExample) -> Fault:
        text = f"{one.who}: {one.what}".replace(self.within, "")
        probe = one.probe or {}
        ends = tuple(probe.get(end, {}) for end in ("from", "to"))
        if one.answer != "allow" or not all("namespace" in end for end in ends):
            return Fault(text, about=(one.who.rpartition("/")[0],))
        flow = tuple(f"{end['namespace']}/{end.get('service_account')}" for end in ends)
        return Fault(text, flow, (*(end["namespace"] for end in ends), probe["direction"]))


@dataclass(frozen=True)
class Compared:
    """One cluster in both trees."""

    cluster: str
    before: Judged
    after: Judged

    @cached_property
    def flows(self) -> FlowChanges:
        """None where one of the trees cannot be judged: what was open there is not known."""
        if self.before.refused or self.after.refused:
            return FlowChanges(Judged().side, Judged().side)
        return FlowChanges(self.before.side, self.after.side)

    @cached_property
    def fresh(self) -> dict[str, list[Fault]]:
        """The invariants that this change breaks, each with the faults that were none before."""
        if self.before.refused and self.after.refused:
            return {}  # nothing can be told of either
        known = {name: {fault.text for fault in faults} for name, faults in self.before.broken.items()}
        found = {
            name: [fault for fault in faults if fault.text not in known.get(name, ())]
            for name, faults in self.after.broken.items()
        }
        return {name: faults for name, faults in found.items() if faults}

    @cached_property
    def breaks(self) -> list[tuple[str, str, str]]:
        """Flows between tenants first, then the faults that say more than those; empty where nothing got worse."""
        crossings = self.flows.crossings
        rows = [(f"{self.cluster}: {row.who}", row.change, row.what) for row in crossings[:_PAIRS]]
        if len(crossings) > _PAIRS:
            rows.append((self.cluster, OPENED, f"between {len(crossings) - _PAIRS} more pairs of tenants"))
        return [*rows, *self._faults()]

    def _faults(self) -> Iterator[tuple[str, str, str]]:
        """A fault that several invariants find stands once, with faults alike."""
        shown = {(flow.source, flow.target) for flow in self.flows.crossing}
        invariants: dict[Fault, list[str]] = {}
        for name, faults in self.fresh.items():
            for fault in (each for each in faults if each.flow not in shown):
                invariants.setdefault(fault, []).append(name)
        alike: dict[str, dict[tuple[str, ...], list[Fault]]] = {}
        for fault, names in invariants.items():
            alike.setdefault(", ".join(names), {}).setdefault(fault.about, []).append(fault)
        for named, groups in alike.items():
            for first, *others in list(groups.values())[:_ROWS]:
                more = f", and {len(others)} more like it" if others else ""
                yield self.cluster, f"breaks {named}", f"{first.text}{more}"
            if left := sum(map(len, list(groups.values())[_ROWS:])):
                yield self.cluster, f"breaks {named}", f"and {left} more; see tenon prove"


@dataclass(frozen=True)
class FlowSections:
    """All clusters of two trees."""

    clusters: tuple[Compared, ...]

    @property
    def is_failure(self) -> bool:
        return any(each.breaks for each in self.clusters)

    @property
    def breaks(self) -> Section:
        """What a reviewer must see first; without rows where nothing is broken that was not."""
        rows = tuple(row for each in self.clusters for row in each.breaks)
        names = dict.fromkeys(name for each in self.clusters for name in each.fresh)
        broken = f"BROKEN by this change ({', '.join(names) or 'flows between tenants'})"
        title = f"Isolation: {broken if rows else 'nothing newly broken'}"
        return Section("isolation", title, ("where", "change", "what"), rows)

    @property
    def grouped(self) -> Section:
        """Flows as rows for people."""
        rows = [
            (f"{each.cluster}/{row.who}", row.change, row.what) for each in self.clusters for row in each.flows.rows
        ]
        return Section("flows", self._title, _FLOW_COLUMNS, tuple(rows))

    @property
    def every(self) -> Section:
        """Flows one by one, for machines."""
        rows = [
            (f"{each.cluster}/{flow.tenant or PLATFORM}", change, str(flow), str(flow.kind))
            for each in self.clusters
            for change, flows in ((OPENED, each.flows.opened), (CLOSED, each.flows.closed))
            for flow in flows
        ]
        return Section("flows", self._title, (*_FLOW_COLUMNS, "kind"), tuple(rows))

    @property
    def _title(self) -> str:
        opened = sum(len(each.flows.opened) for each in self.clusters)
        closed = sum(len(each.flows.closed) for each in self.clusters)
        return f"Flows: {opened} opened, {closed} closed; isolation {self._verdict}"

    @property
    def _verdict(self) -> str:
        faults = [f"{each.cluster}: {each.after.fault}" for each in self.clusters if each.after.is_worse_than_proved]
        unknown = [each.cluster for each in self.clusters if each.before.refused and not each.after.refused]
        beside = f"; what was open before in {', '.join(unknown)} cannot be told" if unknown else ""
        return (f"NOT proved ({'; '.join(faults)})" if faults else "proved") + beside


def flow_sections(old: Path, new: Path) -> FlowSections:
    """Two proofs of each cluster."""
    names = sorted({folder.name for side in (old, new) for folder in side.iterdir() if folder.is_dir()})
    return FlowSections(tuple(Compared(name, judged(old / name), judged(new / name)) for name in names))


def judged(folder: Path) -> Judged:
    """One proof, or why there is none."""
    if not folder.is_dir():
        return Judged()
    within = f"{folder.parent.as_posix()}/"
    try:
        with no_garbage():
            return Judged(within, prove(folder))
    except Refused as refused:
        return Judged(within, refused=str(refused).replace(within, ""))
