"""OIDC tokens: verified with the configured issuer's keys alone, and led to exactly one tenant."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.directory import OidcRule
from app.directory import Directory, read
from app.identity.caller import Caller, IssuerUnavailable, Unauthenticated
from app.identity.keysets import KEEP_SECONDS, MOST_BYTES, REFRESH_SECONDS, RETRY_SECONDS, KeySets
from app.identity.oidc import CACHE_SECONDS, LEEWAY_SECONDS, OidcTokens, matches
from app.tests.cast import tenant_entry, write_directory, write_entry
from app.tests.issuer import (
    AUDIENCE,
    ISSUER,
    OTHER_ISSUER,
    Endless,
    Issuer,
    claims,
    jwk,
    platform,
    signed_with_the_public_key,
    tenants,
    token,
    unsigned,
    with_rule,
)


def now() -> int:
    """Asked when a test runs: the first of a suite are collected minutes before the last."""
    return int(time.time())


class Site:
    """The tokens of one platform, its clock and its issuer."""

    def __init__(self, folder: Path, *issuers: str) -> None:
        self.folder, self.now, self.issuer = folder, 0.0, Issuer()
        self.begun = now()
        write_directory(folder, *tenants())
        write_entry(folder, "platform", platform(*issuers))
        self.directory: Directory = read(folder.as_uri())
        sets = KeySets(transport=self.issuer.transport, clock=lambda: self.now)
        self.tokens = OidcTokens(self.directory, sets, clock=lambda: self.begun + self.now)

    def caller(self, given: str) -> Caller | None:
        return anyio.run(self.tokens.caller, given)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "directory")


@pytest.mark.parametrize(
    ("kind", "algorithm", "kid"),
    [("RSA", "RS256", "rsa"), ("RSA", "PS384", "rsa"), ("EC", "ES256", "ec"), ("OKP", "EdDSA", "ed")],
)
def test_a_token_of_the_issuer_leads_to_the_tenant_of_its_claims(
    site: Site, kind: str, algorithm: str, kid: str
) -> None:
    assert site.caller(token(kind, algorithm, kid=kid)) == Caller("acme", "oidc:alice")
    assert site.caller(token(kind, algorithm, kid=kid, groups="globex")) == Caller("globex", "oidc:alice")
    assert site.caller(token(kind, algorithm, kid=kid, aud=["else", AUDIENCE])) == Caller("acme", "oidc:alice")


BAD: dict[str, Callable[[], str]] = {
    "expired": lambda: token(exp=now() - LEEWAY_SECONDS - 5),
    "not yet valid": lambda: token(nbf=now() + LEEWAY_SECONDS + 60),
    "without expiry": lambda: token(exp=None),
    "without audience": lambda: token(aud=None),
    "without subject": lambda: token(sub=None),
    "a subject that is no text": lambda: token(sub="a\nb"),
    "wrong audience": lambda: token(aud="another-service"),
    "an audience that only begins alike": lambda: token(aud="tenon-admin"),
    "alg none": unsigned,
    "HS256 over the public key": signed_with_the_public_key,
    "another key under a known id": lambda: token(number=1),
    "a key id the issuer does not have": lambda: token(kid="unheard-of"),
    "no key id where there are several keys": lambda: token(kid=None),
    "an algorithm that is not the key's": lambda: token(kid="ec"),
    "keys that the token brings along": lambda: token(number=1, kid="mine", header={"jwk": jwk("RSA", "mine", 1)}),
    "keys from where the token says": lambda: token(number=1, kid="mine", header={"jku": f"{OTHER_ISSUER}/keys"}),
    "no tenant's claim": lambda: token(groups=["staff"]),
    "a claim that only begins alike": lambda: token(groups=["acme2", "acm"]),
    "two tenants' claims": lambda: token(groups=["acme", "globex"]),
    "a changed signature": lambda: token()[:-6] + "AAAAAA",
    "changed claims": lambda: ".".join([token().split(".")[0], token(sub="eve").split(".")[1], token().split(".")[2]]),
    "too long": lambda: token(pad="x" * 9000),
}


@pytest.mark.parametrize("name", BAD)
def test_a_token_that_does_not_hold_is_nobodys(site: Site, name: str) -> None:
    given_ = BAD[name]()
    with pytest.raises(Unauthenticated) as refusal:
        site.caller(given_)
    assert not any(part in str(refusal.value) for part in given_.split(".") if part)
    assert all(url.startswith(f"{ISSUER}/") for url in site.issuer.asked)


@pytest.mark.parametrize(
    "made",
    [
        {"iss": OTHER_ISSUER},
        {"header": {"crit": ["exp"]}},
        {"iss": None},
        {"iss": f"{ISSUER}/"},
        "a.b.c",
        "é.ü.ö",
        "..",
    ],
)
def test_a_token_of_no_configured_issuer_is_left_to_others_and_nobody_is_asked(site: Site, made: Any) -> None:
    assert site.caller(made if isinstance(made, str) else token(**made)) is None
    assert site.issuer.asked == []


def test_a_key_of_another_configured_issuer_opens_nothing(tmp_path: Path) -> None:
    """Two issuers, one key id: each token is checked with its own issuer's keys."""
    site = Site(tmp_path / "directory", ISSUER, OTHER_ISSUER)
    site.issuer.fault = lambda request: httpx.Response(
        200,
        json={"issuer": f"https://{request.url.host}", "jwks_uri": f"https://{request.url.host}/keys"}
        if "well-known" in request.url.path
        else {"keys": [jwk("RSA", "rsa", 0 if request.url.host == "issuer.example" else 1)]},
    )
    assert site.caller(token(number=0)) == Caller("acme", "oidc:alice")
    with pytest.raises(Unauthenticated):
        site.caller(token(number=1))
    with pytest.raises(Unauthenticated, match="no rule"):  # genuine, but acme's rule names another issuer
        site.caller(token(number=1, iss=OTHER_ISSUER))


