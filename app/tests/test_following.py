"""What a client is spared by asking only for what has changed."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api.errors import Problem
from app.api.following import Followers
from app.tests.cast import KEYS
from app.tests.serving import Api, listening, serve

JOBS = "/v1/fine_tuning/jobs"


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return serve(tmp_path)


@pytest.fixture
def client(api: Api) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEYS['acme']}"}
    with listening(api.application) as url, httpx.Client(base_url=url, headers=headers, timeout=20) as client:
        yield client


def test_a_known_job_is_not_sent_again(api: Api) -> None:
    path = f"{JOBS}/{api.submit().json()['jobId']}"
    tag = api.send("GET", path).headers["etag"]
    same = api.send("GET", path, headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    api.send("POST", f"{path}/cancel")
    assert api.send("GET", path, headers={"If-None-Match": tag}).json()["status"] == "cancelled"


def test_a_waiting_request_is_answered_by_the_change(api: Api, client: httpx.Client) -> None:
    path = f"{JOBS}/{api.submit().json()['jobId']}"
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(client.get(path, headers={"Prefer": "wait=15"})))
    asking.start()
    api.send("POST", f"{path}/cancel")
    asking.join()
    assert answers[0].json()["status"] == "cancelled"
    assert answers[0].headers["preference-applied"] == "wait=15"


def test_waiting_ends_without_a_change(api: Api) -> None:
    path = f"{JOBS}/{api.submit().json()['jobId']}"
    tag = api.send("GET", path).headers["etag"]
    waited = api.send("GET", path, headers={"Prefer": "respond-async, wait=1"})
    assert (waited.status_code, waited.headers["etag"]) == (200, tag)
    assert api.send("GET", path, headers={"Prefer": "wait=1", "If-None-Match": tag}).status_code == 304


def test_a_job_that_has_ended_is_waited_for_by_nobody(api: Api) -> None:
    path = f"{JOBS}/{api.submit().json()['jobId']}"
    api.send("POST", f"{path}/cancel")
    assert api.send("GET", path, headers={"Prefer": "wait=60"}).json()["status"] == "cancelled"


def test_open_requests_of_a_tenant_are_counted() -> None:
    followers = Followers(each=1)
    with followers.one("acme"), followers.one("globex"):
        with pytest.raises(Problem) as refusal, followers.one("acme"):
            pass
        assert (refusal.value.status, refusal.value.code) == (429, "too_many_streams")
    with followers.one("acme"):
        assert followers.open["acme"] == 1
