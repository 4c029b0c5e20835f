"""The sections of `tenon diff` that are about isolation: what a change breaks, and the flows it opens and closes."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from isolation.answers.changes import CLOSED, OPENED, PLATFORM, FlowChanges, Side
from isolation.manifests.refusals import Refused
from isolation.proof import Proof, prove
from isolation.results import CounterExample

from generators.changes.objects import Section
from tenon.garbage import no_garbage

_FLOW_COLUMNS = ("tenant", "change", "flow")
_EXAMPLES = 3  # of each broken invariant


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

    @property
    def broken(self) -> dict[str, list[str]]:
        """The invariants that do not hold, each with its counter-examples."""
        if self.proof is None:
            return {"not provable": [self.refused]} if self.refused else {}
        return {each.name: [self._told(one) for one in each.broken] or [each.remark] for each in self.proof.broken}

    def _told(self, one: CounterExample) -> str:
        return f"{one.who}: {one.what}".replace(self.within, "")


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
    def breaks(self) -> list[tuple[str, str, str]]:
        """Flows between tenants first, then counter-examples that were none before; empty where nothing got worse."""
        rows = [(f"{self.cluster}: {row.who}", row.change, row.what) for row in self.flows.crossings]
        known = self.before.broken
        if self.before.refused and self.after.refused:
            return rows  # nothing can be told of either
        for name, examples in self.after.broken.items():
            fresh = [example for example in examples if example not in known.get(name, ())]
            rows += [(self.cluster, f"breaks {name}", example) for example in fresh[:_EXAMPLES]]
            if len(fresh) > _EXAMPLES:
                rows.append((self.cluster, f"breaks {name}", f"and {len(fresh) - _EXAMPLES} more; see tenon prove"))
        return rows


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
        title = f"Isolation: {'BROKEN by this change' if rows else 'nothing newly broken'}"
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
    return FlowSections(tuple(Compared(name, _judged(old / name), _judged(new / name)) for name in names))


def _judged(folder: Path) -> Judged:
    if not folder.is_dir():
        return Judged()
    within = f"{folder.parent.as_posix()}/"
    try:
        with no_garbage():
            return Judged(within, prove(folder))
    except Refused as refused:
        return Judged(within, refused=str(refused).replace(within, ""))
