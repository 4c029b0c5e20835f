"""The trials of a search as files in the attempt's folder: `trials/<n>/`, n from 0.

`search` writes proposal.json; the trial writes spent.json, measurements.jsonl and result.json, each as a whole, and
reads its siblings'. A later attempt reads those of earlier ones and writes its own.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import CHECKPOINTS, TRIALS
from trainer.outcomes import BadInput
from trainer.publishing.manifest import to_json
from trainer.searching.halving import Measurement
from trainer.settings import Settings

MOST_ASKED = 5  # times that a trial is asked for in a row without a new checkpoint; more of them lead nowhere

Ending = Literal["pruned", "outOfTime"]


class _File(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Proposal(_File):
    """What is to be tried. rank_seconds: that all runs of the trial may take; None: nothing bounds them.

    asked: how often in a row it was asked for while `checkpoint` was its newest.
    """

    number: int
    parameters: dict[str, int | float]
    rank_seconds: float | None = None
    asked: int = 1
    checkpoint: str | None = None


class Result(_File):
    """How a trial ended. loss: the lowest held-out loss, of the weights it leaves; absent when it failed."""

    state: Literal["finished", "pruned", "outOfTime", "failed"]
    loss: float | None = None
    steps: int = 0
    reason: str | None = None


class Spending(_File):
    """Seconds of ranks that the runs of a trial took in one attempt, or may take before this is renewed."""

    rank_seconds: float = 0.0


@dataclass(frozen=True)
class Trial:
    """All that is known of a trial. url: its folder, where the result is; checkpoint: name of the newest one."""

    number: int
    url: str
    proposal: Proposal
    result: Result | None
    rank_seconds: float
    measurements: tuple[Measurement, ...]
    checkpoint: str | None = None

    @property
    def loss(self) -> float | None:
        return self.result.loss if self.result is not None else None

    @property
    def is_over(self) -> bool:
        """It has a result, or was asked for so often that it is taken for failed."""
        return self.result is not None or (
            self.proposal.asked >= MOST_ASKED and self.proposal.checkpoint == self.checkpoint
        )


F = TypeVar("F", bound=_File)


@dataclass(frozen=True)
class Trials:
    """roots: folders of this attempt and of those before it, newest first; the first alone is written to."""

    roots: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings, attempt: AttemptFolder) -> "Trials":
        return cls((attempt.url or str(attempt.local), *settings.older_urls))

    def folder(self, number: int, root: str | None = None) -> str:
        return f"{root or self.roots[0]}/{TRIALS}/{number}"

    def all(self) -> list[Trial]:
        """In the order of their numbers. Raises Unavailable."""
        names = {name for root in self.roots for name in storage.folders(f"{root}/{TRIALS}") if name.isdigit()}
        found = (self.trial(number) for number in sorted(int(name) for name in names))
        return [trial for trial in found if trial is not None]

    def trial(self, number: int) -> Trial | None:
        """None when nobody asked for it. Raises Unavailable."""
        proposal = self._newest(number, "proposal.json", Proposal)
        if proposal is None:
            return None
        result, url = self._newest(number, "result.json", Result), self.folder(number)
        for root in self.roots if result else ():
            if storage.read(f"{self.folder(number, root)}/result.json") is not None:
                url = self.folder(number, root)
                break
        spent = sum(self.spent(number, root) for root in self.roots)
        measured = tuple(each for each in self.measurements(number) if isinstance(each, Measurement))
        return Trial(number, url, proposal, result, spent, measured, self._checkpoint(number))

    def spent(self, number: int, root: str) -> float:
        """Seconds of ranks in one attempt."""
        content = storage.read(f"{self.folder(number, root)}/spent.json")
        return _parsed(content, Spending).rank_seconds if content else 0.0

    def measurements(self, number: int) -> list[Measurement | tuple[int, Ending]]:
        """What was measured, in order, and at which step it was decided to end, where it was."""
        for root in self.roots:
            content = storage.read(f"{self.folder(number, root)}/measurements.jsonl")
            if content is not None:
                return list(_lines(content))
        return []

    def propose(self, proposal: Proposal) -> None:
        self._write(proposal.number, "proposal.json", proposal)

    def end(self, number: int, result: Result) -> None:
        self._write(number, "result.json", result)

    def spend(self, number: int, rank_seconds: float) -> None:
        self._write(number, "spent.json", Spending(rank_seconds=round(rank_seconds, 3)))

    def measure(self, number: int, found: Sequence[Measurement | tuple[int, Ending]]) -> None:
        lines = [
            {**asdict(each), "loss": each.loss if math.isfinite(each.loss) else None}
            if isinstance(each, Measurement)
            else {"step": each[0], "ended": each[1]}
            for each in found
        ]
        content = "".join(json.dumps(line) + "\n" for line in lines)
        storage.write(f"{self.folder(number)}/measurements.jsonl", content.encode())

    def _newest(self, number: int, name: str, kind: type[F]) -> F | None:
        for root in self.roots:
            content = storage.read(f"{self.folder(number, root)}/{name}")
            if content is not None:
                return _parsed(content, kind)
        return None

    def _checkpoint(self, number: int) -> str | None:
        names = [name for root in self.roots for name in storage.folders(f"{self.folder(number, root)}/{CHECKPOINTS}")]
        return max((name for name in names if name.startswith("step-")), default=None)

    def _write(self, number: int, name: str, document: _File) -> None:
        content = to_json(document.model_dump(mode="json", by_alias=True))
        storage.write(f"{self.folder(number)}/{name}", content.encode())


def _parsed(content: bytes, kind: type[F]) -> F:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        reason = " ".join(str(error).split())
        raise BadInput(
            f"trials: a {kind.__name__.lower()} has another form ({reason}); begin in a new folder"
        ) from error


def _lines(content: bytes) -> Iterator[Measurement | tuple[int, Ending]]:
    for text in content.splitlines():
        line: dict[str, Any] = json.loads(text)
        if "ended" in line:
            yield line["step"], line["ended"]
        else:
            loss = line["loss"]
            yield Measurement(line["step"], line["rows"], math.inf if loss is None else loss)
