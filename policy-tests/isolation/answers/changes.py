"""What a change opens and closes, as few rows as a reviewer can read: the facts of two trees compared and grouped.

One row holds what changes alike: for several accounts of a namespace, several ports, several tenants. A tenant that
comes or goes whole is one row, and one that comes as another goes with the same flows is renamed.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from isolation.answers.open_flows import Kind, OpenFlow

Key = TypeVar("Key")

OPENED, CLOSED = "opened", "closed"
PLATFORM = "platform"
_TENANT = "<tenant>"
_NAMED = 3  # tenants, hosts or flows that a row names before it counts


@dataclass(frozen=True)
class Side:
    """One tree's answer: its tenants and what is open."""

    tenants: frozenset[str]
    flows: frozenset[OpenFlow]


@dataclass(frozen=True)
class FlowRow:
    """One row for a reader. who: a tenant, `platform`, or several tenants.

    change: opened, closed, comes, goes, renamed.
    """

    who: str
    change: str
    what: str


@dataclass(frozen=True)
class FlowChanges:
    """All of the change (`opened`, `closed`), and how to read it (`crossings`, then `rows`)."""

    before: Side
    after: Side

    @cached_property
    def opened(self) -> tuple[OpenFlow, ...]:
        return _ordered(self.after.flows - self.before.flows)

    @cached_property
    def closed(self) -> tuple[OpenFlow, ...]:
        return _ordered(self.before.flows - self.after.flows)

    @cached_property
    def crossing(self) -> tuple[OpenFlow, ...]:
        """Flows between two tenants that were not open before; there should be none."""
        return tuple(flow for flow in self.opened if flow.is_crossing)

    @property
    def crossings(self) -> tuple[FlowRow, ...]:
        """The same, one row for each ordered pair of tenants."""
        pairs = _grouped(self.crossing, lambda flow: (flow.source_tenant, flow.target_tenant))
        return tuple(
            FlowRow(f"{source} -> {target}", OPENED, _listed(list(_merged(flows))))
            for (source, target), flows in sorted(pairs.items())
        )

    @cached_property
    def rows(self) -> tuple[FlowRow, ...]:
        """Everything but the crossings: whole tenants first, then the rest by tenant."""
        whole = self._came | self._went
        rest = {
            OPENED: [flow for flow in self.opened if not (flow.is_crossing or _tenants_of(flow) & whole)],
            CLOSED: [flow for flow in self.closed if not _tenants_of(flow) & whole],
        }
        return (*self._whole_tenants(), *_rows(rest))

    @property
    def _came(self) -> frozenset[str]:
        return self.after.tenants - self.before.tenants

    @property
    def _went(self) -> frozenset[str]:
        return self.before.tenants - self.after.tenants

    def _whole_tenants(self) -> Iterator[FlowRow]:
        came, went = _of_each(self._came, self.opened), _of_each(self._went, self.closed)
        shapes = {frozenset(_abstract(flow, old) for flow in flows): old for old, flows in sorted(went.items())}
        for new, flows in sorted(came.items()):
            old = shapes.pop(frozenset(_abstract(flow, new) for flow in flows), None)
            if old is None:
                yield FlowRow(new, "comes", f"with {_summary(flows)}")
            else:
                yield FlowRow(new, "renamed", f"was {old}; {_counted(flows)}, the same under the new name")
        for old in sorted(shapes.values()):
            yield FlowRow(old, "goes", f"with {_summary(went[old])}")


def _of_each(tenants: Iterable[str], flows: Collection[OpenFlow]) -> dict[str, list[OpenFlow]]:
    return {tenant: [flow for flow in flows if tenant in _tenants_of(flow)] for tenant in tenants}


def _tenants_of(flow: OpenFlow) -> set[str]:
    return {flow.source_tenant, flow.target_tenant} - {""}


