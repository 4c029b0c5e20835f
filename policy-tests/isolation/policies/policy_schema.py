"""What the CRDs of CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy say of each field, as data.

Source: Cilium 1.20.2, pkg/k8s/apis/cilium.io/client/crds/v2 and the Go types in pkg/policy/api. Both kinds have one
schema. Deny sections have fewer fields: no names, no proxy rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# The same languages as the CRD's patterns, written so that no text makes them slow.
_NAME = r"^[-a-zA-Z0-9_]+([.][-a-zA-Z0-9_]+)*[.]?\Z"
_NAME_PATTERN = r"^[-a-zA-Z0-9_*]+([.][-a-zA-Z0-9_*]+)*[.]?\Z"
_PORT = r"^[0-9]|[a-zA-Z](-?[a-zA-Z0-9])*\Z"  # the CRD anchors each end in one alternative only
_LABEL_VALUE = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z"
_GROUP_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
_ICMP_TYPE = (  # of strings only; the CRD forgets some names that the agent knows
    r"^([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]|EchoReply|DestinationUnreachable|Redirect|Echo"
    r"|RouterAdvertisement|RouterSelection|TimeExceeded|ParameterProblem|Timestamp|TimestampReply|Photuris"
    r"|ExtendedEchoRequest|ExtendedEcho Reply|PacketTooBig|EchoRequest|MulticastListener(Query|Report|Done)"
    r"|RouterSolicitation|Neighbor(Solicitation|Advertisement)|RedirectMessage|RouterRenumbering"
    r"|ICMPNodeInformation(Query|Response)|InverseNeighborDiscovery(Solicitation|Advertisement)"
    r"|HomeAgentAddressDiscovery(Request|Reply)|MobilePrefix(Solicitation|Advertisement)"
    r"|DuplicateAddress(Request|Confirmation)CodeSuffix)\Z"
)

ENTITIES = (
    *("all", "world", "cluster", "cluster-mesh", "host", "init", "ingress", "unmanaged", "remote-node", "health"),
    *("none", "kube-apiserver"),
)
PROTOCOLS = ("TCP", "UDP", "SCTP", "VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH", "ANY")


@dataclass(frozen=True)
class Text:
    """A string. pattern: searched, as JSON schema does."""

    pattern: str = ""
    longest: int = 0
    shortest: int = 0
    one_of: tuple[str, ...] = ()
    is_range: bool = False


@dataclass(frozen=True)
class Whole:
    """A whole number."""

    least: int
    most: int


@dataclass(frozen=True)
class Flag:
    """True or false."""


@dataclass(frozen=True)
class NumberOrText:
    """A whole number, or a string that may be a name. pattern: of the string."""

    pattern: str = ""


@dataclass(frozen=True)
class Items:
    """A list."""

    item: "Shape"
    least: int = 0
    most: int | None = None
    is_set: bool = False


@dataclass(frozen=True)
class TextMap:
    """A mapping of any keys to strings."""

    value: Text = Text()


@dataclass(frozen=True)
class Fields:
    """A mapping of known keys. one_of: exactly one of these stands there; any_of: at least one.

    is_selector: Go decodes a null of it as `{}`, which selects everything, and not as absent.
    """

    known: Mapping[str, "Shape"] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    is_selector: bool = False


Shape = Text | Whole | Flag | NumberOrText | Items | TextMap | Fields

_TEXT = Text()
_EXPRESSION = Fields(
    {"key": _TEXT, "operator": Text(one_of=("In", "NotIn", "Exists", "DoesNotExist")), "values": Items(_TEXT)},
    required=("key", "operator"),
)
SELECTOR = Fields(
    {"matchLabels": TextMap(Text(_LABEL_VALUE, longest=63)), "matchExpressions": Items(_EXPRESSION)},
    is_selector=True,
)
_RANGE = Text(is_range=True)
_RANGE_SET = Fields(
    {
        "cidr": _RANGE,
        "cidrGroupRef": Text(_GROUP_NAME, longest=253),
        "cidrGroupSelector": SELECTOR,
        "except": Items(_RANGE),
    },
    one_of=("cidr", "cidrGroupRef", "cidrGroupSelector"),
)
_GROUPS = Items(
    Fields(
        {
            "aws": Fields(
                {
                    "labels": TextMap(),
                    "region": _TEXT,
                    "securityGroupsIds": Items(_TEXT),
                    "securityGroupsNames": Items(_TEXT),
                }
            )
        }
    )
)
_SERVICES = Items(
    Fields(
        {
            "k8sService": Fields({"namespace": _TEXT, "serviceName": _TEXT}),
            "k8sServiceSelector": Fields({"namespace": _TEXT, "selector": SELECTOR}, required=("selector",)),
        }
    )
)
_DNS_NAME = Fields(
    {"matchName": Text(_NAME, longest=255), "matchPattern": Text(_NAME_PATTERN, longest=255)},
    one_of=("matchName", "matchPattern"),
)
_SECRET = Fields({"name": _TEXT, "namespace": _TEXT}, required=("name",))
_TLS = Fields({"certificate": _TEXT, "privateKey": _TEXT, "secret": _SECRET, "trustedCA": _TEXT}, required=("secret",))
_LISTENER = Fields(
    {
        "envoyConfig": Fields(
            {
                "kind": Text(one_of=("CiliumEnvoyConfig", "CiliumClusterwideEnvoyConfig")),
                "name": Text(shortest=1),
            },
            required=("name",),
        ),
        "name": Text(shortest=1),
        "priority": Whole(1, 100),
    },
    required=("envoyConfig", "name"),
)
_HEADER = Fields(
    {
        "mismatch": Text(one_of=("LOG", "ADD", "DELETE", "REPLACE")),
        "name": Text(shortest=1),
        "secret": _SECRET,
        "value": _TEXT,
    },
    required=("name",),
)
_HTTP = Fields(
    {"method": _TEXT, "path": _TEXT, "host": _TEXT, "headers": Items(_TEXT), "headerMatches": Items(_HEADER)}
)
_PORT_FIELDS = Fields(
    {"port": Text(_PORT, longest=253), "endPort": Whole(0, 65535), "protocol": Text(one_of=PROTOCOLS)}
)
_PORTS = Items(
    Fields(
        {
            "ports": Items(_PORT_FIELDS, most=40),
            "rules": Fields({"http": Items(_HTTP), "dns": Items(_DNS_NAME)}, one_of=("http", "dns")),
            "serverNames": Items(Text(_NAME_PATTERN, longest=255), least=1, is_set=True),
            "terminatingTLS": _TLS,
            "originatingTLS": _TLS,
            "listener": _LISTENER,
        }
    )
)
_DENIED_PORTS = Items(Fields({"ports": Items(_PORT_FIELDS)}))
_ICMPS = Items(
    Fields(
        {
            "fields": Items(
                Fields({"family": Text(one_of=("IPv4", "IPv6")), "type": NumberOrText(_ICMP_TYPE)}, ("type",)), most=40
            )
        }
    )
)
_AUTHENTICATION = Fields({"mode": Text(one_of=("disabled", "required", "test-always-fail"))}, required=("mode",))


def _peers(side: str) -> dict[str, Shape]:
    return {
        f"{side}Endpoints": Items(SELECTOR),
        f"{side}Requires": Items(_TEXT, most=0),
        f"{side}CIDR": Items(_RANGE),
        f"{side}CIDRSet": Items(_RANGE_SET),
        f"{side}Entities": Items(Text(one_of=ENTITIES)),
        f"{side}Groups": _GROUPS,
        f"{side}Nodes": Items(SELECTOR),
    }


_TO: dict[str, Shape] = _peers("to") | {"toServices": _SERVICES}
_ALLOWED: dict[str, Shape] = {"toPorts": _PORTS, "icmps": _ICMPS, "authentication": _AUTHENTICATION}
_DENIED: dict[str, Shape] = {"toPorts": _DENIED_PORTS, "icmps": _ICMPS}

SPEC = Fields(
    {
        "description": _TEXT,
        "endpointSelector": SELECTOR,
        "nodeSelector": SELECTOR,
        "ingress": Items(Fields(_peers("from") | _ALLOWED)),
        "ingressDeny": Items(Fields(_peers("from") | _DENIED)),
        "egress": Items(Fields(_TO | {"toFQDNs": Items(_DNS_NAME)} | _ALLOWED)),
        "egressDeny": Items(Fields(_TO | _DENIED)),
        "enableDefaultDeny": Fields({"ingress": Flag(), "egress": Flag()}),
        "labels": Items(Fields({"key": _TEXT, "source": _TEXT, "value": _TEXT}, required=("key",))),
        "log": Fields({"value": Text(r"^[^\x00-\x1f\x7f-\x9f]*\Z", longest=32)}),
    },
    one_of=("endpointSelector", "nodeSelector"),
    any_of=("ingress", "ingressDeny", "egress", "egressDeny"),
)

_PEER = Fields(
    {
        "podSelector": SELECTOR,
        "namespaceSelector": SELECTOR,
        "ipBlock": Fields({"cidr": _TEXT, "except": Items(_TEXT)}),
    }
)
_NATIVE_PORTS = Items(Fields({"protocol": _TEXT, "port": NumberOrText(), "endPort": Whole(0, 65535)}))
NATIVE_SPEC = Fields(
    {
        "podSelector": SELECTOR,
        "policyTypes": Items(_TEXT),
        "ingress": Items(Fields({"from": Items(_PEER), "ports": _NATIVE_PORTS})),
        "egress": Items(Fields({"to": Items(_PEER), "ports": _NATIVE_PORTS})),
    }
)
