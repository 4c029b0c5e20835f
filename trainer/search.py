"""Step `search`: the trials so far in, a round of further ones out; in the end the best one's adapter. Without torch.

What is asked is a function of the job and of the trials' results, so it may be killed and started again at any moment.
"""

import math
from collections.abc import Sequence

from trainer import storage
from trainer.attempt import AttemptFolder
from trainer.contract.bucket import ADAPTER
from trainer.contract.search import Search
from trainer.contract.steps import ROUND_FIRST, ROUND_TRIALS
from trainer.outcomes import BadInput
from trainer.recipes import recipe_of
from trainer.searching.budget import Round, Spent, next_round
from trainer.searching.outcome import best_of, with_usage, write_outcome
from trainer.searching.space import refuse_impossible
from trainer.searching.trials import Proposal, Trial, Trials
from trainer.settings import Settings
from trainer.sinks import Sink
from trainer.usage import metered

_HOPELESS = 3  # trials that failed, when no other came to a loss: the fault is the job's


def run(settings: Settings, sink: Sink) -> None:
    """Leave the numbers of the next round below the work folder; with 0 trials, adapter and report as `train` does."""
    search, attempt = settings.job.search, AttemptFolder.of(settings)
    if search is None:
        raise BadInput("search: the job asks for none; add `search:` to it, or run the step train")
    sink.begin("search")
    with metered(attempt, "search", settings, sink=sink) as usage:
        report = attempt.report()
        if report is None:
            raise BadInput(f"{attempt.url or attempt.local}: has no report of prepare; run the step prepare first")
        if report.status in {"trained", "evaluated", "published"}:
            _tell(settings, first=0, trials=0)
            return
        recipe = recipe_of(settings.job)
        refuse_impossible(settings.job, recipe)
        trials = Trials.of(settings, attempt)
        asked = ask(settings, search, trials)
        usage.kept()
        if not asked:
            from trainer.searching.proposals import importance

            found = trials.all()
            report = write_outcome(settings.job, attempt, found, importance=importance(search, recipe, found))
            attempt.write_report(with_usage(report, usage.total()))
        _keep_best(trials)
        _tell(settings, first=asked[0].number if asked else 0, trials=len(asked))


def ask(settings: Settings, search: Search, trials: Trials) -> list[Proposal]:
    """Write the proposals of the next round, and return them: first those that were asked for and are not over.

    Raises BadInput when trials fail and none succeeds.
    """
    known = trials.all()
    spent = _spent(known)
    if waiting := [trial for trial in known if not trial.is_over]:
        first, last = waiting[0].number, waiting[-1].number
        waiting = [trial for trial in known if first <= trial.number <= last]  # those that are over end at once
        budget = next_round(search.budget, _spent(known[:first], seconds=spent.seconds), parallel=len(waiting))
        found = [_again(trial, budget) for trial in waiting[: budget.trials]]
        for proposal in found:
            trials.propose(proposal)
        return found
    if len(known) >= _HOPELESS and all(trial.loss is None for trial in known):
        best_of(known)
    budget = next_round(search.budget, spent, parallel=search.parallel)
    if not budget.trials:
        return []
    from trainer.searching.proposals import proposed

    recipe = recipe_of(settings.job)
    tried = proposed(search, recipe, known, count=budget.trials, seed=settings.job.seed)
    seconds = None if math.isinf(budget.seconds) else budget.seconds
    made = [
        Proposal(number=number, parameters=dict(parameters), rank_seconds=seconds)
        for number, parameters in enumerate(tried, start=len(known))
    ]
    for proposal in made:
        trials.propose(proposal)
    return made


def _again(trial: Trial, budget: Round) -> Proposal:
    """The same parameters, with what is left for it now."""
    before = trial.proposal
    if trial.result is not None:
        return before
    asked = before.asked + 1 if before.checkpoint == trial.checkpoint else 1
    seconds = None if math.isinf(budget.seconds) else trial.rank_seconds + budget.seconds
    return before.model_copy(update={"asked": asked, "checkpoint": trial.checkpoint, "rank_seconds": seconds})


def _spent(trials: Sequence[Trial], *, seconds: float | None = None) -> Spent:
    """By these trials; seconds: by all of them, where some are not counted."""
    taken = [trial.rank_seconds for trial in trials if trial.loss is not None]
    total = sum(trial.rank_seconds for trial in trials) if seconds is None else seconds
    return Spent(len(trials), total, longest=max(taken, default=0.0), shortest=min(taken, default=0.0))


def _keep_best(trials: Trials) -> None:
    """Of this attempt's adapters, which may be large, the best trial's alone."""
    found = [trial for trial in trials.all() if trial.loss is not None and trial.result]
    whole = [trial for trial in found if trial.result and trial.result.state != "pruned"]
    best = best_of(found) if whole else None
    for trial in found:
        if trial != best and trial.url == trials.folder(trial.number):
            storage.remove_folder(f"{trial.url}/{ADAPTER}")


def _tell(settings: Settings, *, first: int, trials: int) -> None:
    for name, number in ((ROUND_FIRST, first), (ROUND_TRIALS, trials)):
        storage.write(str(settings.work / name), str(number).encode())
