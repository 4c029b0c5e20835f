"""`tenon demo`: from one tenant file to a promoted model on this machine, with the real parts and nothing else.

Interrupted, it goes on where it was when it is run again; finished, the next run starts over.
"""

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tenon.home import Home
from tenon.output import CommandError, ExitCode, answer_json, answer_table, console, say
from tenon.processes import Child, bare_environment, stop, wait_until
from tenon.scratch import MODEL, TENANT, add_tenant, clone_repository, finish, git, prepared_home, tenon

KEY = "tenon-demo-1"  # one Idempotency-Key for both requests: one job
READY_SECONDS = 180.0
END_SECONDS = 60.0
JOB_SECONDS = 1200.0
POLL_SECONDS = 0.5
TOLD_PERCENT = 20  # where no bar can be drawn, a line is printed this often


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", type=Path, default=Path(".cache/demo"), help="scratch folder (default .cache/demo)")


def run(options: argparse.Namespace) -> int:
    started = time.monotonic()
    home = prepared_home(options.home)
    clone = home / "clone"
    clone_repository(options.root, clone)
    add_tenant(clone)
    before = proof(clone)
    if TENANT not in {tenant for cluster in before["clusters"].values() for tenant in cluster["tenants"]}:
        raise CommandError(f"tenant {TENANT} is not in the proof", ExitCode.CHECK_FAILED)
    say(f"proved: {before['tenants']} tenants, {before['pairs']} ordered pairs, none reaches another")
    try:
        with job_path(home, clone, cache=options.root / ".cache" / "cache") as connection:
            job = submit(connection, options.root / "demo" / "data")
            follow(connection, job)
            promotion = promote(home, clone, job)
        after = proof(clone)
    except CommandError as error:
        if error.code is ExitCode.CHECK_FAILED:  # a job that failed fails again under its key
            finish(home)
        raise
    finish(home)
    summary = summarize(home, job=job, promotion=promotion, proofs=(before, after))
    summary["seconds"] = round(time.monotonic() - started)
    if options.json:
        answer_json(summary)
    else:
        answer_table("Tenon demo", ("", ""), summary.items())
    return int(ExitCode.OK)


