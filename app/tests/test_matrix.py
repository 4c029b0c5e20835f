"""Every route of the API against every kind of caller, as the application itself lists its routes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from app.api.server import PUBLIC, Border
from app.buckets import Buckets
from app.directory import read
from app.identity.keysets import KeySets
from app.identity.oidc import LEEWAY_SECONDS, OidcTokens
from app.tests.cast import KEYS, UNKNOWN_KEY, write_directory, write_entry
from app.tests.issuer import (
    OTHER_ISSUER,
    Issuer,
    platform,
    signed_with_the_public_key,
    tenants,
    token,
    unsigned,
)
from app.tests.serving import Api, serve

STRANGERS: dict[str, Callable[[], str | None]] = {
    "none": lambda: None,
    "unknown key": lambda: UNKNOWN_KEY,
    "expired": lambda: token(exp=int(time.time()) - LEEWAY_SECONDS - 5),
    "wrong audience": lambda: token(aud="another-service"),
    "alg none": unsigned,
    "key of another issuer": lambda: token(number=1),
    "another issuer": lambda: token(iss=OTHER_ISSUER, number=1),
    "HS256 over the public key": signed_with_the_public_key,
    "unknown key id": lambda: token(kid="made-up"),
    "no tenant's claims": lambda: token(groups=["staff"]),
    "two tenants' claims": lambda: token(groups=["acme", "globex"]),
}
MEMBERS: dict[str, Callable[[], str]] = {"key": lambda: KEYS["acme"], "token": token}
OTHERS: dict[str, Callable[[], str]] = {"key": lambda: KEYS["globex"], "token": lambda: token(groups=["globex"])}


@dataclass(frozen=True)
class Site:
    """The API, and a job and a file of acme in it."""

    api: Api
    job: str
    routes: tuple[tuple[str, str], ...]  # method, pattern

    def send(self, method: str, path: str, credential: str | None) -> Any:
        headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        return self.api.send(method, path, tenant=None, headers=headers)

    def place(self, pattern: str, *, job: str | None = None) -> str:
        """A pattern's path: of acme's job and of a model that both tenants have; other things do not exist."""
        names = {"{job}": job or self.job, "{model}": "smollm2-135m"}
        for name, text in names.items():
            pattern = pattern.replace(name, text)
        return "/".join("unknown" if step.startswith("{") else step for step in pattern.split("/"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("matrix")
    write_directory(folder / "known", *tenants())
    write_entry(folder / "known", "platform", platform())
    tokens = OidcTokens(read((folder / "known").as_uri()), KeySets(transport=Issuer().transport))
    api = serve(folder, *tenants(), buckets=Buckets("http://127.0.0.1:1"), border=Border(tokens=(tokens,)))
    yield Site(api, api.submit().json()["jobId"], tuple(_routes(api.application)))
    api.rows.jobs.engine.dispose()


def _routes(application: Any) -> Iterator[tuple[str, str]]:
    """Of the Starlette application within its wrappers. HEAD is GET's guard without the body (test_border.py)."""
    while not hasattr(application, "routes"):
        application = next(value for value in vars(application).values() if callable(value) and _holds_routes(value))
    for route in application.routes:
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            if route.path not in PUBLIC:
                yield method, route.path


def _holds_routes(value: Any) -> bool:
    if hasattr(value, "routes"):
        return True
    return hasattr(value, "__dict__") and any(_holds_routes(inner) for inner in vars(value).values() if callable(inner))


def test_the_matrix_knows_the_routes_of_the_whole_api(site: Site) -> None:
    assert {
        ("POST", "/api/finetune"),
        ("GET", "/v1/files/{file}/content"),
        ("POST", "/v1/fine_tuning/jobs/{job}/cancel"),
    } <= set(site.routes)
    assert len(site.routes) > 20


@pytest.mark.requirement("A5", "A17")
@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_is_answered_401_by_every_route_and_learns_nothing(site: Site, stranger: str) -> None:
    credential = STRANGERS[stranger]()
    for method, pattern in site.routes:
        path = site.place(pattern)
        answer = site.send(method, path, credential)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), (method, path)
        told = answer.text.replace(path, "") + str(answer.headers)
        assert not [word for word in ("globex", "issuer.example", site.job, credential or "\0") if word in told]


@pytest.mark.parametrize("kind", MEMBERS)
def test_a_member_is_let_in_by_every_route(site: Site, kind: str) -> None:
    for method, pattern in site.routes:
        if method == "DELETE" or pattern.endswith(("/cancel", "/pause", "/resume", "/rotate")):
            continue  # they would change what the next ones look at
        answer = site.send(method, site.place(pattern), MEMBERS[kind]())
        assert answer.status_code not in {401, 403, 429, 500}, (method, pattern)


@pytest.mark.requirement("A17")
@pytest.mark.parametrize("kind", OTHERS)
def test_another_tenants_job_is_answered_like_one_that_never_was(site: Site, kind: str) -> None:
    credential, never = OTHERS[kind](), "0" * 26
    of_jobs = [(method, pattern) for method, pattern in site.routes if "{job}" in pattern]
    assert len(of_jobs) >= 6
    for method, pattern in of_jobs:
        others, nobodys = (site.place(pattern, job=job) for job in (site.job, never))
        found, missing = site.send(method, others, credential), site.send(method, nobodys, credential)
        assert found.status_code == missing.status_code == 404, (method, pattern)
        assert found.text.replace(site.job, never) == missing.text
    assert site.api.rows.jobs.get("acme", site.job) is not None


@pytest.mark.parametrize("kind", OTHERS)
def test_no_list_holds_what_is_another_tenants(site: Site, kind: str) -> None:
    for method, pattern in site.routes:
        if method == "GET" and "{" not in pattern:
            answer = site.send(method, pattern, OTHERS[kind]())
            assert answer.status_code < 400, pattern
            assert "acme" not in answer.text, pattern
            assert site.job not in answer.text
