"""GPU quota and monthly cost that a change adds or takes away, as Kueue and ResourceQuota will have it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.contract.cost import SECONDS_PER_HOUR, Cost, Prices, cost_of
from app.contract.directory import DIRECTORY_KEY, PLATFORM_ID, directory_name
from generators.changes.objects import Body, Change, Files, Section, body_of, by_owner
from generators.naming import SYSTEM_NAMESPACE
from trainer.contract.report import Usage

HOURS_PER_MONTH = 730
_COVERED_BESIDE = frozenset({"cpu", "memory"})  # of a ClusterQueue; what else it covers are GPUs, by plugin or by claim


@dataclass(frozen=True)
class Share:
    """GPUs of one tenant, and what an hour of one costs."""

    flavor: str = ""
    guaranteed: int = 0
    borrowed: int = 0  # at most, while others leave them idle
    serving: int = 0
    prices: Prices = field(default_factory=Prices)

    @property
    def monthly(self) -> Cost:
        """What is reserved for the tenant, used or not: guaranteed and serving GPUs for a month."""
        hours = (self.guaranteed + self.serving) * HOURS_PER_MONTH
        return cost_of(Usage(gpu_seconds=hours * SECONDS_PER_HOUR), self.prices)


def gpu_changes(changes: tuple[Change, ...], base: Files, head: Files) -> Section:
    """One row for each tenant whose GPUs or price changed, and a sum."""
    owners = sorted({change.owner for change in changes if _counts(change.body)})
    olds, news = by_owner(base), by_owner(head)
    rows, total, currency = [], Decimal(0), ""
    for owner in owners:
        before, after = share_of(owner, olds), share_of(owner, news)
        if before == after:
            continue
        delta = after.monthly.amount - before.monthly.amount
        total, currency = total + delta, after.monthly.currency
        rows.append((owner, *_pairs(before, after), f"{delta:+.2f} {currency}"))
    title = f"GPUs and cost: {total:+.2f} {currency} a month".replace("  ", " ")
    columns = ("tenant", "flavor", "guaranteed", "borrowed", "serving", "monthlyCost")
    return Section("gpus", title, columns, tuple(rows))


def share_of(owner: str, owners: Mapping[str, Files]) -> Share:
    """The tenant's share in one tree; nothing when it is not there."""
    cluster, tenant = owner.split("/", 1)
    files = owners.get(owner, {})
    bodies = [
        body_of(path, content)
        for path, content in files.items()
        if "_clusterqueue_" in path or "_resourcequota_" in path
    ]
    queue = [group for body in bodies if body["kind"] == "ClusterQueue" for group in body["spec"]["resourceGroups"]]
    flavors = [flavor for group in queue for flavor in group["flavors"]]
    gpus = [each for flavor in flavors for each in flavor["resources"] if each["name"] not in _COVERED_BESIDE]
    quotas = [body["spec"]["hard"] for body in bodies if body["kind"] == "ResourceQuota"]
    return Share(
        flavor=", ".join(sorted({flavor["name"] for flavor in flavors})),
        guaranteed=_sum(each.get("nominalQuota") for each in gpus),
        borrowed=_sum(each.get("borrowingLimit") for each in gpus),
        serving=_sum(hard.get("requests.nvidia.com/gpu") for hard in quotas),
        prices=_prices(
            directory_entry(f"{cluster}/tenants/{tenant}", tenant, files),
            directory_entry(f"{cluster}/platform", PLATFORM_ID, owners.get(f"{cluster}/platform", {})),
        ),
    )


def _counts(body: Body) -> bool:
    return body["kind"] in {"ClusterQueue", "ResourceQuota"} or body["metadata"].get("name", "").startswith(
        "directory-"
    )


def _pairs(before: Share, after: Share) -> tuple[str, ...]:
    names = ("flavor", "guaranteed", "borrowed", "serving")
    return tuple(_pair(getattr(before, name), getattr(after, name)) for name in names)


def _pair(before: object, after: object) -> str:
    return (
        str(after) if before == after else f"{before if before != '' else 'none'} -> {after if after != '' else 'none'}"
    )


def _sum(quantities: Iterable[Any]) -> int:
    return sum(int(each) for each in quantities if each is not None)


def _prices(tenant: dict[str, Any], platform: dict[str, Any]) -> Prices:
    return Prices.model_validate({**platform.get("prices", {}), "gpuHour": tenant.get("gpuHourPrice", "0")})


def directory_entry(folder: str, owner: str, files: Files) -> dict[str, Any]:
    """What the services know of a tenant or of the platform; empty when it is not rendered."""
    name = f"core_configmap_{directory_name(owner)}.yaml"
    path = f"{folder}/foundation/{SYSTEM_NAMESPACE}/{name}"
    found: dict[str, Any] = json.loads(body_of(path, files[path])["data"][DIRECTORY_KEY]) if path in files else {}
    return found
