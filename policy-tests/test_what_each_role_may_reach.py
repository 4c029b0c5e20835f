"""The allow-list of each role of a tenant, as a file that a reviewer reads: a change of it is a change of this test."""

import os
from pathlib import Path

import pytest
from isolation.answers.open_flows import open_flows
from isolation.classes.cluster import Cluster
from isolation.policies.labels import Label

LIST = Path(__file__).parent / "vectors" / "acme-may.txt"


@pytest.fixture(scope="module")
def allowed(cluster: Cluster) -> tuple[str, ...]:
    return tuple(line for line in map(str, open_flows(cluster)) if "acme" in line)


@pytest.mark.requirement("A21")
def test_a_tenants_pods_may_do_what_the_list_says_and_nothing_else(allowed: tuple[str, ...]) -> None:
    """TENON_UPDATE_GOLDEN=1 writes the list anew."""
    if os.environ.get("TENON_UPDATE_GOLDEN"):
        LIST.parent.mkdir(exist_ok=True)
        LIST.write_text("".join(f"{line}\n" for line in allowed), encoding="utf-8")
    assert list(allowed) == LIST.read_text(encoding="utf-8").splitlines()


@pytest.mark.requirement("A20", "A22")
def test_training_pods_take_connections_from_their_own_ranks_and_prometheus_alone(allowed: tuple[str, ...]) -> None:
    into = {line.split(" -> ")[0] for line in allowed if " -> acme-train/" in line}
    assert into == {"acme-train/trainer", "monitoring/prometheus"}


@pytest.mark.requirement("A19")
def test_pods_of_two_tenants_never_have_one_identity(cluster: Cluster) -> None:
    tenants_of: dict[frozenset[Label], set[str | None]] = {}
    for pods in cluster.classes.of_tenants:
        tenants_of.setdefault(pods.identity.labels.all, set()).add(pods.role.tenant)
    assert len(tenants_of) > len(cluster.classes.tenants)
    assert {len(tenants) for tenants in tenants_of.values()} == {1}
