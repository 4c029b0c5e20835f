"""`tenon jobs`: an operator's view of the job path, and what an operator may ask of a job. Each change is audited."""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from app.contract.job import JobState
from tenon import store
from tenon.output import CommandError, ExitCode, answer_json, answer_table, say

if TYPE_CHECKING:
    from app.store.jobs import Job, Jobs

SHOWN = 50
MOST_EVENTS = 10_000
ASKED_OF = {  # verb -> the states after it that mean it was done
    "cancel": (JobState.CANCELLED,),
    "pause": (JobState.PAUSING, JobState.PAUSED),
    "resume": (JobState.QUEUED,),
    "retry": (JobState.QUEUED,),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    listed = _verb(verbs, "list", "the newest jobs of all tenants")
    listed.add_argument("--tenant", help="of one tenant")
    listed.add_argument("--state", choices=[str(state) for state in JobState], help="in one state")
    listed.add_argument("--limit", type=int, default=SHOWN, help=f"at most so many (default {SHOWN})")
    for name, text in (
        ("show", "a job with its history"),
        ("cost", "what a job's attempts have used and cost"),
        ("cancel", "end a job; its workflow is stopped"),
        ("pause", "let a job save a checkpoint and rest"),
        ("resume", "let a paused job go on from its newest checkpoint"),
        ("retry", "let a failed job go on from its newest checkpoint, as a new attempt"),
    ):
        _verb(verbs, name, text).add_argument("job", help="its id")


def _verb(verbs: Any, name: str, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    store.arguments(made)
    made.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    return made


def run(options: argparse.Namespace) -> int:
    from app.store.jobs import Jobs

    with store.opened(options) as engine:
        jobs = Jobs(engine)
        if options.verb in ASKED_OF:
            return _ask(jobs, options)
        {"list": _list, "show": _show, "cost": _cost}[options.verb](jobs, options)
    return int(ExitCode.OK)


def _list(jobs: "Jobs", options: argparse.Namespace) -> None:
    if options.limit < 1:
        raise CommandError(f"--limit {options.limit}: shows nothing; give 1 or more")
    state = JobState(options.state) if options.state else None
    found = _newest(jobs, tenant=options.tenant, state=state, limit=options.limit)
    if options.json:
        answer_json([_document(job) for job in found])
        return
    rows = [(job.id, job.tenant, job.state, job.attempt, _minute(job.created_at), _first_line(job)) for job in found]
    answer_table("", ("job", "tenant", "state", "attempt", "created", "error"), rows)


def _newest(jobs: "Jobs", *, tenant: str | None, state: JobState | None, limit: int) -> "list[Job]":
    """Of all tenants, as callers never see them."""
    from sqlalchemy import select

    from app.store import tables
    from app.store.engine import reading
    from app.store.jobs import job_of

    query = select(tables.jobs).order_by(tables.jobs.c.created_at.desc(), tables.jobs.c.id.desc()).limit(limit)
    if tenant is not None:
        query = query.where(tables.jobs.c.tenant == tenant)
    if state is not None:
        query = query.where(tables.jobs.c.state == state)
    with reading(jobs.engine) as connection:
        return [job_of(row) for row in connection.execute(query)]


def _show(jobs: "Jobs", options: argparse.Namespace) -> None:
    job = _found(jobs, options.job)
    told = jobs.events(job.tenant, job.id, after=None, limit=MOST_EVENTS)
    position = jobs.position(job.tenant, job.id)
    if options.json:
        events = [{"id": one.id, "at": one.created_at, "level": one.level, "message": one.message} for one in told]
        answer_json({**_document(job), "position": position, "events": events})
        return
    facts = {key: value for key, value in {**_document(job), "position": position}.items() if value is not None}
    answer_table("", ("", ""), facts.items())
    rows = [(f"{one.created_at:%Y-%m-%d %H:%M:%S}", one.level, one.message) for one in told if one.type == "message"]
    answer_table("history", ("at", "level", "message"), rows)


def _cost(jobs: "Jobs", options: argparse.Namespace) -> None:
    from app.store.ledger import Ledger

    job = _found(jobs, options.job)
    entries = Ledger(jobs.engine).of_job(job.tenant, job.id)
    if options.json:
        answer_json(
            [
                {
                    "attempt": entry.attempt,
                    "cpuSeconds": entry.usage.cpu_seconds,
                    "gpuSeconds": entry.usage.gpu_seconds,
                    "waitedSeconds": entry.waited_seconds,
                    "amount": entry.cost.amount,
                    "currency": entry.cost.currency,
                    "final": entry.is_final,
                }
                for entry in entries
            ]
        )
        return
    rows = [
        (
            entry.attempt,
            f"{entry.usage.cpu_seconds:.0f} s",
            f"{entry.usage.gpu_seconds:.0f} s",
            f"{entry.waited_seconds:.0f} s",
            entry.cost,
            "" if entry.is_final else "so far",
        )
        for entry in entries
    ]
    answer_table("", ("attempt", "CPU", "GPU", "waited", "cost", ""), rows)


def _ask(jobs: "Jobs", options: argparse.Namespace) -> int:
    """Exit 1 where the job's state allows no such thing; the audit has it either way."""
    from app.audit import Audit

    verb, before = options.verb, _found(jobs, options.job)
    asked: dict[str, Callable[[], Job | None]] = {
        "cancel": lambda: jobs.cancel(before.tenant, before.id),
        "pause": lambda: jobs.pause(before.tenant, before.id),
        "resume": lambda: jobs.resume(before.tenant, before.id),
        "retry": lambda: jobs.retry(before.id),
    }
    after = asked[verb]() or before
    is_done = after.state in ASKED_OF[verb] and after.version > before.version
    Audit(jobs.engine).note(
        actor=store.operator(),
        tenant=before.tenant,
        action=f"jobs {verb}",
        resource=f"jobs/{before.id}",
        outcome="done" if is_done else "refused",
        reason=None if is_done else f"the job is {after.state}",
    )
    if options.json:
        answer_json(_document(after))
    if not is_done:
        say(f"tenon jobs: job {after.id}: is {after.state}, so {verb} does nothing")
        return int(ExitCode.CHECK_FAILED)
    say(f"job {after.id}: {after.state}")
    return int(ExitCode.OK)


def _found(jobs: "Jobs", job: str) -> "Job":
    if (found := jobs.find(job)) is None:
        raise CommandError(f"job {job!r}: is not in the store; `tenon jobs list` shows what is")
    return found


def _document(job: "Job") -> dict[str, Any]:
    """What operators need of it: nothing of the rows it learns from."""
    training = job.envelope.training
    return {
        "id": job.id,
        "tenant": job.tenant,
        "state": str(job.state),
        "attempt": job.attempt,
        "model": training.model,
        "recipe": training.recipe,
        "created": job.created_at,
        "started": job.started_at,
        "finished": job.finished_at,
        "errorCode": job.error_code,
        "error": job.error,
        "traceparent": job.traceparent,
    }


def _minute(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _first_line(job: "Job") -> str:
    lines: Sequence[str] = (job.error or "").splitlines()
    return lines[0] if lines else ""
