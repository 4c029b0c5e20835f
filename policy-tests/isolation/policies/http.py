"""HTTP rules: every field is a regular expression over the whole value, and headers must be there.

Source: Cilium 1.20, pkg/policy/api/http.go, pkg/envoy/policy. Cilium's engine lists these rules and leaves the decision
to Envoy; the path is `:path`, query string included, the host `:authority`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from isolation.manifests.node import Node


@dataclass(frozen=True)
class Request:
    """What a proxy sees of one request. headers: by lower-case name."""

    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HttpRule:
    """One alternative; an empty text matches everything. headers: `Name` or `Name: value`."""

    method: str = ""
    path: str = ""
    host: str = ""
    headers: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        return self == EVERYTHING

    def matches(self, request: Request) -> bool:
        """All that is written must hold; an expression that is none matches nothing."""
        pairs = ((self.method, request.method), (self.path, request.path), (self.host, request.host))
        return all(_matches(*pair) for pair in pairs) and all(_has(request, header) for header in self.headers)


EVERYTHING = HttpRule()


def http_rule(node: Node) -> HttpRule:
    """An item of `http`."""
    fields = node.fields("method", "path", "host", "headers", "headerMatches")
    texts = {name: fields[name].text() for name in ("method", "path", "host") if name in fields}
    headers = [item.text() for item in fields["headers"].items()] if "headers" in fields else []
    if "headerMatches" in fields and not fields["headerMatches"].is_missing:
        headers += (_header_match(item) for item in fields["headerMatches"].items())
    return HttpRule(**texts, headers=tuple(headers))


def _header_match(node: Node) -> str:
    """The two forms that are plain conditions; those with a secret or an action depend on what is not in the tree."""
    fields = node.fields("name", "value")
    value = fields["value"].text() if "value" in fields else ""
    name = fields["name"].text()
    return f"{name}: {value}" if value else name


def _matches(expression: str, text: str) -> bool:
    if not expression:
        return True
    from isolation.policies.expressions import ExpressionError, compiled  # RE2 is needed where requests are asked, only

    try:
        return bool(compiled(expression).fullmatch(text))
    except ExpressionError:
        return False


def _has(request: Request, header: str) -> bool:
    """`Name: value` asks for exactly this value, `Name` for any; the first space ends the name."""
    name, space, value = header.partition(" ")
    found = request.headers.get(name.rstrip(":").lower() if space else name.lower())
    return found is not None and (not space or found == value)
