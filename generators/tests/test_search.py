"""The search for hyperparameters: rounds of trials beside jobs, and nothing but numbers between them."""

from typing import Any

import pytest

from generators.inputs.recipes import recipe
from generators.tests.samples import platform, record, runner, sample_tenant
from generators.tests.trained import EIGHT, ONE, child, environment, pod_of, templates_of
from generators.training.search import at_once, search
from trainer.contract import steps


def template(name: str, **tenant: Any) -> dict[str, Any]:
    body = search(sample_tenant(**tenant), platform(), recipe(ONE))
    return next(each for each in body["spec"]["templates"] if each["name"] == name)


def test_a_search_is_a_job_whose_training_is_rounds_of_trials() -> None:
    tasks = [task["name"] for task in template("pipeline")["dag"]["tasks"]]
    assert tasks == ["prepare", "round", "evaluate", "publish"]
    ask, trials, following = (step for (step,) in template("round")["steps"])
    assert (ask["template"], trials["template"], following["template"]) == ("search", "trial", "round")


def test_a_round_asks_for_trials_by_number_and_for_the_next_round_while_there_were_any() -> None:
    _, trials, following = (step for (step,) in template("round")["steps"])
    assert trials["withSequence"] == {
        "start": "{{steps.ask.outputs.parameters.first}}",
        "count": "{{steps.ask.outputs.parameters.trials}}",
    }
    assert trials["arguments"]["parameters"] == [{"name": "trial", "value": "{{item}}"}]
    assert following["when"] == "{{steps.ask.outputs.parameters.trials}} > 0"


def test_what_search_leaves_for_argo_is_read_where_the_contract_says() -> None:
    outputs = {each["name"]: each["valueFrom"]["path"] for each in template("search")["outputs"]["parameters"]}
    assert outputs == {"first": f"/scratch/{steps.ROUND_FIRST}", "trials": f"/scratch/{steps.ROUND_TRIALS}"}


@pytest.mark.parametrize("runner_name", ["jobset", "trainjob", "rayjob"])
def test_a_trial_is_an_object_of_its_own_that_gives_way_to_jobs(runner_name: str) -> None:
    body = child(search(sample_tenant(**runner(runner_name)), platform(), recipe(ONE)), "trial")
    assert body["metadata"]["name"] == "{{workflow.name}}-t{{inputs.parameters.trial}}"
    assert body["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "search"
    assert body["spec"]["suspend"] is True


def test_a_trial_knows_its_number_and_no_parameter_of_the_tenants() -> None:
    given = environment(pod_of(child(search(sample_tenant(), platform(), recipe(ONE)), "trial"))["containers"][0])
    assert given[steps.TRIAL_NUMBER] == "{{inputs.parameters.trial}}"
    assert [value for value in given.values() if "steps." in str(value)] == []


def test_a_failed_trial_ends_no_search() -> None:
    _, trials, _ = (step for (step,) in template("round")["steps"])
    assert trials["continueOn"] == {"failed": True, "error": True}


@pytest.mark.parametrize(
    ("name", "guaranteed", "borrow", "trials"), [(ONE, 1, 0, 1), (ONE, 2, 4, 6), (ONE, 100, 0, 8), (EIGHT, 16, 0, 2)]
)
def test_as_many_trials_run_at_once_as_the_tenants_gpus_hold(
    name: str, guaranteed: int, borrow: int, trials: int
) -> None:
    gpus = {"flavor": "t4", "guaranteed": guaranteed, "borrow": borrow}
    assert at_once(sample_tenant(training={"runner": "jobset", "gpus": gpus}), recipe(name)) == trials


def test_searches_are_there_for_models_and_the_directory_names_them() -> None:
    made = templates_of(sample_tenant(models={"m": record()}))
    assert made.search_names == {ONE: made.search[ONE]["metadata"]["name"]}
    assert templates_of(sample_tenant()).search_names == {}
