"""Step `trial`: one training of a search, in a folder of its own. Stopped or killed it goes on as `train` does.

It ends early, with its best weights so far, when its siblings do better or its time is used up.
"""

import os
from dataclasses import replace

from trainer.attempt import AttemptFolder
from trainer.contract.bucket import METRICS, TRIALS
from trainer.contract.search import Search
from trainer.contract.steps import TRIAL_NUMBER
from trainer.evaluation.metrics import lines_of
from trainer.keeping import Part
from trainer.launch import RANK, WORLD_SIZE
from trainer.outcomes import BadInput
from trainer.recipes import recipe_of
from trainer.searching.halving import Halving
from trainer.searching.limit import Limit
from trainer.searching.space import recipe_of_trial
from trainer.searching.trials import Proposal, Result, Trials
from trainer.settings import Settings
from trainer.sinks import Sink
from trainer.train import train


def run(settings: Settings, sink: Sink) -> None:
    """Leave `trials/<n>/` with adapter and result. Raises what `train` raises; a trial of no use is a result, too."""
    attempt = AttemptFolder.of(settings)
    trials, proposal = _proposed(settings, attempt)
    number, is_first = proposal.number, os.environ.get(RANK, "0") == "0"
    found = trials.trial(number)
    if found is not None and found.result is not None:
        return
    search, own = settings.job.search or Search(), recipe_of(settings.job)
    recipe = recipe_of_trial(settings.job, own, proposal.parameters)
    limit = None
    if is_first:
        halving = Halving(search.pruning, own.batch_rows) if search.pruning is not None else None
        world = int(os.environ.get(WORLD_SIZE, "1"))
        limit = Limit(trials, proposal, batch_rows=recipe.batch_rows, halving=halving, world=world)
    part = Part(attempt, f"trial-{number}", limit)
    older = tuple(f"{url}/{TRIALS}/{number}" for url in settings.older_urls)
    folder = attempt.below(f"{TRIALS}/{number}")
    try:
        train(replace(settings, older_urls=older), recipe, sink, folder=folder, part=part)
        if limit is not None:
            trials.end(number, _result(folder, limit))
            folder.drop_checkpoints()
    except BadInput as error:
        if is_first:
            trials.end(number, Result(state="failed", reason=str(error)))
        raise
    finally:
        if limit is not None:
            limit.close()


def _proposed(settings: Settings, attempt: AttemptFolder) -> tuple[Trials, Proposal]:
    """Raises BadInput when `search` has not asked for this trial."""
    trials, number = Trials.of(settings, attempt), settings.trial
    if number is None:
        raise BadInput(f"{TRIAL_NUMBER}: not set; the workflow sets it (trainer/contract/steps.py)")
    found = trials.trial(number)
    if found is None:
        raise BadInput(f"{trials.folder(number)}: nobody proposed this trial; run the step search first")
    return trials, found.proposal


def _result(folder: AttemptFolder, limit: Limit) -> Result:
    """From what `train` left, so that it is the same when the process was killed in between."""
    report = folder.report()
    best = report.best_step if report is not None else None
    measured = (line for line in lines_of(folder.read(METRICS) or b"") if line["step"] == best)
    loss = next((line["evalLoss"] for line in measured if line.get("evalLoss") is not None), None)
    steps = report.steps if report is not None else 0
    if loss is None:
        text = "no held-out loss was measured before its time was used up; give the search more time"
        if limit.ending is None:
            text = "there is no held-out loss to compare by; hold out more rows"
        return Result(state="failed", steps=steps, reason=text)
    return Result(state=limit.ending or "finished", loss=loss, steps=steps)
