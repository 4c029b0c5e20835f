"""Addresses of platform.yaml that denies of private addresses leave out: few, named, and each for one purpose."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from generators.inputs.platform import Platform
from generators.inputs.reading import Document, KeyPath

Network = IPv4Network | IPv6Network

# A wider range could hold pods of others, nodes or the API server; the proof refuses it too.
_LEAST_PREFIX = {4: 24, 6: 64}


def refuse_ranges(platform: Platform, document: Document) -> None:
    """Collect each range that is too wide, or that holds an address of another purpose."""
    private = list(_at(("privateAddresses",), platform.private_addresses))
    api_server = list(_at(("apiServer", "addresses"), platform.api_server.addresses))
    nodes = list(_at(("nodeRanges",), platform.node_ranges))
    for path, network in (*private, *api_server):
        least = _LEAST_PREFIX[network.version]
        if network.prefixlen < least:
            text = f"{network} is wider than /{least}, and no deny of private addresses covers it; name the addresses"
            document.refuse(path, text)
    for path, network in private:
        for (key, *_), other in (*nodes, *api_server):
            if network.version == other.version and network.overlaps(other):
                document.refuse(path, f"{network} overlaps {other} of {key}; each address has one purpose")


def _at(path: KeyPath, ranges: tuple[str, ...]) -> Iterator[tuple[KeyPath, Network]]:
    for index, text in enumerate(ranges):
        yield (*path, index), ip_network(text)
