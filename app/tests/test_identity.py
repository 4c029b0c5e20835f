"""Credentials: a caller is exactly one tenant, by its key alone."""

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.directory import read
from app.identity.caller import Callers, Unauthenticated
from app.identity.keys import digest, draw_key, read_key
from app.tests.cast import KEYS, UNKNOWN_KEY, tenant_entry, write_directory


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Callers:
    return Callers(read(write_directory(tmp_path_factory.mktemp("directory"))))


def bearer(credential: str) -> dict[str, str]:
    return {"authorization": f"Bearer {credential}"}


@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_a_key_leads_to_its_tenant(callers: Callers, tenant: str) -> None:
    caller = anyio.run(callers.of, bearer(KEYS[tenant]))
    assert (caller.tenant, caller.actor) == (tenant, f"key:{tenant}")


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, "has no credential"),
        ({"authorization": "Bearer"}, "has no credential"),
        ({"authorization": "Bearer   "}, "has no credential"),
        ({"authorization": "Basic YTpi"}, "not Bearer"),
        (bearer(UNKNOWN_KEY), "unknown"),
        (bearer(KEYS["acme"][:-1]), "unknown"),
        (bearer(KEYS["acme"] + "x"), "unknown"),
        (bearer(KEYS["acme"].upper()), "unknown"),
        (bearer(KEYS["acme"].replace("_acme_", "_globex_")), "unknown"),
        (bearer(digest(KEYS["acme"])), "unknown"),
        (bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhY21lIn0."), "no issuer that"),
        (bearer("ftk_acme_" + "é" * 30), "unknown"),
    ],
)
def test_a_missing_or_unknown_credential_is_nobody(callers: Callers, headers: dict[str, str], told: str) -> None:
    with pytest.raises(Unauthenticated, match=told) as refusal:
        anyio.run(callers.of, headers)
    assert KEYS["acme"] not in str(refusal.value)


def test_a_drawn_key_is_read_and_never_drawn_twice() -> None:
    first, second = draw_key("acme1"), draw_key("acme1")
    assert first != second
    key = read_key(first)
    assert key is not None
    assert (key.id, key.sha256) == ("acme1", digest(first))


@pytest.mark.parametrize("key_id", ["", "abc", "UPPER", "a_b_c", "a" * 17])
def test_an_id_that_no_key_may_have_is_refused(key_id: str) -> None:
    with pytest.raises(ValueError, match="4-16"):
        draw_key(key_id)


@settings(max_examples=25, deadline=None)
@given(secrets=st.lists(st.text("abcXYZ019-_", min_size=22, max_size=30), min_size=2, max_size=2, unique=True))
def test_no_credential_matches_two_tenants(tmp_path_factory: pytest.TempPathFactory, secrets: list[str]) -> None:
    """Even where two tenants chose one public half."""
    keys = {tenant: f"ftk_shared_{secret}" for tenant, secret in zip(("acme", "globex"), secrets, strict=True)}
    entries = []
    for tenant, key in keys.items():
        entry = tenant_entry(tenant)
        rule = entry.credentials[0].api_key
        assert rule is not None
        shared = rule.model_copy(update={"id": "shared", "sha256": digest(key)})
        credential = entry.credentials[0].model_copy(update={"api_key": shared})
        entries.append(entry.model_copy(update={"credentials": (credential,)}))
    callers = Callers(read(write_directory(tmp_path_factory.mktemp("shared"), *entries)))
    for tenant, key in keys.items():
        assert anyio.run(callers.of, bearer(key)).tenant == tenant
