"""Kill anywhere: one training that nothing stopped, and the same one killed at a moment drawn from a seed.

After each death the training goes on from what the disk and the bucket hold (or the bucket alone, when the disk went
with the pod), and has to end in the same adapter.
"""

import random
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract import steps
from trainer.contract.bucket import CHECKPOINTS, PREPARED
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Hyperparameters
from trainer.contract.report import Report
from trainer.contract.steps import Exit
from trainer.launch import together
from trainer.pipeline import run_step
from trainer.publishing.manifest import Incomplete
from trainer.settings import Settings
from trainer.sinks import Sinks
from trainer.tests import s3, toy
from trainer.tests.conftest import TOY_RECIPE
from trainer.tests.dying import Death, Notes, Surroundings, exit_code, start
from trainer.tests.s3 import free_ports

BUCKET = "tenon-acme"
_SECONDS_FOR_THE_OTHERS = 30
ROOMS = ("training", "saving", "upload", "measuring", "resuming")


@contextmanager
def bucket(folder: Path) -> Iterator[Mapping[str, str]]:
    """An empty bucket; the environment that leads to it, which this process has too while it lasts."""
    rights = [f"{right}:{BUCKET}" for right in ("Read", "Write", "List", "Admin")]
    with (
        s3.running(folder, [s3.identity("acme", "acme", actions=rights)]) as endpoint,
        pytest.MonkeyPatch.context() as patch,
    ):
        environment = {"AWS_ACCESS_KEY_ID": "acme", "AWS_SECRET_ACCESS_KEY": "acme", steps.S3_URL: endpoint}
        for name, value in environment.items():
            patch.setenv(name, value)
        session = boto3.session.Session()  # the default one keeps the first credentials it met in this process
        session.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket=BUCKET)
        yield environment


@dataclass(frozen=True)
class Trial:
    """One death. rank: who gets the signal. loses_disk: the pod goes too, with its disk."""

    seed: int
    death: Death
    rank: int = 0
    loses_disk: bool = False

    @classmethod
    def drawn(cls, seed: int, lines: Mapping[str, int], *, room: str, ranks: int = 1) -> "Trial":
        """lines: that an uninterrupted process runs in each room."""
        drawn = random.Random(seed)  # noqa: S311 - a choice of tests
        with_signal = drawn.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1))
        death = Death(room, drawn.randint(1, lines[room]), with_signal)
        rank = drawn.randrange(ranks) if room in {"training", "measuring"} else 0  # the others are rank 0's alone
        return cls(seed, death, rank, loses_disk=drawn.random() < 0.4)


@dataclass(frozen=True)
class Outcome:
    """What came of a trial. place: where it died, `nowhere` when the moment did not come. lost: finished steps."""

    trial: Trial
    place: str
    code: int
    lost: int

    def __str__(self) -> str:
        trial = self.trial
        disk = ", its disk too" if trial.loses_disk else ""
        return f"seed {trial.seed}: {trial.death.with_signal.name} at {self.place} on rank {trial.rank}{disk}"


