"""What a step is told: the job, the attempt, where to read and write. Read once from the environment, then frozen."""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainer.contract import bucket, steps
from trainer.contract.job import TrainingJob
from trainer.contract.version import ServedVersion
from trainer.outcomes import BadInput


@dataclass(frozen=True)
class Footprint:
    """What a watt-hour costs the climate here. grams_per_kwh: of the grid, 0 when nobody told; overhead: the PUE."""

    grams_per_kwh: float = 0.0
    overhead: float = 1.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Footprint":
        """Raises BadInput."""
        return cls(
            grams_per_kwh=_number(environment, steps.GRID_GRAMS_PER_KWH, least=0.0, absent=0.0),
            overhead=_number(environment, steps.POWER_USAGE_EFFECTIVENESS, least=1.0, absent=1.0),
        )

    def grams(self, watt_hours: float) -> float:
        """CO2 of so much energy at the device."""
        return watt_hours / 1000 * self.overhead * self.grams_per_kwh


@dataclass(frozen=True)
class Origin:
    """What a published version says of its making and who signs it. None: not told, so not stated, or not signed."""

    image: str | None = None
    commit: str | None = None
    signing_key: Path | None = None
    signing_command: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Origin":
        """Raises BadInput when there are two signers."""
        key, command = environment.get(steps.SIGNING_KEY_FILE), environment.get(steps.SIGNING_COMMAND)
        if key and command:
            raise BadInput(f"{steps.SIGNING_KEY_FILE} and {steps.SIGNING_COMMAND}: both are set; leave one out")
        return cls(
            image=environment.get(steps.IMAGE) or None,
            commit=environment.get(steps.COMMIT) or None,
            signing_key=Path(key) if key else None,
            signing_command=command or None,
        )


@dataclass(frozen=True)
class Settings:
    """attempt_url: folder that this attempt alone writes. older_urls: earlier attempts' folders, newest first.

    version_url: where `publish` puts the version; None when nothing is published. work: scratch of this machine.
    trial: number of a search's trial; version: what a drift evaluation is of; None elsewhere.
    """

    job: TrainingJob
    attempt_url: str
    work: Path
    attempt: int = 1
    older_urls: tuple[str, ...] = ()
    version_url: str | None = None
    status_url: str | None = None
    status_token: Path | None = None
    traceparent: str | None = None
    judge_key: Path | None = None
    trial: int | None = None
    version: ServedVersion | None = None
    footprint: Footprint = Footprint()
    origin: Origin = Origin()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Raises BadInput, naming every missing variable at once, or the one whose value is wrong."""
        folder = environment.get(steps.FOLDER)
        needed = (steps.JOB,) if folder else (steps.JOB, steps.ATTEMPT, steps.BUCKET_URL)
        if missing := [name for name in needed if not environment.get(name)]:
            raise BadInput(f"{', '.join(missing)}: not set; the workflow sets them (trainer/contract/steps.py)")
        job = _job(environment[steps.JOB])
        if folder:
            trial = _trial(environment.get(steps.TRIAL_NUMBER))
            return cls(job=job, attempt_url=folder, work=Path(folder) / "work", trial=trial)
        number = environment[steps.ATTEMPT]
        if not (number.isascii() and number.isdigit() and int(number) >= 1):
            raise BadInput(f"{steps.ATTEMPT}: {number!r} is no attempt number; count from 1")
        root, token = environment[steps.BUCKET_URL].rstrip("/"), environment.get(steps.STATUS_TOKEN_FILE)
        attempt = int(number)
        return cls(
            job=job,
            attempt_url=f"{root}/{bucket.attempt(job.job, attempt)}",
            work=Path(environment.get(steps.WORK) or Path(tempfile.gettempdir()) / f"{job.job}-{attempt}"),
            attempt=attempt,
            older_urls=tuple(f"{root}/{bucket.attempt(job.job, older)}" for older in range(attempt - 1, 0, -1)),
            version_url=f"{root}/{bucket.version(job.model, job.version)}",
            status_url=_addressed(environment.get(steps.STATUS_URL), job=job.job, attempt=number),
            status_token=Path(token) if token else None,
            traceparent=environment.get(steps.TRACEPARENT) or None,
            judge_key=Path(environment[steps.JUDGE_KEY_FILE]) if environment.get(steps.JUDGE_KEY_FILE) else None,
            trial=_trial(environment.get(steps.TRIAL_NUMBER)),
            footprint=Footprint.from_environment(environment),
            origin=Origin.from_environment(environment),
        )

    @classmethod
    def of_version(cls, environment: Mapping[str, str]) -> "Settings":
        """Of a drift evaluation: below `attempt_url` each has a number of its own. Raises BadInput."""
        if missing := [name for name in (steps.VERSION, steps.BUCKET_URL) if not environment.get(name)]:
            raise BadInput(f"{', '.join(missing)}: not set; the workflow sets them (trainer/contract/steps.py)")
        try:
            version = ServedVersion.from_parameter(environment[steps.VERSION])
            job = TrainingJob(
                job=version.job,
                tenant=version.tenant,
                model=version.model,
                base=version.base,
                base_digest=version.base_digest,
                data=bucket.PREPARED,  # the rows are those that the job prepared
                recipe=version.recipe,
            )
        except ValueError as error:
            raise BadInput(
                f"{steps.VERSION}: is no base64url JSON of a ServedVersion ({_flat(error)}); send another"
            ) from error
        root = environment[steps.BUCKET_URL].rstrip("/")
        return cls(
            job=job,
            attempt_url=f"{root}/{bucket.drifts(version.job)}",
            work=Path(environment.get(steps.WORK) or Path(tempfile.gettempdir()) / f"{job.job}-drift"),
            version_url=f"{root}/{bucket.version(version.model, version.version)}",
            version=version,
            footprint=Footprint.from_environment(environment),
        )


def _job(text: str) -> TrainingJob:
    try:
        return TrainingJob.from_parameter(text)
    except ValueError as error:
        raise BadInput(f"{steps.JOB}: is no base64url JSON of a TrainingJob ({_flat(error)}); send another") from error


def _trial(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise BadInput(f"{steps.TRIAL_NUMBER}: {text!r} is no number of a trial; count from 0")
    return int(text)


def _addressed(url: str | None, *, job: str, attempt: str) -> str | None:
    """The status URL with job and attempt in their places; a workflow template cannot read the job."""
    return url.replace("{job}", job).replace("{attempt}", attempt) if url else None


def _number(environment: Mapping[str, str], name: str, *, least: float, absent: float) -> float:
    text = environment.get(name)
    if not text:
        return absent
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found >= least):
        raise BadInput(f"{name}: {text!r} is no number of at least {least:g}; mend it or leave it out")
    return found


def _flat(error: Exception) -> str:
    """An error on one line, because a step's last line on stderr is what people get to see."""
    return "; ".join(line.strip() for line in str(error).splitlines() if "errors.pydantic.dev" not in line)