def _summary(flows: Collection[OpenFlow]) -> str:
    """`54 flows and names, all within itself or to the platform but for a.example`."""
    crossing = [flow for flow in flows if flow.is_crossing]
    hosts = sorted({flow.target for flow in flows if flow.kind is Kind.HOST})
    where = f"; {len(crossing)} between tenants" if crossing else ", all within itself or to the platform"
    if hosts:
        where += f" but for {_named(hosts, 'outside hosts')}"
    return f"{_counted(flows)}{where}"


def _counted(flows: Collection[OpenFlow]) -> str:
    return f"{len(flows)} flow{'' if len(flows) == 1 else 's'} and names"


def _rows(changed: Mapping[str, Iterable[OpenFlow]]) -> Iterator[FlowRow]:
    """Per tenant the merged lines; lines that are the same but for the tenant's id become one row."""
    alike: dict[tuple[str, str], dict[str, str]] = {}
    for change, flows in changed.items():
        for tenant, own in sorted(_grouped(flows, lambda flow: flow.tenant).items()):
            for line in _merged(own):
                alike.setdefault((change, _without(line, tenant)), {})[tenant or PLATFORM] = line
    for (change, pattern), lines in sorted(alike.items(), key=lambda each: (min(each[1]), each[0])):
        if len(lines) == 1:
            ((tenant, line),) = lines.items()
            yield FlowRow(tenant, change, line)
        else:
            yield FlowRow(_named(sorted(lines), "tenants"), change, pattern)


def _merged(flows: Iterable[OpenFlow]) -> Iterator[str]:
    """Lines in which ports, then accounts of one namespace on either end, stand together."""
    ports: dict[tuple[str, str, Kind, str], list[str]] = {}
    for flow in flows:
        ports.setdefault((flow.source, flow.target, flow.kind, flow.name), []).append(flow.port)
    sources: dict[tuple[str, str, Kind, str, str], list[str]] = {}
    for (source, target, kind, name), found in ports.items():
        namespace, _, account = source.rpartition("/")
        sources.setdefault((namespace, target, kind, name, ", ".join(sorted(found))), []).append(account)
    targets: dict[tuple[str, str, Kind, str, str], list[str]] = {}
    for (source, target, kind, name, shown), accounts in sources.items():
        namespace, _, account = target.rpartition("/")
        key = (_together(source, accounts), namespace or target, kind, name, shown)
        targets.setdefault(key, []).append(account if namespace else "")
    for (source, target, kind, name, shown), accounts in sorted(targets.items()):
        yield str(OpenFlow(source, _together(target, accounts), shown, name, kind))


def _together(namespace: str, accounts: list[str]) -> str:
    """`acme-train/{step,trainer}`."""
    who = accounts[0] if len(accounts) == 1 else f"{{{','.join(sorted(accounts))}}}"
    return f"{namespace}/{who}".strip("/")


def _listed(lines: list[str]) -> str:
    more = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return f"{'; '.join(lines[:_NAMED])}{more}"


def _abstract(flow: OpenFlow, tenant: str) -> OpenFlow:
    return flow.renamed(lambda text: _without(text, tenant))


def _without(text: str, tenant: str) -> str:
    """The text with the tenant's id, as a whole word, replaced."""
    return re.sub(rf"(?<![a-z0-9]){re.escape(tenant)}(?![a-z0-9])", _TENANT, text) if tenant else text


def _named(items: list[str], what: str) -> str:
    """`3 tenants: a, b, c`; beyond three `12 tenants: a, b, c and 9 more`."""
    more = f" and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return f"{len(items)} {what}: {', '.join(items[:_NAMED])}{more}" if len(items) > 1 else items[0]


def _grouped(flows: Iterable[OpenFlow], key: Callable[[OpenFlow], Key]) -> dict[Key, list[OpenFlow]]:
    found: dict[Key, list[OpenFlow]] = {}
    for flow in flows:
        found.setdefault(key(flow), []).append(flow)
    return found


def _ordered(flows: Iterable[OpenFlow]) -> tuple[OpenFlow, ...]:
    return tuple(sorted(flows, key=str))
