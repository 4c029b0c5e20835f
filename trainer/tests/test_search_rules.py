"""The rules of a search by themselves: what it may cost, which trials go on, what is proposed."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.attempt import AttemptFolder
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Recipe
from trainer.contract.search import Budget, Pruning, Range, Search, Space
from trainer.outcomes import BadInput
from trainer.recipes import recipe_of
from trainer.search import ask
from trainer.searching.budget import Spent, next_round, seconds_of
from trainer.searching.halving import Halving, Measurement
from trainer.searching.limit import Limit
from trainer.searching.outcome import best_of, best_yaml, table
from trainer.searching.picture import picture
from trainer.searching.proposals import importance, proposed
from trainer.searching.space import first, recipe_of_trial, refuse_impossible
from trainer.searching.trials import Proposal, Result, Trial, Trials
from trainer.settings import Settings

ROWS = 320  # of one simulated epoch
# E86: learning rate 1e-5 to 1e-3, batches of 4, 8 and 16, ranks 8 to 64, 50 trials, 10 epochs, patience 3.
RECIPE = """
gpusPerNode: 0
rank: 16
alpha: 32
batchRows: 8
epochs: 10
learningRate: 0.0002
evaluateSteps: 20
patience: 3
"""
SEARCH = Search(
    space=Space(learning_rate=Range(low=1e-5, high=1e-3), rank=(8, 16, 32, 64), batch_rows=(4, 8, 16)),
    budget=Budget(trials=50, gpu_hours=0.6, cost=Decimal("0.9"), cost_per_hour=Decimal(2)),
    pruning=Pruning(min_steps=20, reduction=3),
    parallel=2,
)

seconds = st.floats(0.5, 5000, allow_nan=False)


@given(
    durations=st.lists(st.tuples(seconds, st.booleans()), min_size=60),
    hours=st.floats(0.01, 3),
    at_once=st.integers(1, 8),
)
@settings(max_examples=50, deadline=None)
def test_no_trials_together_take_more_than_the_budget(
    durations: list[tuple[float, bool]], hours: float, at_once: int
) -> None:
    budget, spent, drawn = Budget(trials=50, gpu_hours=hours), Spent(), iter(durations)

    while (found := next_round(budget, spent, parallel=at_once)).trials:
        for _ in range(found.trials):
            wanted, has_result = next(drawn)
            taken = min(wanted, found.seconds)  # a trial stops itself
            known = [taken, *([spent.shortest] if spent.shortest else [])]
            spent = replace(spent, trials=spent.trials + 1, seconds=spent.seconds + taken)
            if has_result:
                spent = replace(spent, longest=max(spent.longest, taken), shortest=min(known))

    assert spent.seconds <= hours * 3600 * (1 + 1e-9)
    assert spent.trials <= budget.trials


def test_money_bounds_the_hours_that_it_buys() -> None:
    assert seconds_of(Budget(gpu_hours=4, cost=Decimal(6), cost_per_hour=Decimal(2))) == 3 * 3600
    assert math.isinf(seconds_of(Budget(trials=3)))


def test_no_trial_begins_that_could_not_come_to_a_result() -> None:
    spent = Spent(trials=3, seconds=3500, longest=900, shortest=120)

    assert next_round(Budget(gpu_hours=1), spent, parallel=4).trials == 0
    assert next_round(Budget(gpu_hours=1.05), spent, parallel=4).trials == 2


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limit(folder: Path, clock: Callable[[], float], allowed: float | None, **changes: object) -> Limit:
    trials, proposal = Trials((str(folder),)), Proposal(number=0, parameters={}, rank_seconds=allowed)
    trials.propose(proposal)
    return Limit(trials, proposal, **{"batch_rows": 4, "halving": None, "clock": clock, **changes})  # type: ignore[arg-type]


@given(steps=st.lists(st.floats(1, 2), min_size=80, max_size=80), allowed=st.floats(10, 70), world=st.integers(1, 4))
@settings(max_examples=8, deadline=None)
def test_a_trial_stops_within_its_time_and_a_killed_one_is_never_counted_for_less(
    tmp_path_factory: pytest.TempPathFactory, steps: list[float], allowed: float, world: int
) -> None:
    folder, clock = tmp_path_factory.mktemp("trial"), Clock()
    found, trials = limit(folder, clock, allowed, world=world), Trials((str(folder),))
    for number, duration in enumerate(steps, start=1):
        clock.now += duration
        assert trials.spent(0, str(folder)) >= min(clock.now * world, allowed)
        found.told({"step": number, "loss": 1.0})
        if found.is_reached:
            break
    found.close()

    assert found.ending == "outOfTime"
    assert allowed - 4 * world - 2 * 2 * world <= trials.spent(0, str(folder)) <= max(allowed, 2 * world)


def test_a_run_that_goes_on_counts_what_those_before_it_took(tmp_path: Path) -> None:
    clock = Clock()
    before = limit(tmp_path, clock, 100)
    clock.now = 30.0
    before.close()

    assert limit(tmp_path, clock, 100).rank_seconds == 30


def measured(*losses: float, every: int = 10, batch: int = 8) -> list[Measurement]:
    return [Measurement(step, step * batch, loss) for step, loss in enumerate_steps(losses, every)]


def enumerate_steps(losses: Sequence[float], every: int) -> list[tuple[int, float]]:
    return [(number * every, loss) for number, loss in enumerate(losses, start=1)]


HALVING = Halving(Pruning(min_steps=10, reduction=3), batch_rows=8)


def test_rungs_are_reached_after_equally_many_rows_whatever_the_batch() -> None:
    assert [HALVING.rung(measured(*[1.0] * count)) for count in (1, 2, 3, 8, 9)] == [0, None, 1, None, 2]
    assert HALVING.rung(measured(1.0, every=5, batch=16)) == 0
    assert HALVING.rung(measured(1.0, every=5, batch=4)) is None


def test_one_of_three_goes_on_and_the_best_always_does() -> None:
    others = [measured(0.9), measured(0.8), measured(0.7), measured(0.6), measured(0.5)]

    assert HALVING.goes_on(0, measured(0.55), others)  # second of six
    assert not HALVING.goes_on(0, measured(0.65), others)
    assert HALVING.goes_on(0, measured(0.4), others)
    assert HALVING.goes_on(1, measured(2.0, 2.0, 2.0), others)  # nobody else came as far
    assert not HALVING.goes_on(0, measured(math.inf), others)


def test_the_first_trial_has_the_recipes_own_values_or_the_nearest_of_the_space() -> None:
    space = Space(learning_rate=Range(low=1e-4, high=1e-3), rank=(8, 64), batch_rows=(4, 16))

    assert first(space, Recipe(gpus_per_node=0, rank=32, batch_rows=8, learning_rate=0.01)) == {
        "learningRate": 1e-3,
        "rank": 8,
        "batchRows": 4,
    }
    assert "rank" not in first(space, Recipe(gpus_per_node=0, method="full"))


def test_the_scale_of_the_update_and_the_rows_between_measurements_stay_the_recipes() -> None:
    recipe = Recipe(gpus_per_node=0, rank=16, alpha=32, batch_rows=8, evaluate_steps=6)
    job = TrainingJob(base="b", data="d", search=SEARCH)

    tried = recipe_of_trial(job, recipe, {"learningRate": 1e-4, "rank": 64, "batchRows": 4})

    assert (tried.alpha, tried.evaluate_steps) == (128, 12)
    assert tried.patience is not None  # its best weights are kept


def test_a_value_that_cannot_work_is_refused_before_any_trial() -> None:
    job = TrainingJob(base="b", data="d", search=Search(space=Space(rank=(8, 512))))

    with pytest.raises(BadInput, match=r"search\.space\.rank: 512 does not work: trial: rank: Input"):
        refuse_impossible(job, Recipe(gpus_per_node=0))


def test_the_same_trials_propose_the_same_round_and_another_seed_another() -> None:
    recipe, known = Recipe(gpus_per_node=0), [trial(number, loss=1.0 / (number + 1)) for number in range(15)]

    one, two, other = (proposed(SEARCH, recipe, known, count=3, seed=seed) for seed in (0, 0, 1))

    assert one == two != other
    assert len({each["learningRate"] for each in one}) == 3


def trial(number: int, *, loss: float | None) -> Trial:
    parameters = {"learningRate": 1e-5 * (number + 1), "rank": (8, 16, 32, 64)[number % 4], "batchRows": 8}
    result = Result(state="finished" if loss else "failed", loss=loss)
    return Trial(number, "", Proposal(number=number, parameters=parameters), result, 1.0, ())


def test_the_picture_of_a_search_is_the_same_for_the_same_trials() -> None:
    known = [trial(number, loss=1.0 / (number + 1)) for number in range(12)]
    found = importance(SEARCH, Recipe(gpus_per_node=0), known)

    assert set(found) == {"learningRate", "rank", "batchRows"}
    assert sum(found.values()) == pytest.approx(1)
    assert found["batchRows"] == min(found.values())  # one size was tried
    assert picture(found, [(1e-4, 0.5)]) == picture(found, [(1e-4, 0.5)])
    assert b"PED-ANOVA" in picture(found, [(1e-4, 0.5)])
    assert b"too few trials" in picture(importance(SEARCH, Recipe(gpus_per_node=0), known[:1]), [])


# A simulated training: the loss falls from 2 towards a floor that the parameters decide ------------------------------


def loss_of(recipe: Recipe, rows: int) -> float:
    """Best near a learning rate of 3e-4; rank and batch matter little, as with LoRA."""
    floor = 0.8 + 0.4 * (math.log10(recipe.learning_rate) + 3.5) ** 2 + 0.02 * abs(math.log2(recipe.rank / 32))
    return floor + (2 - floor) * math.exp(-5 * rows / (ROWS * recipe.epochs)) + 0.001 * recipe.batch_rows


def simulated(job: TrainingJob, trials: Trials, proposal: Proposal) -> int:
    """A trial as far as its limit lets it; its steps."""
    own, clock = recipe_of(job), Clock()
    recipe = recipe_of_trial(job, own, proposal.parameters)
    assert recipe.evaluate_steps is not None
    halving = None if job.search is None or job.search.pruning is None else Halving(job.search.pruning, own.batch_rows)
    ends = Limit(trials, proposal, batch_rows=recipe.batch_rows, halving=halving, clock=clock)
    step, steps = 0, ROWS * recipe.epochs // recipe.batch_rows
    while step < steps and not ends.is_reached:
        step = min(step + recipe.evaluate_steps, steps)
        clock.now += recipe.evaluate_steps * recipe.batch_rows * 0.02
        ends.told({"step": step, "evalLoss": loss_of(recipe, step * recipe.batch_rows)})
    ends.close()
    loss = loss_of(recipe, step * recipe.batch_rows)
    trials.end(proposal.number, Result(state=ends.ending or "finished", loss=loss, steps=step))
    return step


@pytest.fixture
def searched(tmp_path: Path, recipes: Path) -> Callable[[Search], tuple[TrainingJob, Trials]]:
    """A whole search of simulated trials."""
    (recipes / "e86.yaml").write_text(RECIPE)

    def search(wanted: Search) -> tuple[TrainingJob, Trials]:
        job = TrainingJob(base="b", data="d", recipe="e86", search=wanted)
        told = Settings(job=job, attempt_url=str(tmp_path / "out"), work=tmp_path / "work")
        trials = Trials.of(told, AttemptFolder.of(told))
        while asked := ask(told, wanted, trials):
            assert [each.parameters for each in asked] == [each.parameters for each in ask(told, wanted, trials)]
            for proposal in asked:
                simulated(job, trials, proposal)
        return job, trials

    return search


@pytest.mark.requirement("E86")
def test_fifty_trials_stay_in_their_budget_and_leave_the_best_as_a_recipe(
    searched: Callable[[Search], tuple[TrainingJob, Trials]], recipes: Path
) -> None:
    job, trials = searched(SEARCH)
    known = trials.all()
    best = best_of(known)
    found = table(job, known, importance=importance(SEARCH, recipe_of(job), known), best=best)
    (recipes / "best.yaml").write_text(best_yaml(job, best, trials=len(known)))
    loaded = recipe_of(job.model_copy(update={"recipe": "best", "search": None}))

    assert len(known) == 50
    assert found["rankSeconds"] <= found["rankSecondsAllowed"] == 0.45 * 3600
    assert found["cost"] <= found["costAllowed"] == 0.9
    assert found["prunedShare"] >= 0.4
    assert next(iter(found["importance"])) == "learningRate"
    assert loaded == recipe_of_trial(job, recipe_of(job), best.proposal.parameters)
    assert (loaded.epochs, loaded.patience) == (10, 3)
    assert 1e-4 < loaded.learning_rate < 1e-3
    assert yaml.safe_load((recipes / "best.yaml").read_text())["rank"] in (8, 16, 32, 64)
    json.dumps(found)


def test_pruning_saves_two_of_five_steps_and_finds_the_same_best(
    searched: Callable[[Search], tuple[TrainingJob, Trials]], tmp_path: Path
) -> None:
    job, trials = searched(SEARCH.model_copy(update={"pruning": None, "budget": Budget(trials=24), "parallel": 8}))
    whole = trials.all()
    pruning = job.model_copy(update={"search": SEARCH})
    again = Trials((str(tmp_path / "pruned"),))
    for each in whole:
        again.propose(each.proposal)
        simulated(pruning, again, each.proposal)
    pruned = again.all()

    def steps(trials: list[Trial]) -> float:
        return sum(each.result.steps * each.proposal.parameters["batchRows"] for each in trials if each.result)

    assert steps(pruned) <= 0.6 * steps(whole)
    assert best_of(pruned).number == best_of(whole).number
