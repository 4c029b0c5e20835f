"""Callers inside the cluster: the API server vouches for the token, the namespace leads to the tenant."""

from dataclasses import dataclass, field
from pathlib import Path

import anyio
import jwt
import pytest

from app.apiserver import ApiServerUnavailable, RefusedError, Reviewed
from app.contract.internal import API_AUDIENCE, STATUS_AUDIENCE
from app.directory import read
from app.identity.caller import Caller, IssuerUnavailable, Unauthenticated
from app.identity.serviceaccount import CACHE_SECONDS, REVIEWS_PER_SECOND, ServiceAccountTokens
from app.tests.cast import write_directory

KEY = "a-key-of-the-tests-that-is-long-enough-for-hs256"


def token(
    namespace: str = "acme-train", account: str = "batch", *, audience: object = API_AUDIENCE, **more: str
) -> str:
    claims = {"aud": audience, "sub": f"system:serviceaccount:{namespace}:{account}", **more}
    return jwt.encode(claims, KEY, "HS256")


@dataclass
class Server:
    """An API server that knows these accounts; it believes signatures with its own key alone."""

    asked: list[tuple[str, ...]] = field(default_factory=list)
    fault: Exception | None = None

    def review_token(self, token: str, *, audiences: tuple[str, ...]) -> Reviewed | None:
        self.asked.append(audiences)
        if self.fault is not None:
            raise self.fault
        try:
            claims = jwt.decode(token, KEY, ["HS256"], audience=audiences)
        except jwt.PyJWTError:
            return None
        _, _, namespace, account = claims["sub"].split(":")
        return Reviewed(claims["sub"], namespace, account)


class Site:
    def __init__(self, folder: Path) -> None:
        self.server, self.now = Server(), 0.0
        directory = read(write_directory(folder))
        self.tokens = ServiceAccountTokens(directory, self.server, clock=lambda: self.now)

    def caller(self, given: str) -> Caller | None:
        return anyio.run(self.tokens.caller, given)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "directory")


@pytest.mark.parametrize(
    ("namespace", "tenant"), [("acme-train", "acme"), ("acme-serve", "acme"), ("globex-train", "globex")]
)
def test_a_pod_of_a_tenants_namespace_is_a_caller_of_the_tenant(site: Site, namespace: str, tenant: str) -> None:
    assert site.caller(token(namespace)) == Caller(tenant, f"account:{namespace}/batch")
    assert site.server.asked == [(API_AUDIENCE,)]


@pytest.mark.parametrize("namespace", ["default", "kube-system", "acme", "acme-train-2", "initech-train"])
def test_a_namespace_of_no_tenant_is_nobodys(site: Site, namespace: str) -> None:
    with pytest.raises(Unauthenticated, match="namespace"):
        site.caller(token(namespace))


def test_a_forged_token_is_nobodys(site: Site) -> None:
    forged = jwt.encode({"aud": API_AUDIENCE, "sub": "system:serviceaccount:acme-train:x"}, "f" * 32, "HS256")
    with pytest.raises(Unauthenticated, match="takes no such token"):
        site.caller(forged)


@pytest.mark.parametrize(
    "given", [token(audience=STATUS_AUDIENCE), token(audience=[]), token(sub="alice"), "a.b.c", token(pad="x" * 9000)]
)
def test_tokens_for_others_cost_the_api_server_nothing(site: Site, given: str) -> None:
    assert site.caller(given) is None
    assert site.server.asked == []


def test_an_answer_is_kept_for_a_while_be_it_yes_or_no(site: Site) -> None:
    good, bad = token(), token()[:-4] + "AAAA"
    for _ in range(3):
        site.caller(good)
        with pytest.raises(Unauthenticated):
            site.caller(bad)
    assert len(site.server.asked) == 2
    site.now += CACHE_SECONDS + 1
    site.caller(good)
    assert len(site.server.asked) == 3


def test_strangers_cannot_keep_the_api_server_busy(site: Site) -> None:
    refused = 0
    for number in range(200):
        try:
            site.caller(token(account=f"a{number}"))
        except IssuerUnavailable:
            refused += 1
    assert len(site.server.asked) == REVIEWS_PER_SECOND == 200 - refused
    site.now += 1
    assert site.caller(token(account="later")) is not None


@pytest.mark.parametrize("fault", [ApiServerUnavailable("gone"), RefusedError(403, "Forbidden", "no right to review")])
def test_an_api_server_that_does_not_answer_turns_nobody_into_a_stranger(site: Site, fault: Exception) -> None:
    site.server.fault = fault
    with pytest.raises(IssuerUnavailable):
        site.caller(token())
    site.server.fault = None
    assert site.caller(token()) is not None
