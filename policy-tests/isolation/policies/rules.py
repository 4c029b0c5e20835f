"""The rule that every kind of policy is parsed into, and where it is written."""

from dataclasses import dataclass

from isolation.manifests.node import dotted
from isolation.manifests.reading import DocumentPath
from isolation.manifests.tree import Document
from isolation.policies.entities import Peer
from isolation.policies.http import HttpRule
from isolation.policies.names import NamePattern
from isolation.policies.ports import NONE_NAMED, NamedPorts, Port, PortRange
from isolation.policies.selectors import LabelSelector

EGRESS, INGRESS = "egress", "ingress"
NO_CONTEXTS = ("", "", "")


@dataclass(frozen=True)
class Origin:
    """Where a rule is written."""

    document: Document
    path: DocumentPath

    def __str__(self) -> str:
        return f"{self.document.file}:{self.document.line(self.path)} {dotted(self.path)}"


@dataclass(frozen=True, eq=False)
class Rule:
    """One entry of one policy for one direction.

    peers: None is everyone, an empty tuple no one. ports: None is every port of every protocol, ICMP included; an
    empty tuple is none, and the rule enforces all the same. dns, server_names, http: None is no filter.
    default_deny: whether the policy asks for it in this direction. on_nodes: the subject is a node (nodeSelector), not
    a pod. terminates_tls: the proxy sees inside TLS, so that server names and HTTP rules may stand together.
    contexts: mode of authentication (alone it changes no verdict: mutual authentication is off since 1.19), secret of
    the terminating and of the originating TLS context; empty for none.
    """

    subject: LabelSelector
    direction: str
    peers: tuple[Peer, ...] | None
    ports: tuple[PortRange, ...] | None
    origin: Origin
    is_deny: bool = False
    default_deny: bool = True
    dns: tuple[NamePattern, ...] | None = None
    server_names: tuple[NamePattern, ...] | None = None
    http: tuple[HttpRule, ...] | None = None
    on_nodes: bool = False
    terminates_tls: bool = False
    originates_tls: bool = False
    contexts: tuple[str, str, str] = NO_CONTEXTS

    @property
    def redirects(self) -> tuple[str, ...]:
        """Name of the proxy's parser that the rule sends its traffic to, if any."""
        if self.dns is not None:
            return ("dns",)
        if self.http is not None:
            return ("http",)
        is_tls = self.server_names is not None or self.terminates_tls or self.originates_tls
        return ("tls",) if is_tls else ()

    def covers(self, port: Port, named: NamedPorts = NONE_NAMED) -> bool:
        """named: ports of the endpoint at the end of the flow, by name and protocol."""
        return self.ports is None or any(span.covers(port, named) for span in self.ports)