def test_keys_are_asked_for_once_and_an_unknown_id_asks_again_at_most_once_a_minute(site: Site) -> None:
    for _ in range(3):
        site.caller(token())
    assert len(site.issuer.asked) == 2  # discovery and keys
    site.issuer.keys.append(jwk("RSA", "new", 1))
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            site.caller(token(number=1, kid="new"))
    site.now += RETRY_SECONDS
    assert site.caller(token(number=1, kid="new")) == Caller("acme", "oidc:alice")
    for number in range(5):
        with pytest.raises(Unauthenticated):
            site.caller(token(kid=f"made-up-{number}"))
    assert len(site.issuer.asked) == 4


def test_a_key_that_the_issuer_took_back_is_refused_after_the_next_look(site: Site) -> None:
    site.caller(token())
    site.issuer.keys = [jwk("EC", "ec")]
    site.now += REFRESH_SECONDS + 1
    with pytest.raises(Unauthenticated):
        site.caller(token())


def gone(_request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


def test_the_last_good_keys_serve_while_the_issuer_is_down_but_not_for_ever(site: Site) -> None:
    site.caller(token())
    site.issuer.fault = gone
    site.now += KEEP_SECONDS - 1
    assert site.caller(token(exp=now() + 2 * int(KEEP_SECONDS))) == Caller("acme", "oidc:alice")
    site.now += RETRY_SECONDS + 1
    with pytest.raises(IssuerUnavailable, match="keys cannot be fetched"):
        site.caller(token(exp=now() + 2 * int(KEEP_SECONDS)))


def hang(_request: httpx.Request) -> httpx.Response:
    raise TimeoutError


@pytest.mark.parametrize(
    "fault",
    [
        gone,
        hang,
        lambda _: httpx.Response(500),
        lambda _: httpx.Response(302, headers={"Location": f"{ISSUER}/elsewhere"}),
        lambda _: httpx.Response(200, content=b"<html>"),
        lambda _: httpx.Response(200, content=b"[]"),
        lambda _: httpx.Response(200, content=b"[" * 100_000),
        lambda _: httpx.Response(200, content=b"\xff"),
        lambda _: httpx.Response(200, stream=Endless()),
        lambda _: httpx.Response(200, content=b" " * (MOST_BYTES + 1)),
        lambda _: httpx.Response(200, json={"issuer": OTHER_ISSUER, "jwks_uri": f"{ISSUER}/keys"}),
        lambda _: httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": f"{OTHER_ISSUER}/keys"}),
        lambda _: httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": "http://issuer.example/keys"}),
        lambda _: httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"}),
        lambda _: httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys", "keys": "many"}),
        lambda _: httpx.Response(200, json={"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys", "keys": [{}] * 1000}),
    ],
)
def test_an_issuer_that_answers_badly_is_unavailable_and_not_asked_again_at_once(site: Site, fault: Any) -> None:
    site.issuer.fault = fault
    for _ in range(3):
        with pytest.raises(IssuerUnavailable):
            site.caller(token())
    assert 1 <= len(site.issuer.asked) <= 2
    assert all(url.startswith(f"{ISSUER}/") for url in site.issuer.asked)


@pytest.mark.parametrize(
    "key",
    [
        lambda: {**jwk("RSA", "rsa"), "n": "AQ"},
        lambda: {"kty": "RSA", "kid": "rsa"},
        lambda: {"kty": "oct", "kid": "rsa", "k": "c2VjcmV0"},
        lambda: {**jwk("RSA", "rsa"), "use": "enc"},
        lambda: {**jwk("RSA", "rsa"), "alg": "PS256"},
    ],
)
def test_a_key_that_is_unfit_opens_nothing(site: Site, key: Callable[[], dict[str, Any]]) -> None:
    site.issuer.keys = [key()]
    with pytest.raises(Unauthenticated):
        site.caller(token())


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")  # of the signing
def test_a_key_that_is_too_short_opens_nothing(site: Site) -> None:
    site.issuer.keys = [jwk("small", "rsa")]
    with pytest.raises(Unauthenticated):
        site.caller(token("small"))


def test_a_verified_token_is_not_verified_again_for_a_while_and_never_past_its_end(site: Site) -> None:
    given_ = token(exp=site.begun + 20)
    site.caller(given_)
    site.issuer.fault = gone
    site.tokens._key_sets = KeySets(transport=site.issuer.transport)  # it would have to ask again
    site.now = 20 + LEEWAY_SECONDS - 1
    assert site.caller(given_) == Caller("acme", "oidc:alice")
    site.now = 20 + LEEWAY_SECONDS + 1
    with pytest.raises(IssuerUnavailable):
        site.caller(given_)
    assert CACHE_SECONDS <= 60


def test_a_rule_that_was_removed_opens_nothing_though_the_token_is_cached(site: Site) -> None:
    given_ = token()
    site.caller(given_)
    write_entry(site.folder, "acme", tenant_entry("acme"))
    site.directory._looked_at -= 5
    with pytest.raises(Unauthenticated, match="no rule"):
        site.caller(given_)


names = st.text("abc", min_size=1, max_size=2)


@settings(max_examples=60, deadline=None)
@given(
    first=st.tuples(names, names),
    second=st.tuples(names, names),
    held=st.dictionaries(names, st.one_of(names, st.lists(names, max_size=3)), max_size=3),
)
def test_claims_that_match_rules_of_two_tenants_lead_to_neither(
    tmp_path_factory: pytest.TempPathFactory,
    first: tuple[str, str],
    second: tuple[str, str],
    held: dict[str, Any],
) -> None:
    if first == second:  # one rule of two tenants is refused when the directory is read
        return
    entries = [
        with_rule(tenant_entry(tenant), claim=claim, value=value)
        for tenant, (claim, value) in (("acme", first), ("globex", second))
    ]
    directory = _Tenants(entries)
    told = {"aud": AUDIENCE, **held}
    fitting = [
        entry.id for entry in entries if any(rule.oidc and matches(rule.oidc, told) for rule in entry.credentials)
    ]
    tokens = OidcTokens(directory, KeySets())  # type: ignore[arg-type]
    if len(fitting) == 1:
        assert tokens._tenant(told, ISSUER)[0] == fitting[0]
    else:
        with pytest.raises(Unauthenticated):
            tokens._tenant(told, ISSUER)


class _Tenants:
    """A directory of these tenants alone."""

    def __init__(self, entries: list[Any]) -> None:
        self._entries = tuple(entries)

    def tenants(self) -> tuple[Any, ...]:
        return self._entries


def test_a_rule_matches_a_whole_value_and_nothing_else() -> None:
    rule = OidcRule(issuer=ISSUER, audience=AUDIENCE, claim="groups", value="acme")
    assert matches(rule, claims())
    for groups in ("acme,globex", ["ACME"], {"acme": True}, [["acme"]], 1, None):
        assert not matches(rule, claims(groups=groups))
