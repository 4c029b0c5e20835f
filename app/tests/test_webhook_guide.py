"""docs/guides/webhooks.md: its receiver verifies what we sign, and its commands do what they say."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.delivery.signing import SigningKeys, read_keys, signature
from app.tests.cast import KEYS
from app.tests.serving import REQUEST, listening, serve

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "webhooks.md").read_text(encoding="utf-8")
COMMANDS = [line.strip().removeprefix("$ ") for line in re.findall(r"^ *\$ .*$", GUIDE, re.MULTILINE)]
ROTATE, LIST, REPLAY, GENERATIONS, MASTER = COMMANDS
SIGNING = SigningKeys(b"master")
BODY = '{"type":"fine_tuning.job.succeeded"}'


@pytest.fixture(scope="module")
def event_of() -> Callable[..., dict[str, Any]]:
    """The guide's receiver."""
    names: dict[str, Any] = {}
    code = re.search(r"^   ```python\n(.*?)^   ```$", GUIDE, re.DOTALL | re.MULTILINE)
    assert code is not None
    exec(re.sub(r"^   ", "", code.group(1), flags=re.MULTILINE), names)  # noqa: S102
    made: Callable[..., dict[str, Any]] = names["event_of"]
    return made


def headers(*generations: int, age: int = 0) -> dict[str, str]:
    at = int(time.time()) - age
    secrets = [SIGNING.secret("acme", generation) for generation in generations]
    signed = signature(secrets, identifier="evt_1", timestamp=at, body=BODY)
    return {"webhook-id": "evt_1", "webhook-timestamp": str(at), "webhook-signature": signed}


def test_the_guides_receiver_believes_us_during_a_rotation_too(event_of: Callable[..., dict[str, Any]]) -> None:
    for generations in ((1,), (2, 1)):
        event = event_of(BODY.encode(), headers(*generations), SIGNING.shown("acme", 1))
        assert event["type"] == "fine_tuning.job.succeeded"


@pytest.mark.parametrize(("body", "generation", "age"), [("{}", 1, 0), (BODY, 2, 0), (BODY, 1, 301)])
def test_the_guides_receiver_believes_nobody_else(
    event_of: Callable[..., dict[str, Any]], body: str, generation: int, age: int
) -> None:
    with pytest.raises(ValueError, match=r"not signed with this secret|five minutes ago"):
        event_of(body.encode(), headers(generation, age=age), SIGNING.shown("acme", 1))


def test_the_commands_of_the_guide_work(tmp_path: Path, absent: Callable[[str], None]) -> None:
    if shutil.which("curl") is None:
        absent("curl is missing; install Debian's package")
    api = serve(tmp_path)
    job = api.submit({**REQUEST, "callbackUrl": "https://hooks.acme.example/"}).json()["jobId"]
    api.send("POST", f"/v1/fine_tuning/jobs/{job}/cancel")
    with listening(api.application) as url:
        environment = {"PATH": os.environ["PATH"], "API": url, "KEY": KEYS["acme"]}

        def run(command: str) -> Any:
            done = subprocess.run(["sh", "-c", command], env=environment, cwd=tmp_path, capture_output=True, check=True)
            return json.loads(done.stdout or "null")

        assert run(ROTATE)["secret"].startswith("whsec_")
        [delivery] = run(LIST)["data"]
        environment["DELIVERY"] = delivery["id"]
        assert run(REPLAY)["status"] == "pending"
        assert [key["generation"] for key in run(GENERATIONS)["data"]] == [1]
        run(MASTER)
    assert read_keys(tmp_path / "webhook.key").shown("acme", 1) != SIGNING.shown("acme", 1)
    assert (tmp_path / "webhook.key").stat().st_mode & 0o077 == 0
