"""ICMP types by number and by name.

Source: Cilium 1.20.2, pkg/policy/api/icmp.go. The engine reads type 0 (IPv4 EchoReply) as port 0, which is every type.
"""

import re

from isolation.policies.ports import LAST_PORT, number_of

FAMILIES = ("IPv4", "IPv6")
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_IPV4 = {
    "EchoReply": 0,
    "DestinationUnreachable": 3,
    "Redirect": 5,
    "Echo": 8,
    "EchoRequest": 8,
    "RouterAdvertisement": 9,
    "RouterSelection": 10,
    "TimeExceeded": 11,
    "ParameterProblem": 12,
    "Timestamp": 13,
    "TimestampReply": 14,
    "Photuris": 40,
    "ExtendedEchoRequest": 42,
    "ExtendedEchoReply": 43,
}
_IPV6 = {
    "DestinationUnreachable": 1,
    "PacketTooBig": 2,
    "TimeExceeded": 3,
    "ParameterProblem": 4,
    "EchoRequest": 128,
    "EchoReply": 129,
    "MulticastListenerQuery": 130,
    "MulticastListenerReport": 131,
    "MulticastListenerDone": 132,
    "RouterSolicitation": 133,
    "RouterAdvertisement": 134,
    "NeighborSolicitation": 135,
    "NeighborAdvertisement": 136,
    "RedirectMessage": 137,
    "RouterRenumbering": 138,
    "ICMPNodeInformationQuery": 139,
    "ICMPNodeInformationResponse": 140,
    "InverseNeighborDiscoverySolicitation": 141,
    "InverseNeighborDiscoveryAdvertisement": 142,
    "HomeAgentAddressDiscoveryRequest": 144,
    "HomeAgentAddressDiscoveryReply": 145,
    "MobilePrefixSolicitation": 146,
    "MobilePrefixAdvertisement": 147,
    "DuplicateAddressRequestCodeSuffix": 157,
    "DuplicateAddressConfirmationCodeSuffix": 158,
    "ExtendedEchoRequest": 160,
    "ExtendedEchoReply": 161,
}


def icmp_type(written: str | int, family: str) -> int | None:
    """Number of the type, 0 for what the engine reads as every type; None for a name that the family does not have.

    A text that is a number to one reader and none to the next (`+8`, `08`) is every type, as in the engine.
    """
    text = str(written)
    if text != "0" and (not _DECIMAL.fullmatch(text) or not text.strip("+-0")):
        return (_IPV6 if family == "IPv6" else _IPV4).get(text)
    number = number_of(text)
    if number is not None:
        return min(number, LAST_PORT)
    return 0
