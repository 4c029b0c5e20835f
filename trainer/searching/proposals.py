"""Which parameters are tried next, and which of them mattered. The only module that imports optuna; no study is kept.

A study is made anew from the trials' results each time, told in the order of their numbers and drawing from a seed of
its own per round, so the same results give the same proposals.
"""

import hashlib
import logging
import math
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from trainer.contract.recipe import Recipe
from trainer.contract.search import Search
from trainer.searching.space import LEARNING_RATE, Parameters, choices, first, within
from trainer.searching.trials import Trial

_STATES = {
    "finished": TrialState.COMPLETE,
    "outOfTime": TrialState.COMPLETE,  # its best so far is a result like any other
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
_BY_CHANCE = (3, 10)  # trials before any is drawn from what the others found: fewest and most


def proposed(search: Search, recipe: Recipe, trials: Sequence[Trial], *, count: int, seed: int) -> list[Parameters]:
    """Parameters of the next `count` trials. The first of all has the recipe's own."""
    optuna.logging.set_verbosity(logging.WARNING)
    space = _distributions(search, recipe)
    fewest, most = _BY_CHANCE
    sampler = TPESampler(
        seed=_seed(seed, len(trials)),
        n_startup_trials=min(max(search.budget.trials // 4, fewest), most),
        constant_liar=True,  # proposals of one round keep away from each other
    )
    study = _study(trials, space, sampler)
    found: list[Parameters] = []
    if not trials:
        found.append(first(search.space, recipe))
        study.add_trial(create_trial(state=TrialState.RUNNING, params=dict(found[0]), distributions=dict(space)))
    while len(found) < count:
        drawn = study.ask(space).params
        found.append({**drawn, LEARNING_RATE: within(drawn[LEARNING_RATE], search.space)})
    return found


def importance(search: Search, recipe: Recipe, trials: Sequence[Trial]) -> dict[str, float]:
    """Share of each parameter in how well the trials did, most important first; empty with too few of them."""
    study = _study(trials, _distributions(search, recipe), None)
    complete = [trial for trial in study.trials if trial.state is TrialState.COMPLETE]
    if len({trial.value for trial in complete}) < 2:  # noqa: PLR2004 - a difference needs two
        return {}
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # slow; once a search

    return dict(get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()))


def _distributions(search: Search, recipe: Recipe) -> dict[str, BaseDistribution]:
    rate = search.space.learning_rate
    finite = choices(search.space, recipe).items()
    return {
        LEARNING_RATE: FloatDistribution(rate.low, rate.high, log=True),
        **{name: CategoricalDistribution(values) for name, values in finite},
    }


def _study(trials: Sequence[Trial], space: dict[str, BaseDistribution], sampler: Any) -> optuna.Study:
    study = optuna.create_study(sampler=sampler, direction="minimize")
    for trial in trials:
        study.add_trial(_told(trial, space))
    return study


def _told(trial: Trial, space: dict[str, BaseDistribution]) -> FrozenTrial:
    """A trial that was asked for in vain failed; one without a loss cannot be complete."""
    state = _STATES[trial.result.state] if trial.result is not None else TrialState.FAIL
    if trial.loss is None and state is not TrialState.PRUNED:
        state = TrialState.FAIL
    return create_trial(
        state=state,
        params=dict(trial.proposal.parameters),
        distributions=space,
        value=trial.loss if state is TrialState.COMPLETE else None,
        intermediate_values={each.rows: each.loss for each in trial.measurements if math.isfinite(each.loss)},
    )


def _seed(seed: int, number: int) -> int:
    """Of a round, by the number of its first trial."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")