@dataclass
class Scene:
    """A training job on so many ranks whose attempts live in a bucket; the folder is this machine's."""

    folder: Path
    recipes: Path
    job: TrainingJob
    store: Mapping[str, str]
    ranks: int = 1
    interval: int = 2  # checkpointSteps of the toy recipe
    straight: Report = field(init=False)
    lines: Mapping[str, int] = field(init=False)

    @classmethod
    def of(cls, folder: Path, recipes: Path, base: Path, store: Mapping[str, str], **recipe: Any) -> "Scene":
        """Of the toy recipe with changes; `ranks` is how many train."""
        ranks = recipe.pop("ranks", 1)
        (recipes / f"{folder.name}.yaml").write_text(TOY_RECIPE + "".join(f"{k}: {v}\n" for k, v in recipe.items()))
        job = TrainingJob(
            base=str(base),
            data=str(toy.write_rows(folder / "train.jsonl", toy.rows(40))),
            recipe=folder.name,
            hyperparameters=Hyperparameters(max_steps=8),
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trainer.recipes.FOLDER", recipes)
            return cls(folder, recipes, job, store, ranks)

    def __post_init__(self) -> None:
        """Prepare once, and train once without a death."""
        settings = self._settings("straight")
        run_step("prepare", settings, Sinks())
        notes = self._notes("straight")
        assert self._train(settings, Trial(0, Death("none", 0)), notes) == Exit.DONE
        self.straight, self.lines = self._report(settings), notes.lines

    def outcome(self, trial: Trial) -> Outcome:
        """Kill, go on to the end, compare. Raises AssertionError, with the seed in its text."""
        settings, notes = self._prepared(f"seed-{trial.seed}"), self._notes(f"seed-{trial.seed}")
        code = self._train(settings, trial, notes)
        place = self._notes_of(trial.rank, notes).place
        outcome = Outcome(trial, place, code, 0)
        self._check_code(outcome, self._report(settings))
        if trial.loses_disk:
            shutil.rmtree(settings.work, ignore_errors=True)
        done, left = notes.steps, self._complete(settings)
        assert self._train(settings, Trial(trial.seed, Death("none", 0)), notes) == Exit.DONE, outcome
        report = self._report(settings)
        assert report.adapter_digest == self.straight.adapter_digest, outcome
        assert report.steps == self.straight.steps, outcome
        if code == Exit.DONE:
            return outcome
        assert report.resumed_from == (left[-1] if left else None), f"{outcome}: not the newest complete of {left}"
        lost = done - (report.resumed_from or 0)
        self._check_loss(outcome, lost)
        shutil.rmtree(settings.work, ignore_errors=True)
        return Outcome(trial, place, code, lost)

    def _check_code(self, outcome: Outcome, report: Report) -> None:
        """A signal ends in 75 or 143; in 0 only when the training was over, or the moment never came."""
        code = outcome.code
        if outcome.place == "nowhere" or code == Exit.DONE:
            assert (code, report.status) == (Exit.DONE, "trained"), outcome
        elif outcome.trial.death.with_signal is signal.SIGKILL:
            assert code == -signal.SIGKILL, outcome
        else:
            assert code in {Exit.STOPPED, Exit.KILLED}, f"{outcome}: exit code {code}"

    def _check_loss(self, outcome: Outcome, lost: int) -> None:
        if outcome.code == Exit.STOPPED:
            assert lost == 0, f"{outcome}: stopped, and {lost} steps are lost"
        elif not outcome.trial.loses_disk:
            assert lost <= self.interval, f"{outcome}: {lost} steps are lost"

    def _train(self, settings: Settings, trial: Trial, notes: Notes) -> int:
        """Exit code of the pod: of the rank that died, when one did; the others go with it."""
        if self.ranks == 1:
            return exit_code(
                start("train", settings, self.recipes, trial.death, notes=notes, around=Surroundings(self.store))
            )
        (port,) = free_ports(1)
        processes = []
        for rank in range(self.ranks):
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self.ranks, "LOCAL_WORLD_SIZE": self.ranks}
            named = {name: str(value) for name, value in place.items()}
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
            death = trial.death if rank == trial.rank else Death("none", 0)
            its_notes = self._notes_of(rank, notes)
            around = Surroundings({**self.store, **named, **address})
            processes.append(start("train", settings, self.recipes, death, notes=its_notes, around=around))
        first = exit_code(processes[trial.rank])
        for process in processes:
            if first < 0:
                process.kill()
            elif first != Exit.DONE:
                process.join(_SECONDS_FOR_THE_OTHERS)  # as the launcher does
                process.kill()
        codes = [exit_code(process) for process in processes]
        return first if first < 0 else together(codes)

    def _complete(self, settings: Settings) -> Sequence[int]:
        """Steps whose checkpoint is whole on the disk or in the bucket, found without the trainer's own search."""
        roots = [f"{settings.work}/attempt/{CHECKPOINTS}", f"{settings.attempt_url}/{CHECKPOINTS}"]
        found = set()
        for number, root in enumerate(roots):
            for name in storage.folders(root):
                copy = self.folder / "copies" / settings.work.name / str(number) / name
                try:
                    storage.fetch_folder(f"{root}/{name}", copy)
                except Incomplete:
                    continue
                if name.startswith("step-"):
                    found.add(int(name.removeprefix("step-")))
        return sorted(found)

    def _settings(self, name: str) -> Settings:
        return Settings(job=self.job, attempt_url=f"s3://{BUCKET}/{self.folder.name}/{name}", work=self._work(name))

    def _prepared(self, name: str) -> Settings:
        """An attempt at which `prepare` has already been."""
        settings, straight = self._settings(name), self._settings("straight")
        storage.store_folder(self._work("straight") / "attempt" / PREPARED, f"{settings.attempt_url}/{PREPARED}")
        report = AttemptFolder.of(straight).report()
        assert report is not None
        AttemptFolder.of(settings).write_report(Report(status="prepared", job=report.job, version=report.version))
        return settings

    def _report(self, settings: Settings) -> Report:
        report = AttemptFolder.of(settings).report()
        assert report is not None
        return report

    def _work(self, name: str) -> Path:
        return self.folder / "work" / name

    def _notes_of(self, rank: int, first: Notes) -> Notes:
        return first if rank == 0 else self._notes(f"{first.folder.name}-{rank}")

    def _notes(self, name: str) -> Notes:
        notes = Notes(self.folder / "notes" / name)
        notes.folder.mkdir(parents=True, exist_ok=True)
        return notes
