"""A Workflow that is stopped, fails or runs out of time: what its GPU steps made does not run on."""

from typing import Any

import pytest

from generators.foundation.rbac import training_grants
from generators.tests.samples import record, runner, sample_tenant
from generators.tests.trained import child, templates_of

RUNNERS = {
    "jobset": ("jobset.x-k8s.io", "jobsets"),
    "trainjob": ("trainer.kubeflow.org", "trainjobs"),
    "rayjob": ("ray.io", "rayjobs"),
}


def workflows(name: str) -> list[dict[str, Any]]:
    """Templates of jobs and searches of a tenant with the runner."""
    templates = templates_of(sample_tenant(**runner(name), models={"m": record()}))
    found = [*templates.finetune.values(), *templates.search.values()]
    assert {body["metadata"]["name"].rpartition("-")[0] for body in found} == {"finetune", "search"}
    return found


def handler(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one step of the exit handler, and the template that it runs."""
    by_name = {each["name"]: each for each in body["spec"]["templates"]}
    ((step,),) = by_name[body["spec"]["onExit"]]["steps"]
    return step, by_name[step["template"]]


@pytest.mark.requirement("A33")
@pytest.mark.parametrize("name", RUNNERS)
def test_an_exit_handler_deletes_by_label_what_the_workflow_made_and_nothing_else(name: str) -> None:
    group, resource = RUNNERS[name]
    for body in workflows(name):
        _, deleting = handler(body)
        kind, selector, wait = deleting["resource"]["flags"]
        assert (deleting["resource"]["action"], kind, wait) == ("delete", f"{resource}.{group}", "--wait=false")
        key, value = selector.removeprefix("--selector=").split("=")
        assert value == "{{workflow.name}}"
        made = [each["name"] for each in body["spec"]["templates"] if "manifest" in each.get("resource", {})]
        assert len(made) == 2
        for step in made:
            assert child(body, step)["metadata"]["labels"][key] == value


def test_what_succeeded_is_left_for_those_who_read_it() -> None:
    for body in workflows("jobset"):
        step, _ = handler(body)
        assert step["when"] == "{{workflow.status}} != Succeeded"


@pytest.mark.parametrize("name", RUNNERS)
def test_the_executor_has_the_rights_that_its_deletion_by_label_needs_and_watches_nothing(name: str) -> None:
    (grant,) = [each for each in training_grants(sample_tenant(**runner(name))) if each.name == "executor"]
    (verbs,) = [rule["verbs"] for rule in grant.rules if rule["resources"] == [RUNNERS[name][1]]]
    assert sorted(verbs) == ["create", "delete", "get", "list"]
    for body in workflows(name):
        assert handler(body)[1]["serviceAccountName"] == "executor"
