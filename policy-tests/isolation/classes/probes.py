"""Flow lines (the format of policy-tests/cases) by which any engine can be asked what a counter-example says.

Peers are written out, so that a line needs no other world than the policies and namespaces of the tree.
"""

from collections.abc import Mapping
from typing import Any

from isolation.classes.cluster import API_NODE, Party
from isolation.classes.pod_classes import PodClass
from isolation.policies.identities import ENTITY_LABELS, Identity
from isolation.policies.labels import Label
from isolation.policies.parsing import EGRESS
from isolation.policies.ports import Port

Line = Mapping[str, Any]


def flow_line(source: Party, destination: Party, port: Port, *, direction: str) -> Line:
    """One side of a flow: egress of the source or ingress of the destination."""
    return {
        "from": peer_line(source),
        "to": peer_line(destination),
        "port": port.number,
        "protocol": port.protocol,
        "direction": direction,
    }


def query_line(source: Party, server: Party, port: Port, *, name: str) -> Line:
    """A question for a name, sent to this server."""
    return {**flow_line(source, server, port, direction=EGRESS), "query": name}


def peer_line(party: Party) -> dict[str, Any]:
    """The party as a peer that is written out."""
    if isinstance(party, PodClass):
        labels = {"labels": dict(party.chosen)} if party.chosen else {}
        return {"namespace": party.namespace, "service_account": party.account, **labels}
    return outsider_line(party.identity)


def outsider_line(identity: Identity) -> dict[str, Any]:
    """An entity, a node with the API server on it, an address with what was learned for it, or names alone."""
    if identity is API_NODE:
        return {"raw": [str(label) for label in sorted(identity.labels.all)], "endpoint": False}
    if identity.address is None and not identity.names:
        (name,) = (name for name in ENTITY_LABELS if name == identity.name)
        return {"entity": name}
    made: dict[str, Any] = {} if identity.address is None else {"ip": str(identity.address)}
    if identity.names:
        made["names"] = sorted(identity.names)
    if Label("reserved", "kube-apiserver") in identity.labels.all:
        made["kube_apiserver"] = True
    return made
