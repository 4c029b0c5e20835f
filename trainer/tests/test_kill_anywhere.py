"""Trainings killed at a line of their own code that a seed draws: a sample here, hundreds in the tier test-long."""

import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from trainer.contract.steps import Exit
from trainer.tests.killing import ROOMS, Outcome, Scene, Trial

SAMPLE = {"training": 11, "saving": 12, "upload": 13, "measuring": 14}
# Kill points of the tier test-long by room, on one rank; and on two.
ONE_RANK = {"training": 52, "saving": 36, "upload": 36, "measuring": 22, "resuming": 14}
TWO_RANKS = {"training": 8, "saving": 6, "upload": 4, "measuring": 4}


@pytest.fixture(scope="module")
def one_rank(tmp_path_factory: pytest.TempPathFactory, recipes: Path, base: Path, store: Mapping[str, str]) -> Scene:
    return Scene.of(tmp_path_factory.mktemp("one-rank"), recipes, base, store, evaluateSteps=3)


@pytest.mark.requirement("E78", "C54", "D73")
@pytest.mark.parametrize("room", SAMPLE)
def test_a_training_killed_anywhere_goes_on_to_the_same_adapter(one_rank: Scene, room: str) -> None:
    trial = Trial.drawn(SAMPLE[room], one_rank.lines, room=room)

    assert one_rank.outcome(trial).place.startswith(room)


def test_each_room_of_a_training_is_entered(one_rank: Scene) -> None:
    assert set(ROOMS) <= set(one_rank.lines)


@pytest.mark.long
@pytest.mark.requirement("E78", "C54")
def test_hundreds_of_deaths_on_one_rank_end_in_the_same_adapter(one_rank: Scene) -> None:
    outcomes = _all(one_rank, ONE_RANK, first_seed=1000)

    assert len(outcomes) >= 0.9 * sum(ONE_RANK.values())


@pytest.mark.long
@pytest.mark.requirement("E78", "D66")
@pytest.mark.parametrize("parallel", ["ddp", "fsdp2"])
def test_deaths_on_two_ranks_end_in_the_same_adapter(
    tmp_path_factory: pytest.TempPathFactory, recipes: Path, base: Path, store: Mapping[str, str], parallel: str
) -> None:
    folder = tmp_path_factory.mktemp(parallel)
    scene = Scene.of(folder, recipes, base, store, ranks=2, evaluateSteps=3, parallel=parallel)
    outcomes = _all(scene, TWO_RANKS, first_seed=2000)

    assert len(outcomes) >= 0.9 * sum(TWO_RANKS.values())


def _all(scene: Scene, points: Mapping[str, int], *, first_seed: int) -> list[Outcome]:
    """The trials whose moment came; what came of them is printed. Every failure is told, with its seed."""
    rooms = [room for room, number in points.items() for _ in range(number)]
    outcomes, failures = [], []
    for seed, room in enumerate(rooms, start=first_seed):
        try:
            outcomes.append(scene.outcome(Trial.drawn(seed, scene.lines, room=room, ranks=scene.ranks)))
            print(f"{outcomes[-1]}: {outcomes[-1].code}, {outcomes[-1].lost} lost")  # noqa: T201
        except AssertionError as error:
            failures.append(str(error).splitlines()[0])
            print(f"FAILED {failures[-1]}")  # noqa: T201
    reached = [outcome for outcome in outcomes if outcome.place != "nowhere"]
    for with_signal in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1):
        its = [outcome for outcome in reached if outcome.trial.death.with_signal is with_signal]
        codes = Counter(Exit(outcome.code).name if outcome.code >= 0 else "killed" for outcome in its)
        kept = [outcome.lost for outcome in its if not outcome.trial.loses_disk]
        lost = [outcome.lost for outcome in its if outcome.trial.loses_disk]
        print(  # noqa: T201 - figures of the run
            f"{scene.folder.name}, {scene.ranks} rank(s), {with_signal.name}: {len(its)} deaths, {dict(codes)};"
            f" steps lost at most {max(kept, default=0)} with the disk kept, {max(lost, default=0)} without"
        )
    print(f"by room: {dict(Counter(outcome.trial.death.moment for outcome in reached))}; {len(failures)} failures")  # noqa: T201
    assert not failures, "\n".join(failures)
    return reached
