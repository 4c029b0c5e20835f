"""An answer, cut to what two engines must agree on: the `expect*` fields of the case format (cases/README.md)."""

import re
from collections.abc import Mapping
from typing import Any

Line = dict[str, Any]

# The engine's validator takes a field whose value is zero for an unknown one (`endPort: 0`); the schema takes it.
_ZERO = re.compile(r"unknown fields found, extra:\[\S+[.]endPort(?: \S+[.]endPort)*\]")


def is_refused(answer: Mapping[str, Any]) -> bool:
    """Our evaluator names what it does not understand instead of answering; that is no mismatch, and is counted."""
    return "refused" in answer


def expected(answer: Mapping[str, Any]) -> Line:
    """The comparable part of a world's or a flow's answer, whoever gave it."""
    if answer.get("type") == "world":
        policies = answer.get("policies", ())
        accepted = ["accepted" if each["accepted"] else "rejected" for each in policies]
        return {"expect_policies": accepted, "expect_schema": [_schema(each) for each in policies]}
    sides = {side: answer[side] for side in ("egress", "ingress") if side in answer}
    made: Line = {"expect": answer.get("verdict", "error")}
    made |= {f"expect_{side}": given["verdict"] for side, given in sides.items()}
    if "dns" in answer:
        made["expect_dns"] = answer["dns"]
    parsers = {parser_name(each) for given in sides.values() for each in given.get("l7", ())}
    return made | {"expect_l7": ",".join(sorted(parsers))}


def parser_name(rule: str | Mapping[str, Any]) -> str:
    """Ours lists the proxy's parsers by name, the engine its rules."""
    return rule if isinstance(rule, str) else str(rule.get("parser", ""))


def differences(ours: Mapping[str, Any], engines: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields in which two answers to one line differ; none when ours is a refusal."""
    if is_refused(ours):
        return ()
    mine, theirs = expected(ours), expected(engines)
    return tuple(sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)))


def _schema(policy: Mapping[str, Any]) -> str:
    """`refused`: an API server would not take it, though an agent would enforce it. Nothing is said of what the agent
    rejects too, because an engine may stop at the first fault, nor of Kubernetes' own kind, whose schema the engine
    has not."""
    if not policy["accepted"] or policy["ref"].startswith("NetworkPolicy/"):
        return ""
    return "refused" if _ZERO.sub("", policy.get("schema_error", "")) else "valid"
