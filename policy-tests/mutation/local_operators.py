"""What is done to a policy that needs nothing of anybody else: selectors, ports, sections and settings made wrong."""

from collections.abc import Iterator

from isolation.network.policy_shapes import PLANE

from mutation.mutant import Mutant, Place

STRAY_PORT = 22


def spec(place: Place, *, is_cilium: bool) -> Iterator[Mutant]:
    if not is_cilium:
        yield Place(place.document, ("spec", "podSelector"), {}).put("subject narrowed", {"matchLabels": {"app": "x"}})
        for section in ("ingress", "egress"):
            if section not in place.value:
                yield place.put(f"+ {section} allows everything", {**place.value, section: [{}]})
        return
    for section in ("ingress", "egress"):
        side = "to" if section == "egress" else "from"
        if section not in place.value:
            yield place.put(f"+ {section} emptied", {**place.value, section: []})
            yield place.put(f"+ {section} of nobody", {**place.value, section: [{}]})
            yield place.put(f"+ {section} of all", {**place.value, section: [{f"{side}Entities": ["all"]}]})
    if "enableDefaultDeny" not in place.value:
        for directions in ({"egress": False}, {"ingress": False}, {"egress": False, "ingress": False}):
            yield place.put(
                f"no default deny of {', '.join(directions)}", {**place.value, "enableDefaultDeny": directions}
            )


def default_deny(place: Place) -> Iterator[Mutant]:
    if isinstance(place.value, bool):
        yield place.put("default deny flipped", not place.value)
    else:
        yield place.removed("default deny setting dropped")


def is_selector(place: Place) -> bool:
    is_peer = place.is_item and place.name.endswith("Endpoints")
    return is_peer or (place.name in {"endpointSelector", "podSelector", "nodeSelector"} and not place.is_item)


def selector(place: Place) -> Iterator[Mutant]:
    yield place.put("selector emptied", {})


def expression(place: Place) -> Iterator[Mutant]:
    yield place.removed("expression dropped")
    key = place.value["key"]
    if place.value["operator"] == "In":
        yield place.put("In made NotIn", {**place.value, "operator": "NotIn"})
        yield place.put("In made Exists", {"key": key, "operator": "Exists"})
        yield place.put("prefix dropped", {**place.value, "key": key.removeprefix("k8s:")})


def peer(place: Place) -> Iterator[Mutant]:
    yield place.removed("peer removed")
    if isinstance(place.value, str) and "/" in place.value:
        address, _, _ = place.value.partition("/")
        yield place.put("range widened", "::/0" if ":" in address else "0.0.0.0/0")
        yield place.put("range moved", "2001:db8:ffff::/64" if ":" in address else "198.51.100.0/24")
    elif isinstance(place.value, dict) and "cidr" in place.value:
        yield place.put("exceptions dropped", {"cidr": place.value["cidr"]})
        yield place.put("range moved", {"cidr": "198.51.100.0/24"})


def port_rule(place: Place) -> Iterator[Mutant]:
    yield place.removed("port rule removed")
    for field in ("rules", "serverNames"):
        if field in place.value:
            rest = {key: value for key, value in place.value.items() if key != field}
            yield place.put(f"{field} dropped", rest)


def ports(place: Place) -> Iterator[Mutant]:
    yield place.put("ports emptied", [])
    yield place.added(f"+ port {STRAY_PORT}", {"port": str(STRAY_PORT), "protocol": "TCP"})
    yield place.added("+ port 443", {"port": "443", "protocol": "TCP"})


def port(place: Place) -> Iterator[Mutant]:
    yield place.removed("port removed")
    number = int(place.value.get("port", 0)) if str(place.value.get("port", "0")).isdecimal() else 0
    yield place.put("port moved", {**place.value, "port": str(number + 1)})
    yield place.put("every port", {**place.value, "port": "0"})
    yield place.put("port widened to a range", {**place.value, "endPort": 65535})
    yield place.put("every protocol", {"port": place.value.get("port", "0")})
    yield place.put(
        "another protocol", {**place.value, "protocol": "UDP" if place.value.get("protocol") == "TCP" else "TCP"}
    )


def plane(place: Place) -> Iterator[Mutant]:
    """The one label of a Namespace by which policies select."""
    rest = {key: value for key, value in place.value.items() if key != PLANE}
    yield place.put("plane removed", rest)
    yield from (place.put(f"plane made {value}", {**rest, PLANE: value}) for value in ("train", "serve"))
