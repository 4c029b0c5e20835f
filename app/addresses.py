"""May this host be dialled? Rules over names and addresses that tenants chose. Pure: nothing is resolved here.

Sources: IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890 and what came after), RFC 6052 and 8215 (NAT64),
RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214 (ISATAP), and the clouds' own pages on their metadata services.
`ipaddress.is_global` is no such rule: it takes the forms that embed IPv4 and some metadata services for public.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The first network that holds an address names the rule. In none of them: public, and of IPv6 only in 2000::/3.
_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("metadata service", ("169.254.169.254", "169.254.170.2", "169.254.170.23", "168.63.129.16", "100.100.100.200")),
    ("metadata service", ("192.0.0.192", "fd00:ec2::/32", "fd20:ce::254", "fd00:42::42")),
    ("unspecified", ("0.0.0.0/8", "::")),
    ("loopback", ("127.0.0.0/8", "::1")),
    ("private", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")),
    ("shared", ("100.64.0.0/10",)),
    ("link-local", ("169.254.0.0/16", "fe80::/10")),
    ("protocol assignments", ("192.0.0.0/24",)),
    ("documentation", ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20")),
    ("anycast sink", ("192.31.196.0/24", "192.175.48.0/24", "2620:4f:8000::/48")),
    ("anycast relay", ("192.52.193.0/24", "192.88.99.0/24")),
    ("benchmarking", ("198.18.0.0/15", "2001:2::/48")),
    ("multicast", ("224.0.0.0/4", "ff00::/8")),
    ("broadcast", ("255.255.255.255",)),
    ("reserved", ("240.0.0.0/4",)),
    ("IPv4-mapped", ("::ffff:0:0/96",)),
    ("IPv4-translated", ("::ffff:0:0:0/96",)),
    ("IPv4-compatible", ("::/96",)),
    ("NAT64", ("64:ff9b::/96", "64:ff9b:1::/48")),
    ("discard", ("100::/64", "100:0:0:1::/64")),
    ("Teredo", ("2001::/32",)),
    ("protocol assignments", ("2001::/23",)),
    ("6to4", ("2002::/16",)),
    ("segment routing", ("5f00::/16",)),
    ("unique local", ("fc00::/7",)),
    ("site-local", ("fec0::/10",)),
)
_TABLE: tuple[tuple[Network, str], ...] = tuple((ip_network(text), rule) for rule, texts in _RULES for text in texts)
_UNICAST = IPv6Network("2000::/3")
# What a platform may open for an allowed name: ranges that somebody hands out inside. The others are never opened.
_INNER = frozenset({"private", "shared", "unique local"})

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_IPV6 = re.compile(r"\[?[0-9a-f.]*:[0-9a-f:.]+(%.*)?\]?")
_NAME_CHARACTERS = 253
# Zones that public DNS does not hold: RFC 6761, 6762, 7686, 8375, 9476 and ICANN's `internal`.
_ZONES = ("localhost", "local", "invalid", "onion", "arpa", "alt", "internal")


def refuse_name(host: str) -> str | None:
    """Why a host is no name of public DNS, None where it may be one. `host` as it stands in a URL, in lower case.

    What libc would read as an address is refused as a number: `127.1`, `2130706433` and `0x7f.1` are all loopback.
    """
    if not host.isascii():
        return "not ASCII"
    labels = host.split(".")
    last = labels[-1] or (labels[-2] if len(labels) > 1 else "")  # behind a dot at the end
    if _NUMBER.fullmatch(last) or _IPV6.fullmatch(host):
        return "a number, no name"
    if len(host) > _NAME_CHARACTERS or not all(_LABEL.fullmatch(label) for label in labels):
        return "no host name"
    if len(labels) == 1 or labels[-1] in _ZONES:
        return "a name inside"
    return None


def refuse_address(address: Address, *, opened: Sequence[Network] = ()) -> str | None:
    """Name of the rule that forbids to dial the address, None where it is public.

    opened: ranges of the inner networks that the platform lets allowed names lead to.
    """
    rule = _rule(address)
    if rule in _INNER and any(address in network for network in opened):
        return None
    return rule


def refuse_any(addresses: Iterable[Address], *, opened: Sequence[Network] = ()) -> str | None:
    """Why a name with these addresses is not dialled: one bad address spoils it, and so does having none."""
    found = list(addresses)
    if not found:
        return "no address"
    return next((rule for address in found if (rule := refuse_address(address, opened=opened))), None)


def _rule(address: Address) -> str | None:
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "link-local"  # nothing else has a zone
    rule = next((rule for network, rule in _TABLE if address in network), None)
    if isinstance(address, IPv4Address):
        return rule
    if rule is None and address not in _UNICAST:
        return "reserved"
    for form, embedded in _embedded(address, rule):
        inner = _rule(embedded)
        return f"{form} of {inner}" if inner else form
    return rule


def _embedded(address: IPv6Address, rule: str | None) -> Iterator[tuple[str, IPv4Address]]:
    """The IPv4 address that a router or the kernel would take out of this one."""
    number, last = int(address), IPv4Address(int(address) & 0xFFFFFFFF)
    match rule:
        case "IPv4-mapped" | "IPv4-translated" | "IPv4-compatible" | "NAT64":
            yield rule, last
        case "6to4":
            yield rule, IPv4Address((number >> 80) & 0xFFFFFFFF)
        case "Teredo":  # the client's address is stored inverted
            yield rule, IPv4Address(int(last) ^ 0xFFFFFFFF)
        case None if (number >> 32) & 0xFDFFFFFF == 0x5EFE:  # noqa: PLR2004 - `::0:5efe:a.b.c.d`, also with the universal bit
            yield "ISATAP", last
        case _:
            return
