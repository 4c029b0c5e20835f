"""What the CRD's schema refuses and the agent does not: an agent that gets such an object enforces it.

And any data at all: read, rejected or refused, never a crash.
"""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isolation.manifests.refusals import Refused
from isolation.manifests.tree import Document
from isolation.policies.parsing import parse_policy
from mutants.policy_bodies import ENTITY, Body, body, egress, parsed, port, rejections

ENFORCED: dict[str, tuple[Body, str]] = {
    "bare address": (egress({"toCIDR": ["10.0.0.1"]}), "'10.0.0.1' is no range"),
    "unknown field": (egress(ENTITY | {"toFQDN": []}), "field `toFQDN` is not understood"),
    "unknown field on top": (egress(ENTITY) | {"description": "x"}, "field `description` is not understood"),
    "null": (egress(ENTITY | {"toPorts": None}), "spec.egress[0].toPorts: is null"),
    "no server name": (egress(port(serverNames=[])), "the schema wants at least 1"),
    "server name twice": (egress(port(serverNames=["a", "a"])), "holds one item twice"),
    "empty selector of names": (egress({"toFQDNs": [{}]}), "has 0 of matchName, matchPattern"),
    "empty proxy rules": (egress(port(rules={})), "has 0 of http, dns"),
    "requirement": (egress({"toRequires": ["x"]}), "the schema wants at most 0"),
    "entity by family": (egress({"toEntities": ["world-ipv4"]}), "'world-ipv4' is none of"),
    "protocol in lower case": (egress(port(protocol="tcp")), "'tcp' is none of"),
    "endPort above": (egress(port(more={"endPort": 70000})), "70000 is not within 0 and 65535"),
    "empty prefix of names": (egress({"toFQDNs": [{"matchName": ".a"}]}), "does not match"),
    "secret": (egress(port(terminatingTLS={})), "`secret` is missing"),
    "specs that is no more than there": (body(specs=[]), ""),
}


@pytest.mark.parametrize("name", ENFORCED)
def test_what_only_the_schema_refuses_an_agent_would_enforce(name: str) -> None:
    policy, why = ENFORCED[name]
    assert not rejections(policy)
    assert why in " ".join(map(str, parsed(policy).schema_faults))


JUNK: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, True, 0, -1, 1 << 70, 1.5, "", "x", "*", "0x50", "10.0.0.0/8", "é" * 300]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("endpointSelector", "nodeSelector", "egress", "ingress", "ingressDeny", "specs", "matchLabels"),
                    *("matchExpressions", "key", "operator", "values", "toEndpoints", "fromEndpoints", "toCIDR"),
                    *(
                        "toCIDRSet",
                        "cidr",
                        "except",
                        "cidrGroupSelector",
                        "toFQDNs",
                        "toPorts",
                        "ports",
                        "port",
                        "rules",
                    ),
                    *("dns", "http", "icmps", "fields", "type", "podSelector", "from", "ipBlock", "policyTypes"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(spec=JUNK, specs=JUNK, kind=st.sampled_from(["CiliumNetworkPolicy", "NetworkPolicy"]), strict=st.booleans())
def test_any_data_is_read_rejected_or_refused_and_never_a_crash(
    *, spec: Any, specs: Any, kind: str, strict: bool
) -> None:
    version = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "cilium.io/v2"
    policy = body(spec, specs=specs, kind=kind, apiVersion=version)
    with contextlib.suppress(Refused):
        read = parse_policy(Document("p.yaml", policy, {}), cluster="default", strict=strict)
        assert not (read.rules and read.rejected)
        assert all(str(fault) for fault in (*read.rejected, *read.schema_faults))
