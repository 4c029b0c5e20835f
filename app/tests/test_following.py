"""What a client is spared by asking only for what has changed."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api.errors import Problem
from app.api.following import Followers
from app.store.attempts import Attempts
from app.store.changes import locked, record
from app.store.checkpoints import Checkpoints
from app.store.engine import writing
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


def record_in(api: Api, job: str, *messages: str) -> None:
    with writing(api.rows.jobs.engine) as connection:
        row = locked(connection, job)
        assert row is not None
        for message in messages:
            record(connection, row, message)


def streamed(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Id and message of each event; the end has neither."""
    last = ""
    for line in lines:
        if line.startswith("id: "):
            last = line.removeprefix("id: ")
        elif line.startswith("data: {"):
            yield last, json.loads(line.removeprefix("data: "))["message"]


def test_a_stream_goes_on_while_the_job_does_and_ends_with_it(api: Api, client: httpx.Client) -> None:
    job = api.submit().json()["jobId"]
    with client.stream("GET", f"{JOBS}/{job}/events", params={"stream": "true"}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        events = streamed(lines)
        assert next(events)[1] == "queued"
        record_in(api, job, "one")
        assert next(events)[1] == "one"
        api.send("POST", f"{JOBS}/{job}/cancel")
        assert [message for _, message in events] == ["cancelled"]


def test_a_stream_that_broke_goes_on_after_the_last_event(api: Api, client: httpx.Client) -> None:
    job = api.submit().json()["jobId"]
    record_in(api, job, *(f"step {number}" for number in range(250)))
    api.send("POST", f"{JOBS}/{job}/cancel")
    headers = {"Accept": "text/event-stream"}
    whole = list(streamed(iter(client.get(f"{JOBS}/{job}/events", headers=headers).text.splitlines())))
    assert [message for _, message in whole] == ["queued", *(f"step {n}" for n in range(250)), "cancelled"]
    rest = client.get(f"{JOBS}/{job}/events", headers={**headers, "Last-Event-ID": whole[240][0]}).text
    assert list(streamed(iter(rest.splitlines()))) == whole[241:]
    assert rest.endswith("data: [DONE]\n\n")


def test_a_client_that_leaves_gives_its_place_back(api: Api, client: httpx.Client) -> None:
    job = api.submit().json()["jobId"]
    deadline, streams = time.monotonic() + 30, 0
    while streams < 2 * Followers.each:
        assert time.monotonic() < deadline, "places are not given back"
        with client.stream("GET", f"{JOBS}/{job}/events", params={"stream": "true"}) as answer:
            if answer.status_code == 200:
                assert next(answer.iter_lines()).startswith("id: ")
                streams += 1
            else:  # the server has yet to see that the former ones left
                assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")


@pytest.mark.parametrize("cursor", ["x", "ftevent-", "ftevent-x", "ftevent-" + "9" * 30, "ftckpt-1"])
def test_a_cursor_that_is_none_is_refused(api: Api, cursor: str) -> None:
    path = f"{JOBS}/{api.submit().json()['jobId']}/events"
    assert api.send("GET", path, params={"after": cursor}).status_code == 400
    headers = {"Last-Event-ID": cursor, "Accept": "text/event-stream"}
    assert api.send("GET", path, headers=headers).status_code == 400


def test_checkpoints_are_listed_newest_first_by_pages(api: Api) -> None:
    job = api.submit().json()["jobId"]
    attempts, checkpoints = Attempts(api.rows.jobs.engine), Checkpoints(api.rows.jobs.engine)
    assert attempts.begin(job, cap=1)
    for step in (10, 20, 30):
        checkpoints.add(attempts.unconfirmed()[0], step, {"step": step, "loss": 1.5, "evalLoss": 2.0})
    first = api.send("GET", f"{JOBS}/{job}/checkpoints", params={"limit": 2}).json()
    assert [each["step_number"] for each in first["data"]] == [30, 20]
    assert first["data"][0]["metrics"] == {"step": 30.0, "train_loss": 1.5, "valid_loss": 2.0}
    rest = api.send("GET", f"{JOBS}/{job}/checkpoints", params={"limit": 2, "after": first["last_id"]}).json()
    assert ([each["step_number"] for each in rest["data"]], rest["has_more"]) == ([10], False)
