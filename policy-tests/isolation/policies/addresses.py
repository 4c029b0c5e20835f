"""Ranges of addresses, read as Go reads them: no netmask in place of the length, no zone, no leading zero.

Source: net/netip.ParsePrefix, which Cilium 1.20 uses (pkg/policy/api/rule_validation.go).
"""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

RFC_1918 = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))  # private networks

_RANGE = re.compile(r"[0-9A-Fa-f:.]+/(0|[1-9][0-9]{0,2})")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+")


@lru_cache(maxsize=4096)
def network_of(text: str) -> Network | None:
    """`10.0.0.0/8`, bits of the host allowed; None for anything else, a bare address included."""
    return _network(text) if _RANGE.fullmatch(text) else None


@lru_cache(maxsize=4096)
def address_or_network_of(text: str) -> Network | None:
    """As `network_of`; a bare address is the range of itself alone."""
    return _network(text) if _ADDRESS.fullmatch(text) else network_of(text)


def is_inside(inner: Network, outer: Network) -> bool:
    """Whether every address of the inner range is one of the outer."""
    if inner.version != outer.version:
        return False
    return inner.prefixlen >= outer.prefixlen and inner.network_address in outer


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
