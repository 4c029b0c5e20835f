"""The search for hyperparameters: rounds of trials, each trial a queue-labelled object of lower priority.

`search` is asked and told through the bucket: it reads what the trials so far reported and writes the proposals of the
next ones into the attempt's folder, so a trial needs no credential but the bucket's. What it hands to Argo are two
whole numbers, which Argo parses as such (withSequence) before any manifest is made of them.
"""

from typing import Any

from hera.workflows import Parameter, Steps, models
from hera.workflows import Step as SubStep

from generators import naming
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant
from generators.training import pod
from generators.training.ranks import Ranks
from generators.training.workflow import (
    Template,
    attempt_parameters,
    attempt_ranks,
    gpu_step,
    in_order,
    plain_step,
    workflow_template,
)
from trainer.contract import steps
from trainer.contract.recipe import Recipe
from trainer.contract.steps import PIPELINE, SEARCH, TRIAL

MOST_AT_ONCE = 8  # trials of one round that run at a time, however many GPUs there are
ROUND = "round"
_FIRST, _TRIALS = "first", "trials"
_TRIAL = "trial"  # input of the template `trial`


def search(tenant: Tenant, platform: Platform, recipe: Recipe) -> dict[str, Any]:
    """WorkflowTemplate `search-<hash8>`: prepare, rounds of trials, then the best one's evaluation and publication."""
    prepare, evaluate, publish = (step for step in PIPELINE if step.name != "train")
    ranks = attempt_ranks(evaluate, tenant, platform, recipe, priority=naming.SEARCH)
    templates: list[Template] = [
        in_order("pipeline", [prepare.name, ROUND, evaluate.name, publish.name]),
        plain_step(prepare, tenant, platform),
        rounds(at_once(tenant, recipe)),
        plain_step(SEARCH, tenant, platform, outputs=_round_outputs()),
        gpu_step(trial_ranks(tenant, platform, recipe), inputs=[Parameter(name=_TRIAL)]),
        gpu_step(ranks),
        plain_step(publish, tenant, platform),
    ]
    return workflow_template("search", tenant, templates, arguments=attempt_parameters(tenant))


def trial_ranks(tenant: Tenant, platform: Platform, recipe: Recipe) -> Ranks:
    """The ranks of one trial; it gives way to jobs."""
    number = f"{{{{inputs.parameters.{_TRIAL}}}}}"
    given = {**pod.of_attempt(), steps.TRIAL_NUMBER: number}
    name = f"{{{{workflow.name}}}}-t{number}"
    return Ranks(TRIAL, tenant, platform, recipe, name, priority=naming.SEARCH, given=given)


def at_once(tenant: Tenant, recipe: Recipe) -> int:
    """Trials that can run at a time within what the tenant is guaranteed and may borrow."""
    return max(1, min(MOST_AT_ONCE, tenant.most_gpus // max(recipe.gpus, 1)))


def rounds(most_at_once: int) -> Steps:
    """A round, and the next one after it until none is asked for: each is one call deeper, and Argo ends at a hundred.

    A trial that fails is a result like any other: `search` reads that it reported nothing.
    """
    asked = "{{steps.ask.outputs.parameters."
    first, trials = f"{asked}{_FIRST}}}}}", f"{asked}{_TRIALS}}}}}"
    return Steps(
        name=ROUND,
        parallelism=most_at_once,
        sub_steps=[
            SubStep(name="ask", template=SEARCH.name),
            SubStep(
                name="trials",
                template=TRIAL.name,
                with_sequence=models.Sequence(start=first, count=trials),
                arguments=models.Arguments(parameters=[models.Parameter(name=_TRIAL, value="{{item}}")]),
                continue_on=models.ContinueOn(failed=True, error=True),
            ),
            SubStep(name="next", template=ROUND, when=f"{trials} > 0"),
        ],
    )


def _round_outputs() -> list[Parameter]:
    files = {_FIRST: steps.ROUND_FIRST, _TRIALS: steps.ROUND_TRIALS}
    return [
        Parameter(name=name, value_from=models.ValueFrom(path=f"{pod.SCRATCH}/{file}")) for name, file in files.items()
    ]
