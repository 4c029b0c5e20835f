"""Liveness: a rule that somebody needs, and that is gone, breaks the proof on the port where it is missed."""

from collections.abc import Callable
from typing import Any

import pytest
from isolation.manifests.tree import Document, Tree

Body = dict[str, Any]


def without_port(rule: int, port: int) -> Callable[[Body], object]:
    return lambda body: body["spec"]["egress"][rule]["toPorts"][0]["ports"].pop(port)


@pytest.mark.parametrize(
    ("reference", "change"),
    [
        ("tenon-system/webhooks-acme-dns", without_port(0, 0)),
        ("tenon-system/webhooks-acme-dns", without_port(0, 1)),
        ("monitoring/prometheus", without_port(1, 0)),
        ("monitoring/prometheus", without_port(1, 1)),
    ],
    ids=["callbacks by UDP", "callbacks by TCP", "servers' metrics", "metrics of a model's Ray"],
)
def test_a_port_that_is_needed_is_missed(
    reference: str,
    change: Callable[[Body], None],
    tree: Tree,
    policy: Callable[[str], Document],
    breaks: Callable[[Tree, str], bool],
) -> None:
    assert breaks(tree.changed(policy(reference), change), "alive")
