"""`tenon verdicts` line by line: what is answered, what is refused by name, and that no line is a crash."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isolation.policies.entities import Endpoints
from isolation.policies.identities import Identity
from isolation.worlds.answering import Answers, answers

Line = dict[str, Any]

SUBJECT = {"namespace": "a", "labels": {"app": "s"}}
OTHER = {"namespace": "b", "labels": {"app": "o"}}


def policy(spec: Line, name: str = "p", kind: str = "CiliumNetworkPolicy") -> Line:
    metadata = {"name": name} if kind == "CiliumClusterwideNetworkPolicy" else {"name": name, "namespace": "a"}
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": {"endpointSelector": {}, **spec}}


def asked(*policies: Line, **flow: Any) -> Line:
    """The answer to one line with its own world."""
    line = {"policies": list(policies), "from": SUBJECT, "to": OTHER, "port": 80} | flow
    (answer,) = answers([json.dumps(line)])
    return answer


NAMED_RANGE = policy({"ingress": [{"toPorts": [{"ports": [{"port": "web", "endPort": 443}]}]}]})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "no JSON"),
        ("[]", "not a mapping"),
        ('{"id": NaN}', "no number of JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"port": ' + "9" * 5000 + "}", "no JSON"),
        ('{"id": 1}', "neither a world nor a flow"),
        ('{"type": "world", "policies": 5}', "policies is 5, which is not a list"),
        (
            '{"type": "world", "policies": [], "peers": {"p": {"namespace": 5}}}',
            "namespace is 5, which is not a string",
        ),
        ('{"type": "world", "policies": [], "config": {"ipv6": "yes"}}', "config.ipv6 is 'yes'"),
        ('{"type": "world", "policies": [], "config": {"enforcement": "often"}}', "none of default, always, never"),
        ('{"policies": [], "from": {}, "to": {}, "port": 1}', "neither pod"),
        ('{"policies": [], "from": {"ip": "1.2.3"}, "to": {"ip": "::1"}, "port": 1}', "no address"),
        ('{"policies": [], "from": {"entity": "moon"}, "to": {"ip": "::1"}, "port": 1}', "no entity"),
        ('{"policies": [], "from": {"ip": "::1"}, "to": {"ip": "::1"}, "port": true}', "not a whole number"),
        ('{"policies": [], "from": {"ip": "::1"}, "to": {"ip": "::1"}, "port": 70000}', "not within 1-65535"),
        ('{"policies": [], "from": "x", "to": {"ip": "::1"}, "port": 1}', "not in the world"),
    ],
)
def test_a_line_that_is_no_question_is_told_why(line: str, why: str) -> None:
    said = Answers()
    assert why in said.answer(line)["error"]
    assert not said.is_faultless


@pytest.mark.parametrize(
    ("world", "why"),
    [
        ({"config": {"colour": "red"}}, "config colour is not understood"),
        ({"config": {"node_selector_labels": True}}, "node_selector_labels is not understood"),
        ({"config": {"label_prefixes": ["("]}}, "no regular expression"),
        ({"policies": [{"kind": "ClusterNetworkPolicy"}]}, "tiers override"),
        ({"policies": [NAMED_RANGE]}, "an endPort beside the named port 'web'"),
    ],
)
def test_what_is_not_understood_is_refused_by_name_and_so_are_the_flows_after_it(world: Line, why: str) -> None:
    flow = {"id": "f", "from": SUBJECT, "to": OTHER, "port": 80}
    first, second = answers(map(json.dumps, ({"type": "world", "policies": [], **world}, flow)))
    assert why in first["refused"]
    assert second == {"id": "f", "refused": "world: the world before this line was refused"}


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(max_size=40),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    ),
)
def test_no_text_and_no_value_in_any_field_is_a_crash(text: str, value: Any) -> None:
    flow = {"policies": [], "from": SUBJECT, "to": OTHER, "port": 80}
    fields = ("config", "namespaces", "cidr_groups", "dns", "policies", "peers", "from", "to", "port", "protocol")
    lines = [text, *(json.dumps(flow | {field: value}) for field in (*fields, "direction", "query", "sni", "http"))]
    assert all(isinstance(answer, dict) for answer in answers(lines))


def test_a_flow_without_policies_is_open_and_not_enforced() -> None:
    side = {"verdict": "allow", "enforced": False}
    assert asked() == {"id": None, "verdict": "allow", "egress": side, "ingress": side}


def test_only_the_side_that_is_asked_is_answered() -> None:
    answer = asked(policy({"egress": [{}]}), direction="ingress")
    assert answer["verdict"] == "allow"
    assert "egress" not in answer


def test_of_two_objects_with_one_name_the_last_is_in_force() -> None:
    deny, allow = policy({"egress": [{}]}), policy({"egress": [{"toEntities": ["all"]}]})
    assert asked(deny, allow)["verdict"] == "allow"
    assert asked(allow, deny)["verdict"] == "deny"


@pytest.mark.parametrize(("enforcement", "verdict"), [("default", "allow"), ("always", "deny"), ("never", "allow")])
def test_enforcement_decides_where_no_rule_does(enforcement: str, verdict: str) -> None:
    assert asked(config={"enforcement": enforcement})["verdict"] == verdict


def test_enforcement_never_ignores_every_rule() -> None:
    assert (
        asked(policy({"egressDeny": [{"toEntities": ["all"]}]}), config={"enforcement": "never"})["verdict"] == "allow"
    )


@pytest.mark.parametrize(("config", "verdict"), [({}, "allow"), ({"allow_localhost": "policy"}, "deny")])
def test_the_node_reaches_its_pods_unless_the_setting_says_otherwise(config: Line, verdict: str) -> None:
    host = {"entity": "host"}
    assert asked(policy({"ingress": [{}]}), **{"from": host, "to": SUBJECT}, config=config)["verdict"] == verdict


def test_the_node_is_admitted_beside_rules_only() -> None:
    """The allow is made for pods that some rule selects; without any, forced enforcement denies the node too."""
    flow = {"from": {"entity": "host"}, "to": SUBJECT, "config": {"enforcement": "always"}}
    assert asked(**flow)["verdict"] == "deny"
    assert asked(policy({"ingress": [{}]}), **flow)["verdict"] == "allow"


def test_a_starting_endpoint_is_under_default_deny() -> None:
    assert asked(**{"from": {"entity": "init"}})["egress"] == {"verdict": "deny", "enforced": True}


def test_a_peer_that_is_no_endpoint_is_not_enforced() -> None:
    raw = {"raw": ["reserved:init"], "endpoint": False}
    assert asked(**{"from": raw})["egress"] == {"verdict": "allow", "enforced": False}


def test_in_dual_stack_the_world_selector_selects_no_address() -> None:
    world = policy({"egress": [{"toEndpoints": [{"matchLabels": {"reserved:world": ""}}]}]})
    flow = {"to": {"ip": "9.9.9.9"}}
    assert asked(world, **flow)["verdict"] == "allow"
    assert asked(world, **flow, config={"ipv6": True})["verdict"] == "deny"


def test_a_pod_of_another_cluster_is_selected_by_name_only() -> None:
    anyone = policy({"egress": [{"toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "b"}}]}]})
    far = OTHER | {"cluster": "far"}
    assert asked(anyone)["verdict"] == "allow"
    assert asked(anyone, to=far)["verdict"] == "deny"
    assert asked(anyone, to=far, config={"any_cluster": True})["verdict"] == "allow"


def test_names_learned_for_a_shared_address_open_it_to_each_of_them() -> None:
    mine = policy({"egress": [{"toFQDNs": [{"matchName": "mine.example"}]}]})
    flow = {"to": {"ip": "9.9.9.9"}, "dns": {"9.9.9.9": ["mine.example", "theirs.example"]}}
    assert asked(mine, **flow)["verdict"] == "allow"
    assert asked(mine, to={"names": ["theirs.example"]})["verdict"] == "deny"


NAMED = {"ports": [{"port": "web", "protocol": "TCP"}]}


def test_a_named_port_is_the_destinations_own() -> None:
    web = OTHER | {"named_ports": [{"name": "web", "port": 80}]}
    out = policy({"egress": [{"toEntities": ["all"], "toPorts": [NAMED]}]})
    assert asked(out, to=web)["verdict"] == "allow"
    assert asked(out, to=web, port=81)["verdict"] == "deny"
    assert asked(out)["verdict"] == "deny"
    into = policy({"ingress": [{"fromEntities": ["all"], "toPorts": [NAMED]}]})
    assert asked(into, **{"from": OTHER, "to": SUBJECT | {"named_ports": web["named_ports"]}})["verdict"] == "allow"


def test_equal_peers_are_looked_up_once_and_their_sides_computed_once() -> None:
    said, flow = Answers(), {"from": SUBJECT, "to": OTHER, "port": 80}
    said.answer(json.dumps({"type": "world", "policies": [policy({"egress": [{}]})]}))
    for port in range(80, 180):
        said.answer(json.dumps(flow | {"port": port}))
    assert said.world
    assert len(said.world._described) == 2  # noqa: SLF001 - what is remembered is the claim
    assert len(said.world.policies._sides) == 4  # noqa: SLF001


def test_more_peers_than_are_kept_are_forgotten_and_answered_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isolation.worlds.answering.MOST_PEERS", 3)
    said = Answers()
    said.answer(json.dumps({"type": "world", "policies": [policy({"egress": [{}]})]}))
    for number in range(10):
        peer = {"namespace": "a", "labels": {"n": str(number)}}
        assert said.answer(json.dumps({"from": peer, "to": peer, "port": 1}))["egress"]["verdict"] == "deny"
    assert said.world
    assert len(said.world._described) <= 3  # noqa: SLF001


def test_of_many_rules_only_those_are_matched_that_name_the_peers_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    matched: list[Endpoints] = []
    selects = Endpoints.selects

    def counted(peer: Endpoints, identity: Identity) -> bool:
        matched.append(peer)
        return selects(peer, identity)

    monkeypatch.setattr(Endpoints, "selects", counted)
    key = "k8s:io.kubernetes.pod.namespace"
    rules = [{"toEndpoints": [{"matchLabels": {key: f"n{number}"}}]} for number in range(200)]
    flow = {"to": {"namespace": "n7"}}
    assert asked(policy({"egress": rules}), **flow)["verdict"] == "allow"
    assert len(matched) == 1


def test_an_address_that_no_policy_is_about_is_the_world_itself_and_in_no_group() -> None:
    """A selector that excludes the world selects, as a group, the addresses that have identities of their own."""
    spec = {
        "egress": [{"toEndpoints": [{"matchExpressions": [{"key": "reserved:world", "operator": "DoesNotExist"}]}]}]
    }
    about = policy({"egress": [{"toCIDR": ["9.9.9.0/24"], "toPorts": [{"ports": [{"port": "1"}]}]}]}, name="about")
    flow = {"to": {"ip": "9.9.9.9"}}
    assert asked(policy(spec), **flow)["verdict"] == "deny"
    assert asked(policy(spec), about, **flow)["verdict"] == "allow"
