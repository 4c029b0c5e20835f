"""HTTP rules: every field is a regular expression over the whole value, and headers must be there.

Source: Cilium 1.20, pkg/policy/api/http.go. Cilium's engine lists these rules and leaves the decision to Envoy.
"""

from dataclasses import dataclass

from isolation.node import Node


@dataclass(frozen=True)
class HttpRule:
    """One alternative; an empty text matches everything. headers: `Name` or `Name: value`."""

    method: str = ""
    path: str = ""
    host: str = ""
    headers: tuple[str, ...] = ()


def http_rule(node: Node) -> HttpRule:
    """An item of `http`."""
    fields = node.fields("method", "path", "host", "headers")
    texts = {name: fields[name].text() for name in ("method", "path", "host") if name in fields}
    headers = tuple(item.text() for item in fields["headers"].items()) if "headers" in fields else ()
    return HttpRule(**texts, headers=headers)
