"""Policies as plain data, and what the evaluator says of one that no tree holds."""

from typing import Any

from isolation.manifests.tree import Document
from isolation.policies.agent import DEFAULT_AGENT, Agent
from isolation.policies.parsing import Parsed, parse_policy

Body = dict[str, Any]
ENTITY: Body = {"toEntities": ["world"]}


def body(spec: Any = None, **others: Any) -> Body:
    made = {"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": {"name": "p", "namespace": "a"}}
    return made | ({} if spec is None else {"spec": spec}) | others


def egress(*entries: Any, **others: Any) -> Body:
    return body({"endpointSelector": {}, "egress": list(entries)} | others)


def port(port: Any = "80", /, **others: Any) -> Body:
    ports = [{"port": port, "protocol": others.pop("protocol", "TCP")} | others.pop("more", {})]
    return {"toPorts": [{"ports": ports} | others]}


def peer(**selector: Any) -> Body:
    return egress({"toEndpoints": [selector]})


def expression(key: str, operator: str, *values: str) -> Body:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


DNS, HTTP = {"dns": [{"matchName": "a.test"}]}, {"http": [{"path": "/"}]}


def parsed(policy: Body, agent: Agent = DEFAULT_AGENT) -> Parsed:
    """As an agent would read it that gets it from whoever. Raises Refused."""
    return parse_policy(Document("p.yaml", policy, {}), cluster="default", agent=agent, strict=False)


def rejections(policy: Body, agent: Agent = DEFAULT_AGENT) -> str:
    """Why the agent rejects it, in one text; empty when it enforces it."""
    return " ".join(map(str, parsed(policy, agent).rejected))
