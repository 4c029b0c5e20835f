"""Rules on one port: what merges, what cannot, and what proxies make of it. Claims about Envoy come from a model."""

import json
from itertools import permutations
from typing import Any

import pytest
from isolation.worlds.answering import answers

Line = dict[str, Any]

SUBJECT = {"namespace": "a", "labels": {"app": "s"}}
WORLD = {"ip": "9.9.9.9"}
SNI = {"serverNames": ["own.example"]}
HTTP = {"rules": {"http": [{"method": "GET", "path": "/public/.*"}]}}
DNS = {"rules": {"dns": [{"matchName": "own.example"}]}}


def egress(name: str, rule: Line, peer: Line | None = None, **port: Any) -> Line:
    """An object with one egress rule on one port."""
    ports = [{"port": "443", "protocol": "TCP"} | port]
    entry = ({"toEntities": ["world"]} if peer is None else peer) | {"toPorts": [{"ports": ports, **rule}]}
    spec = {"endpointSelector": {}, "egress": [entry]}
    metadata = {"name": name, "namespace": "a"}
    return {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": metadata, "spec": spec}


def asked(*policies: Line, **flow: Any) -> Line:
    line = {"policies": list(policies), "from": SUBJECT, "to": WORLD, "port": 443, "direction": "egress"} | flow
    (answer,) = answers([json.dumps(line)])
    return answer


def parsers(answer: Line) -> list[str]:
    return [rules["parser"] for rules in answer["egress"]["l7"]]


def test_server_names_take_http_rules_that_come_later_and_the_other_way_round_nothing_is_computed() -> None:
    """The order is that of the objects' names, so that a rename decides."""
    merged = asked(egress("a-sni", SNI), egress("b-http", HTTP))
    assert parsers(merged) == ["http"]
    broken = asked(egress("b-sni", SNI), egress("a-http", HTTP))
    assert broken["verdict"] == "error"
    assert "cannot merge" in broken["error"]


def test_a_merge_error_takes_the_endpoints_whole_policy_on_every_port() -> None:
    broken = [egress("b-sni", SNI), egress("a-http", HTTP), egress("open", {}, port="80")]
    assert asked(*broken, port=80)["verdict"] == "error"
    assert asked(*broken, **{"from": OTHER_NAMESPACE}, port=80)["verdict"] == "allow"
    assert asked(*broken, **{"from": OTHER_NAMESPACE, "to": SUBJECT, "direction": "ingress"})["verdict"] == "error"


OTHER_NAMESPACE = {"namespace": "b"}


@pytest.mark.parametrize(
    "apart",
    [
        {"peer": {"toCIDR": ["9.9.9.0/24"]}},
        {"peer": {}},
        {"endPort": 444},
    ],
)
def test_other_peers_and_other_port_ranges_do_not_merge(apart: Line) -> None:
    answer = asked(egress("b-sni", SNI), egress("a-http", HTTP, **apart))
    assert answer["verdict"] == "allow"
    assert parsers(answer) == ["http"]


@pytest.mark.parametrize("rules", [(SNI, DNS), (HTTP, DNS)])
def test_two_kinds_of_proxy_cannot_merge_in_any_order(rules: tuple[Line, Line]) -> None:
    for first, second in permutations(rules):
        assert asked(egress("a", first), egress("b", second))["verdict"] == "error"


def test_http_beats_tls_beats_dns_where_they_meet_on_one_port() -> None:
    dns = egress("a", DNS, peer={})
    tls = egress("b", SNI, peer={"toCIDR": ["9.9.9.0/24"]})
    http = egress("c", HTTP)
    assert parsers(asked(dns)) == ["dns"]
    assert parsers(asked(dns, tls)) == ["tls"]
    assert parsers(asked(dns, tls, http)) == ["http"]


def test_a_deny_of_the_same_peer_and_port_takes_the_place_of_what_could_not_merge() -> None:
    deny = egress("0", {})
    deny["spec"]["egressDeny"] = deny["spec"].pop("egress")
    answer = asked(deny, egress("b-sni", SNI), egress("a-http", HTTP))
    assert answer["egress"]["matched"] == ["CiliumNetworkPolicy/a/0"]


@pytest.mark.parametrize(
    ("others", "name", "verdict"),
    [
        ([], "own.example", "allow"),
        ([], "OWN.example.", "allow"),
        ([], "their.example", "deny"),
        ([], "", "deny"),
        ([egress("b", {"serverNames": ["*.example"]})], "their.example", "allow"),
        ([egress("b", {})], "their.example", "deny"),  # same peer and port: the lists are joined, the one list stays
        ([egress("b", {}, peer={})], "their.example", "allow"),  # any peer: an alternative of its own
        ([egress("b", {}, port="0")], "their.example", "allow"),
    ],
)
def test_a_server_name_passes_by_the_model(others: list[Line], name: str, verdict: str) -> None:
    answer = asked(egress("a", SNI), *others, sni=name)
    assert (answer["sni"]["verdict"], answer["sni"]["basis"]) == (verdict, "model")
    assert answer["sni"]["matched"]


@pytest.mark.parametrize(
    ("request_", "verdict"),
    [
        ({"path": "/public/a?b=c"}, "allow"),
        ({"path": "/public"}, "deny"),
        ({"path": "/public/a", "method": "POST"}, "deny"),
        ({"path": "/x/public/a"}, "deny"),
    ],
)
def test_a_request_passes_when_one_rule_matches_the_whole_of_it(request_: Line, verdict: str) -> None:
    assert asked(egress("a", HTTP), http=request_)["http"]["verdict"] == verdict


def test_a_rule_without_http_rules_on_the_same_peer_and_port_lets_every_request_pass() -> None:
    assert asked(egress("a", HTTP), egress("b", {}), http={"path": "/secret"})["http"]["verdict"] == "allow"


@pytest.mark.parametrize(
    ("written", "headers", "verdict"),
    [
        ("X-Key: true", {"x-key": "true"}, "allow"),
        ("X-Key: true", {"X-Key": "false"}, "deny"),
        ("X-Key", {"X-Key": "anything"}, "allow"),
        ("X-Key", {}, "deny"),
    ],
)
def test_headers_must_be_there(written: str, headers: Line, verdict: str) -> None:
    rule = {"rules": {"http": [{"headers": [written]}]}}
    assert asked(egress("a", rule), http={"headers": headers})["http"]["verdict"] == verdict


def test_a_path_that_explodes_elsewhere_is_answered_at_once() -> None:
    rule = {"rules": {"http": [{"path": "/(a+)+b"}]}}
    assert asked(egress("a", rule), http={"path": "/" + "a" * 5000})["http"]["verdict"] == "deny"


def test_without_default_deny_lists_of_names_and_requests_filter_nothing() -> None:
    """A switch of the endpoint: as soon as one rule asks for default deny, the lists count again."""
    quiet = egress("a", DNS, peer={}, port="53")
    quiet["spec"]["enableDefaultDeny"] = {"egress": False}
    flow = {"port": 53, "query": "their.example"}
    assert asked(quiet, **flow)["dns"] == "answered"
    assert asked(quiet, egress("b", {}), **flow)["dns"] == "refused"


def test_dns_rules_for_one_port_by_number_and_by_name_are_refused() -> None:
    """Two filters for one port: the one that an agent happens to take last replaces the other."""
    server = {"namespace": "b", "named_ports": [{"name": "dns", "port": 53}]}
    number, name = (egress(f"p{port}", DNS, peer={}, port=port) for port in ("53", "dns"))
    assert "in two ways" in asked(number, name, to=server, port=53, query="own.example")["refused"]
    assert asked(name, to=server, port=53, query="own.example")["dns"] == "answered"
