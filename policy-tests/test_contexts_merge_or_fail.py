"""Authentication and TLS contexts change no verdict by themselves, but two that differ cost an endpoint its policy."""

import json
from typing import Any

import pytest
from isolation.worlds.answering import answers

Body = dict[str, Any]
TLS_A, TLS_B = {"secret": {"namespace": "a", "name": "s"}}, {"secret": {"namespace": "a", "name": "t"}}
REQUIRED, DISABLED = {"authentication": {"mode": "required"}}, {"authentication": {"mode": "disabled"}}


def asked(*entries: Body) -> Body:
    """The answer of the engine's model to one flow on the port of all entries."""
    ports = {"ports": [{"port": "443", "protocol": "TCP"}]}
    egress = [entry | {"toPorts": [ports | entry.get("toPorts", {})]} for entry in entries]
    policy = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "p", "namespace": "a"},
        "spec": {"endpointSelector": {}, "egress": egress},
    }
    peers = {"a": {"namespace": "a"}, "x": {"ip": "192.0.2.1"}}
    flow = {"from": "a", "to": "x", "port": 443, "direction": "egress"}
    world = {"type": "world", "policies": [policy], "peers": peers}
    *_, answer = answers(map(json.dumps, (world, flow)))
    return dict(answer)


@pytest.mark.parametrize("entry", [REQUIRED, DISABLED, {"authentication": {"mode": "test-always-fail"}}])
def test_a_mode_of_authentication_alone_is_a_plain_allow(entry: Body) -> None:
    answer = asked(entry)
    assert (answer["verdict"], answer["egress"].get("l7")) == ("allow", None)


@pytest.mark.parametrize("kind", ["terminatingTLS", "originatingTLS"])
def test_a_tls_context_alone_sends_traffic_through_the_proxy(kind: str) -> None:
    assert asked({"toPorts": {kind: TLS_A}})["egress"]["l7"] == [{"parser": "tls"}]


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        (REQUIRED, {}, "allow"),
        (REQUIRED, REQUIRED, "allow"),
        (REQUIRED, DISABLED, "error"),
        ({"toPorts": {"terminatingTLS": TLS_A}}, {}, "allow"),
        ({"toPorts": {"terminatingTLS": TLS_A}}, {"toPorts": {"terminatingTLS": TLS_B}}, "error"),
        ({"toPorts": {"originatingTLS": TLS_A}}, {"toPorts": {"originatingTLS": TLS_B}}, "error"),
        ({"toPorts": {"originatingTLS": TLS_A}}, {"toPorts": {"terminatingTLS": TLS_B}}, "allow"),
        ({"toEntities": ["world"]} | REQUIRED, DISABLED, "allow"),  # other selectors do not merge
    ],
)
def test_two_contexts_of_one_selector_and_port_are_equal_or_fail(one: Body, other: Body, verdict: str) -> None:
    assert asked(one, other)["verdict"] == asked(other, one)["verdict"] == verdict
