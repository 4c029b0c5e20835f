"""Which hosts and addresses are dialled: a corpus of what never is, and the public ones beside it."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.addresses import refuse_address, refuse_any, refuse_name

DATA = Path(__file__).parent / "data"
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "11.0.0.1")
PUBLIC_V6 = ("2606:4700::1111", "2a00:1450:4001:800::200e", "2001:4860:4860::8888", "2400:cb00::1", "2003::1")
PUBLIC_NAMES = ("hooks.acme.example", "a.co", "xn--bcher-kva.example", "1.2.3.4.example", "0x7f.example", "a1.b-2.com")


def corpus(name: str) -> Iterator[tuple[str, str]]:
    for line in (DATA / name).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            rule, _, entries = line.partition(": ")
            yield from ((entry, rule) for entry in entries.split())


ADDRESSES, NAMES = tuple(corpus("refused_addresses.txt")), tuple(corpus("refused_names.txt"))


@pytest.mark.requirement("A16")
def test_the_corpus_is_refused_each_by_its_rule() -> None:
    assert {text: refuse_address(ip_address(text)) for text, _rule in ADDRESSES} == dict(ADDRESSES)
    assert {text: refuse_name(text) for text, _rule in NAMES} == dict(NAMES)
    assert len(dict(ADDRESSES)) + len(dict(NAMES)) >= 150


@pytest.mark.parametrize("text", [*PUBLIC, *PUBLIC_V6])
def test_a_public_address_is_dialled(text: str) -> None:
    assert refuse_address(ip_address(text)) is None


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_a_name_of_public_dns_is_looked_up(name: str) -> None:
    assert refuse_name(name) is None


@pytest.mark.parametrize("bad", [text for text, _rule in ADDRESSES][::7])
def test_one_bad_address_spoils_a_name(bad: str) -> None:
    public = [ip_address(text) for text in PUBLIC]
    assert refuse_any(public) is None
    assert refuse_any([*public, ip_address(bad)]) == refuse_address(ip_address(bad))


def test_a_name_without_an_address_is_not_dialled() -> None:
    assert refuse_any([]) == "no address"


def test_a_platform_opens_inner_ranges_and_nothing_else() -> None:
    opened = [ip_network("10.1.2.0/24"), ip_network("fd12::/64"), ip_network("0.0.0.0/0"), ip_network("::/0")]
    assert refuse_address(ip_address("10.1.2.3"), opened=opened[:2]) is None
    assert refuse_address(ip_address("fd12::7"), opened=opened[:2]) is None
    assert refuse_address(ip_address("10.1.3.1"), opened=opened[:2]) == "private"
    still = {rule for text, rule in ADDRESSES if refuse_address(ip_address(text), opened=opened) is not None}
    assert {rule for _text, rule in ADDRESSES} - still == {"private", "shared", "unique local"}


@settings(max_examples=60, deadline=None)
@given(st.ip_addresses(v=4))
def test_what_python_holds_for_private_is_never_dialled(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert refuse_address(address) is not None


@settings(max_examples=60, deadline=None)
@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "::", "64:ff9b::", "64:ff9b:1::", "::ffff:0:0:0"]))
def test_no_form_that_embeds_an_address_is_dialled(inner: IPv4Address, prefix: str) -> None:
    assert refuse_address(IPv6Address(int(IPv6Address(prefix)) + int(inner))) is not None


@settings(max_examples=60, deadline=None)
@given(st.ip_addresses(v=6))
def test_only_global_unicast_of_ipv6_is_dialled(address: IPv6Address) -> None:
    if refuse_address(address) is None:
        assert address in ip_network("2000::/3")
        assert address.is_global
