"""Logs of a job, out of the tenant's own bucket in a real object store: ordered, to be followed, nobody else's."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api.logs import MOST_PART_BYTES
from app.buckets import Buckets
from app.jobs.state import Move
from app.store.attempts import Attempts
from app.store.jobs import Jobs
from app.tests import objectstore
from app.tests.local import envelope
from app.tests.serving import Api, serve
from trainer.contract import bucket

LOGS = "/v1/fine_tuning/jobs/job/logs"


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buckets]:
    for url in objectstore.running(tmp_path_factory.mktemp("s3")):
        yield Buckets(url)


@pytest.fixture
def api(tmp_path: Path, buckets: Buckets) -> Iterator[Api]:
    """With a job of acme whose second attempt runs, and nothing said yet."""
    made = serve(tmp_path, buckets=buckets)
    jobs = made.rows.jobs
    jobs.insert_or_ignore(envelope("job"), traceparent=None)
    Attempts(jobs.engine).begin("job", cap=9)
    jobs.pause("acme", "job")
    Attempts(jobs.engine).finish(Attempts(jobs.engine).unconfirmed()[0], Move.REST)
    jobs.resume("acme", "job")
    Attempts(jobs.engine).begin("job", cap=9)
    yield made
    for key, _ in buckets.keys("tenon-acme", "", most=1000):
        buckets.delete("tenon-acme", key)


def say(buckets: Buckets, step: str, text: str, *, offset: int = 0, attempt: int = 1, job: str = "job") -> None:
    key = f"{bucket.attempt(job, attempt)}/{bucket.log(step)}/{offset}/{bucket.LINES}"
    buckets.put("tenon-acme", key, io.BytesIO(text.encode()))


def events(text: str) -> list[tuple[str, str]]:
    """Id and line of each event of a stream that has ended."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("id:")]
    return [(block[0].removeprefix("id: "), json.loads(block[2].removeprefix("data: "))["line"]) for block in blocks]


@pytest.mark.requirement("A10")
def test_the_log_is_in_the_order_of_attempts_steps_and_bytes(api: Api, buckets: Buckets) -> None:
    for attempt, step, offset, text in (
        (2, "prepare", 0, "7\n"),
        (1, "train", 1000, "6\n"),
        (1, "train", 20, "5\n"),
        (1, "trial-10", 0, "4\n"),
        (1, "trial-2", 0, "3\n"),
        (1, "search", 0, "2\n"),
        (1, "prepare", 0, "1\n"),
    ):
        say(buckets, step, text, offset=offset, attempt=attempt)
    answer = api.send("GET", LOGS)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert answer.text == "1\n2\n3\n4\n5\n6\n7\n"


@pytest.mark.requirement("A10")
def test_nobody_else_reads_a_log(api: Api, buckets: Buckets) -> None:
    say(buckets, "train", "of acme\n")
    assert api.send("GET", LOGS, tenant="globex").status_code == 404
    assert api.send("GET", LOGS, tenant=None).status_code == 401
    assert api.send("GET", "/v1/fine_tuning/jobs/other/logs").status_code == 404


def test_what_is_no_log_in_a_tenants_bucket_is_not_read(api: Api, buckets: Buckets) -> None:
    say(buckets, "train", "x" * (MOST_PART_BYTES + 1))
    say(buckets, "elsewhere", "of another kind\n")
    say(buckets, "train", "of another job\n", job="job2")
    say(buckets, "train", "of an attempt that never was\n", attempt=3)
    assert api.send("GET", LOGS).text == ""


@pytest.mark.requirement("A10")
def test_a_stream_ends_with_the_job_and_goes_on_behind_the_last_event(api: Api, buckets: Buckets) -> None:
    say(buckets, "prepare", "one\ntwo\n")
    say(buckets, "train", "three\n\u00e9\n")
    api.rows.jobs.cancel("acme", "job")
    answer = api.send("GET", f"{LOGS}?stream=true")
    told = events(answer.text)
    assert told == [("1.prepare.4", "one"), ("1.prepare.8", "two"), ("1.train.6", "three"), ("1.train.9", "\u00e9")]
    assert answer.text.endswith("data: [DONE]\n\n")
    for number, (last, _) in enumerate(told, start=1):
        again = api.send("GET", LOGS, headers={"Accept": "text/event-stream", "Last-Event-ID": last})
        assert events(again.text) == told[number:]


def test_a_stream_tells_lines_that_come_while_it_is_open(
    api: Api, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, said = Jobs.get, ["one\n", "one\ntwo\n", "one\ntwo\nthree\n"]

    def goes_on(jobs: Jobs, tenant: str, job: str) -> object:
        """Each look finds more; with the last line the job ends."""
        if said:
            say(buckets, "train", said.pop(0))
        else:
            api.rows.jobs.cancel("acme", "job")
        return get(jobs, tenant, job)

    monkeypatch.setattr("app.api.following.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("app.api.logs.LOOK_SECONDS", 0.0)
    monkeypatch.setattr(Jobs, "get", goes_on)
    told = events(api.send("GET", f"{LOGS}?stream=true").text)
    assert told == [("1.train.4", "one"), ("1.train.8", "two"), ("1.train.14", "three")]


@pytest.mark.parametrize("last", ["x", "1.train", "1.elsewhere.5", "1.train.-1", "1.train." + "9" * 30])
def test_an_id_that_is_none_is_refused(api: Api, last: str) -> None:
    assert api.send("GET", f"{LOGS}?stream=true", headers={"Last-Event-ID": last}).status_code == 400
