"""The unmodified client of OpenAI, this year's and the last of its first generation, over a job path that works."""

import asyncio
import base64
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.buckets import Buckets
from app.contract.directory import Limits
from app.delivery.signing import signature
from app.jobs.state import Move
from app.store.attempts import Attempts
from app.store.checkpoints import Checkpoints
from app.store.deliveries import Deliveries
from app.tests import objectstore, openai_1, openai_suite
from app.tests.cast import KEYS, tenant_entry
from app.tests.local import JobPath
from app.tests.openai_suite import Setting
from app.tests.serving import REQUEST, Api, listening, serve

# One job at a time, so that the newest of several surely waits.
ACME = tenant_entry(limits=Limits(requests_per_second=1000, running_jobs=1))
WORKING = "import time; time.sleep(0.3)"


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """API, store, queue, dispatcher, local workflows and watcher, with what the suite finds there already."""
    folder = tmp_path_factory.mktemp("clients")
    for s3 in objectstore.running(tmp_path_factory.mktemp("s3")):
        path = JobPath(folder / "home", tenants=[ACME], script=WORKING)
        api = serve(path.home, ACME, buckets=Buckets(s3))
        given = prepared(api)
        with working(path), listening(api.application) as url:
            yield replace(given, url=f"{url}/v1")
        path.engine.dispose()


def prepared(api: Api) -> Setting:
    """A job that has ended with checkpoints, and the webhook of another, signed as it is sent."""
    ended = api.submit({**REQUEST, "modelId": "replies"}).json()["jobId"]
    engine = api.rows.jobs.engine
    attempts = Attempts(engine)
    attempts.begin(ended, cap=1)
    attempt = attempts.unconfirmed()[0]
    for step in (10, 20, 30):
        Checkpoints(engine).add(attempt, step, {"loss": 1.0})
    attempts.finish(attempt, Move.SUCCEED)
    other = api.submit({**REQUEST, "callbackUrl": "https://hooks.acme.example/"}).json()["jobId"]
    api.send("POST", f"/v1/fine_tuning/jobs/{other}/cancel")
    delivery = next(each for each in Deliveries(engine).list("acme", after=None, limit=9) if each.job == other)
    secret = api.send("POST", "/v1/webhooks/keys/rotate").json()["secret"]
    headers = signed(delivery.id, delivery.body, secret)
    return Setting("", KEYS["acme"], ended, delivery.body, secret, headers)


def signed(identifier: str, body: str, secret: str) -> dict[str, str]:
    key, now = base64.b64decode(secret.removeprefix("whsec_")), int(datetime.now(UTC).timestamp())
    made = signature([key], identifier=identifier, timestamp=now, body=body)
    return {"webhook-id": identifier, "webhook-timestamp": str(now), "webhook-signature": made}


@contextmanager
def working(path: JobPath) -> Iterator[None]:
    """Rounds of all processes while the block runs."""
    stop, controller, dispatcher = threading.Event(), path.controller(), path.dispatcher()

    def rounds() -> None:
        while not stop.wait(0.02):
            dispatcher.round()
            controller.round()
            path.watcher.round()

    thread = threading.Thread(target=rounds)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        controller.shut_down()


@pytest.mark.requirement("A11")
def test_a_program_with_the_blocking_client_needs_another_url_alone(setting: Setting) -> None:
    openai_suite.blocking(setting)


@pytest.mark.requirement("A11")
def test_a_program_with_the_asynchronous_client_needs_another_url_alone(setting: Setting) -> None:
    asyncio.run(openai_suite.waiting(setting))


@pytest.mark.services
@pytest.mark.requirement("A11")
def test_a_program_with_a_client_of_the_first_generation_works_too(
    setting: Setting, absent: Callable[[str], None]
) -> None:
    if not openai_1.folder().exists():
        absent("openai 1.x is not there; run `make get-openai-1`")
    environment = {**os.environ, "PYTHONPATH": str(openai_1.folder())}
    suite = [sys.executable, "-m", "app.tests.openai_suite"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        suite, input=setting.text(), capture_output=True, text=True, env=environment, cwd=root, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1.")