def proof(clone: Path) -> dict[str, Any]:
    """`tenon prove --json`. Raises CommandError, with the counter-example, when a tenant can reach another."""
    command = [sys.executable, "-m", "tenon", "prove", "--root", str(clone), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandError(f"the proof failed:\n{done.stdout}{done.stderr}", ExitCode.CHECK_FAILED)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def await_end(home: Home) -> None:
    """Wait for the job path of a run that was interrupted: it stops by itself, its step first.

    Raises CommandError when it does not.
    """
    if home.is_in_use:
        say("waiting for the interrupted run to stop ...")
    deadline = time.monotonic() + END_SECONDS
    while home.is_in_use:
        if time.monotonic() > deadline:
            raise CommandError(f"{home.folder}: another run uses it; stop that one or give another --home")
        time.sleep(POLL_SECONDS)


@contextmanager
def job_path(home: Path, clone: Path, *, cache: Path) -> Iterator[dict[str, Any]]:
    """`tenon up` for as long as the block runs; gives connection.json."""
    state = home / "up"
    await_end(Home(state))
    connection = state / "connection.json"
    connection.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tenon", "up", "--home", str(state), "--root", str(clone)]
    environment = {**bare_environment(), "TENON_CACHE": str(cache.resolve())}
    up = Child("tenon up", command, environment, home / "up.log", stop_seconds=60.0)
    up.start()
    try:
        with _progress() as progress:
            progress.add_task("starting the job path", total=None)
            wait_until(connection.exists, child=up, seconds=READY_SECONDS)
        yield json.loads(connection.read_text())
    finally:
        stop([up])


def submit(connection: dict[str, Any], data: Path) -> str:
    """One job by the OpenAI client, then the same key once more by the plain POST: still one job."""
    import openai

    api, key = connection["api"], connection["keys"][TENANT]
    client = openai.OpenAI(base_url=f"{api}/v1", api_key=key)
    files = {name: _uploaded(client, data / f"{name}.jsonl") for name in ("train", "heldout")}
    created = client.fine_tuning.jobs.create(
        model=MODEL,
        training_file=files["train"],
        validation_file=files["heldout"],
        extra_headers={"Idempotency-Key": KEY},
    )
    say(f"job {created.id}: submitted with the openai client")
    body = {"modelId": MODEL, "datasetUrl": files["train"], "evaluationUrl": files["heldout"]}
    request = urllib.request.Request(  # noqa: S310 - the API of this run, on loopback
        f"{api}/api/finetune",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Idempotency-Key": KEY},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        again = json.load(response)["jobId"]
    if again != created.id or len(client.fine_tuning.jobs.list().data) != 1:
        raise CommandError(f"one Idempotency-Key made two jobs: {created.id}, {again}", ExitCode.CHECK_FAILED)
    say("the same Idempotency-Key by POST /api/finetune: the same job, not a second one")
    return str(created.id)


def _uploaded(client: Any, path: Path) -> str:
    """File id; a file of this name that an interrupted run uploaded is used again, so that the request stays equal."""
    for there in client.files.list():
        if there.filename == path.name:
            return str(there.id)
    with path.open("rb") as file:
        return str(client.files.create(file=file, purpose="fine-tune").id)


def follow(connection: dict[str, Any], job: str) -> None:
    """Show the job's events until it ends. Raises CommandError when it does not succeed."""
    import openai

    client = openai.OpenAI(base_url=f"{connection['api']}/v1", api_key=connection["keys"][TENANT])
    deadline = time.monotonic() + JOB_SECONDS
    seen: Any = openai.omit
    told = 0.0
    with _progress() as progress:
        task = progress.add_task("queued", total=100)
        while time.monotonic() < deadline:
            found = client.fine_tuning.jobs.retrieve(job)
            for event in client.fine_tuning.jobs.list_events(job, after=seen):
                seen = event.id
                data = event.data if isinstance(event.data, dict) else {}
                percent = data.get("progressPercentage")
                progress.update(task, description=event.message[:60], completed=percent)
                if not progress.console.is_terminal and (percent is None or percent >= told + TOLD_PERCENT):
                    told = percent or 0.0
                    say(f"  {event.message}")
            if found.status == "succeeded":
                progress.update(task, description="succeeded", completed=100)
                return
            if found.status in {"failed", "cancelled"}:
                reason = found.error.message if found.error else "no reason given"
                raise CommandError(f"job {job}: {found.status}: {reason}", ExitCode.CHECK_FAILED)
            time.sleep(POLL_SECONDS)
    raise CommandError(f"job {job}: not done after {JOB_SECONDS:.0f} s; see the logs", ExitCode.UNAVAILABLE)


def promote(home: Path, clone: Path, job: str) -> dict[str, Any]:
    """`tenon promote`, and what the commit changed."""
    said = tenon("promote", job, "--home", str(home / "up"), "--root", str(clone), "--json")
    promotion: dict[str, Any] = json.loads(said)
    changes = git(clone, "show", "--format=", "--name-status", "--no-renames", "HEAD")
    promotion["changes"] = changes.strip().splitlines()
    say("\nthe promotion commit changed:")
    say("\n".join(f"  {line}" for line in promotion["changes"]))
    paths = [line.split("\t")[1] for line in promotion["changes"]]
    rollout = [path for path in paths if "_rollout_" in path]
    say(git(clone, "show", "--format=", "--unified=1", "HEAD", "--", *rollout))
    return promotion


def summarize(
    home: Path, *, job: str, promotion: dict[str, Any], proofs: tuple[dict[str, Any], dict[str, Any]]
) -> dict[str, Any]:
    """The one table at the end."""
    from app.contract.cost import cost_of
    from app.store.engine import open_store
    from app.store.jobs import Jobs
    from tenon.directory import entries
    from trainer.contract.report import Usage

    row = Jobs(open_store(Home(home / "up").store_url)).find(job)
    if row is None:
        raise CommandError(f"job {job}: is not in the store", ExitCode.CHECK_FAILED)
    _, platform = entries(home / "clone")
    numbers = row.numbers
    usage = Usage(cpu_seconds=float(numbers["cpuSeconds"]), gpu_seconds=float(numbers["gpuSeconds"]))
    before, after = (set(found["allowed"]) for found in proofs)
    return {
        "job": job,
        "trace": (row.traceparent or "--").split("-")[1],
        "held-out loss before": round(float(numbers["lossBefore"]), 3),
        "held-out loss after": round(float(numbers["lossAfter"]), 3),
        "tokens per second": round(float(numbers["tokensPerSecond"]), 1),
        "adapter": f"sha256:{promotion['adapterDigest']}",
        "version": promotion["version"],
        "files changed": len(promotion["changes"]),
        "flows opened": len(after - before),
        "cost": str(cost_of(usage, platform.prices)),
    }


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=console(stderr=True))
