"""What a program with the unmodified `openai` client does, blocking and asynchronous, whatever the client's version.

Run as a program it reads its Setting as JSON from stdin and prints the client's version; a failed assertion ends it.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import openai
from openai import AsyncOpenAI, OpenAI

ROWS = b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n' * 3
DPO: Any = {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1, "beta": 0.2, "batch_size": "auto"}}}
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Setting:
    """Where the API is, a delivered webhook, and a job that has checkpoints and has ended."""

    url: str
    key: str
    ended: str
    webhook_body: str = ""
    webhook_secret: str = ""
    webhook_headers: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        return json.dumps(asdict(self))


def blocking(setting: Setting) -> None:
    with OpenAI(base_url=setting.url, api_key=setting.key) as client:
        file = client.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")
        assert client.files.content(file.id).read() == ROWS
        jobs = client.fine_tuning.jobs
        run = f"{time.time_ns()}"
        made = [
            jobs.create(model="replies", training_file=file.id, metadata={"run": run}, method=DPO) for _ in range(3)
        ]
        assert [job.id for job in jobs.list(limit=1, metadata={"run": run})] == [job.id for job in made[::-1]]
        assert jobs.retrieve(made[0].id).method == made[0].method
        run_to_end, cancelled, paused = made  # the last one waits for the others
        assert jobs.pause(paused.id).status in {"paused", "pausing"}
        assert jobs.cancel(cancelled.id).status == "cancelled"
        until(lambda: jobs.retrieve(run_to_end.id).status == "succeeded")
        until(lambda: str(jobs.retrieve(paused.id).status) == "paused")  # a state that their type lacks
        jobs.resume(paused.id)
        until(lambda: jobs.retrieve(paused.id).status == "succeeded")
        events = list(jobs.list_events(paused.id, limit=2))
        assert [event.id for event in events] == sorted({event.id for event in events}, key=number)
        assert {"queued", "resumed"} <= {event.message for event in events}
        _of_the_ended(client, setting)
        assert client.files.delete(file.id).deleted


def _of_the_ended(client: OpenAI, setting: Setting) -> None:
    steps = [each.step_number for each in client.fine_tuning.jobs.checkpoints.list(setting.ended, limit=2)]
    assert steps == [30, 20, 10]
    model = client.fine_tuning.jobs.retrieve(setting.ended).fine_tuned_model
    assert model == f"replies-{setting.ended[:12]}"
    assert client.models.retrieve("replies").owned_by == "acme"
    assert "replies" in {each.id for each in client.models.list()}
    for wrong in (client.fine_tuning.jobs.cancel, client.fine_tuning.jobs.pause):
        code = None
        try:
            wrong(setting.ended)
        except openai.ConflictError as error:
            code = error.code
        assert code == "job_ended"
    unwrapped = client.webhooks.unwrap(setting.webhook_body, setting.webhook_headers, secret=setting.webhook_secret)
    assert unwrapped.type == "fine_tuning.job.cancelled"


async def waiting(setting: Setting) -> None:
    """The same by the asynchronous client, as far as it has calls of its own."""
    async with AsyncOpenAI(base_url=setting.url, api_key=setting.key) as client:
        file = await client.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")
        jobs = client.fine_tuning.jobs
        run = f"{time.time_ns()}"
        made = await asyncio.gather(
            *(jobs.create(model="replies", training_file=file.id, metadata={"run": run}) for _ in range(3))
        )
        listed = [job.id async for job in jobs.list(limit=2, metadata={"run": run})]
        assert sorted(listed) == sorted(job.id for job in made)
        newest = listed[0]  # which waits for the others
        assert str((await jobs.pause(newest)).status) == "paused"
        assert (await jobs.resume(newest)).status == "queued"
        for job in made:
            assert (await jobs.cancel(job.id)).status == "cancelled"
        assert [event.message async for event in jobs.list_events(newest)][-1] == "cancelled"
        assert [each.step_number async for each in jobs.checkpoints.list(setting.ended)] == [30, 20, 10]
        assert "replies" in {each.id async for each in client.models.list()}


def number(event: str) -> int:
    return int(event.rpartition("-")[2])


def until(is_so: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "the job does not come so far"
        time.sleep(0.05)


if __name__ == "__main__":
    given = Setting(**json.load(sys.stdin))
    blocking(given)
    asyncio.run(waiting(given))
    sys.stdout.write(openai.__version__)
