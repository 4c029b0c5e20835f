"""Fields of the cluster profile: which there are, of which type, and what their values must not be.

A field that the judge does not know may say that the cluster is another than the one it proves, so it is refused.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import combinations
from typing import Any

Network = IPv4Network | IPv6Network

_WORKLOAD: Mapping[str, Any] = {"namespace": str, "account": str}
_FIELDS: Mapping[str, Any] = {
    "apiServer": {"addresses": list, "port": int},
    "ciliumVersion": str,
    "dns": {"mode": str, "searchDomains": list, **_WORKLOAD},
    "gpuCapacity": dict,
    "ipFamilies": list,
    "labelFilter": list,
    "mesh": {"control": _WORKLOAD, "gateway": _WORKLOAD},
    "nodeRanges": list,
    "planeLabel": str,
    "privateAddresses": list,
    "storage": {"bucketPrefix": str, "mode": str, "region": str, "sharedAddresses": bool},
}
_OPTIONAL = frozenset({"mesh", "storage.region"})
_FILLED = frozenset({"dns.searchDomains", "ipFamilies", "labelFilter", "nodeRanges"})
_NAMES = {"storage.bucketPrefix", "storage.region"} | {
    f"{part}.{end}" for part in ("dns", "mesh.control", "mesh.gateway") for end in _WORKLOAD
}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_DOMAIN = re.compile(rf"{_NAME.pattern}(\.{_NAME.pattern})*")
_NARROW = {4: 24, 6: 64}  # IP version -> least prefix length of a range that denies of private addresses leave out


def field_faults(fields: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the fields by themselves; nothing more is asked of fields that have such a fault."""
    yield from _shape_faults(fields, _FIELDS, "")


def range_faults(fields: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with addresses. Of fields without field_faults. Raises ValueError for what is no range.

    An exempt range is one that denies of private addresses leave out: a wide one could hold pods of others, nodes,
    the API server.
    """
    purposes = {
        "nodeRanges": fields["nodeRanges"],
        "privateAddresses": fields["privateAddresses"],
        "apiServer.addresses": fields["apiServer"]["addresses"],
    }
    ranges = {purpose: [ip_network(text) for text in texts] for purpose, texts in purposes.items()}
    for purpose in ("privateAddresses", "apiServer.addresses"):
        for network in ranges[purpose]:
            if network.prefixlen < (least := _NARROW[network.version]):
                yield f"{purpose} {network} is wider than /{least}; name the addresses"
    for (first, ones), (second, others) in combinations(ranges.items(), 2):
        if {first, second} == {"nodeRanges", "apiServer.addresses"}:
            continue  # the API server may run on a node
        for one in ones:
            for other in others:
                if one.version == other.version and one.overlaps(other):
                    yield f"{second} {other} overlaps {first} {one}; each address has one purpose"


def _shape_faults(fields: Mapping[str, Any], known: Mapping[str, Any], path: str) -> Iterator[str]:
    for key in sorted(fields.keys() - known.keys()):
        yield f"`{path}{key}` is no field that is understood; known: {', '.join(known)}"
    for key, kind in known.items():
        place = f"{path}{key}"
        if key not in fields:
            if place not in _OPTIONAL:
                yield f"`{place}` is missing"
        elif isinstance(kind, Mapping):
            if isinstance(fields[key], dict):
                yield from _shape_faults(fields[key], kind, f"{place}.")
            else:
                yield f"`{place}` is no mapping"
        elif type(fields[key]) is not kind:
            yield f"`{place}` is {fields[key]!r}, no {kind.__name__}"
        else:
            yield from _value_faults(place, fields[key])


def _value_faults(place: str, value: Any) -> Iterator[str]:
    if place in _FILLED and not value:
        yield f"`{place}` is empty; name at least one"
    if isinstance(value, list) and (
        wrong := [item for item in value if type(item) is not str or item.split() != [item]]
    ):
        yield f"`{place}` holds {wrong[0]!r}, no text without spaces"
    elif place == "dns.searchDomains":
        for domain in value:
            if not _DOMAIN.fullmatch(domain):
                yield f"`{place}` holds {domain!r}, no domain of small letters, digits and dashes"
    if place in _NAMES and not _NAME.fullmatch(value):
        yield f"`{place}` is {value!r}, no name of small letters, digits and dashes"
    if place == "gpuCapacity":
        for name, count in value.items():
            if type(count) is not int or count < 0:
                yield f"`{place}.{name}` is {count!r}, no number of GPUs"
