"""Faults of workflow templates that the API server accepts and Argo finds at run time, looked for beforehand."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract.models import Stage
from generators.inputs.recipes import recipe
from generators.tests.samples import platform, record, sample_tenant, version
from generators.tests.trained import CPU, EIGHT, NODES, ONE, templates_of
from generators.training.search import search
from generators.training.workflow import finetune

REFERENCE = re.compile(r"{{(.*?)}}")
OF_WORKFLOW = {"workflow.name"}
FORBIDDEN = {"podSpecPatch", "hostNetwork", "script", "http", "plugin", "templateRef"}
# What Argo's conditions may be: comparisons of plain fields, in the grammar of label selectors.
CONDITION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]* == [A-Za-z0-9]+(, [A-Za-z0-9][A-Za-z0-9._-]* == [A-Za-z0-9]+)*")


def faults(body: dict[str, Any]) -> list[str]:
    """Everything that is wrong with a WorkflowTemplate; empty when it is sound."""
    spec = body["spec"]
    templates = {each["name"]: each for each in spec["templates"]}
    arguments = {f"workflow.parameters.{each['name']}" for each in spec["arguments"]["parameters"]}
    found = [] if spec["entrypoint"] in templates else [f"entrypoint {spec['entrypoint']} is no template"]
    found += [f"{key} is there" for key in sorted(set(keys(spec)) & FORBIDDEN)]
    for name, template in templates.items():
        inputs = {f"inputs.parameters.{each['name']}" for each in template.get("inputs", {}).get("parameters", [])}
        found += [f"{name}: {text}" for text in calls(template, templates)]
        ended = {"workflow.status"} if name == spec["onExit"] else set()
        bound = arguments | inputs | OF_WORKFLOW | ended | produced(template, templates)
        found += [f"{name}: {{{{{each}}}}} is bound to nothing" for each in references(template) if each not in bound]
        if (resource := template.get("resource")) and resource["action"] == "create":
            for condition in (resource["successCondition"], resource["failureCondition"]):
                found += [] if CONDITION.fullmatch(condition) else [f"{name}: {condition} is no condition"]
    return found


def keys(value: Any) -> Iterator[str]:
    """Every key at any depth."""
    if isinstance(value, dict):
        yield from value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(item)


def references(template: dict[str, Any]) -> list[str]:
    return sorted({text for text in REFERENCE.findall(str(template)) if text != "item"})


def called(template: dict[str, Any]) -> list[dict[str, Any]]:
    """Tasks and steps."""
    return [*template.get("dag", {}).get("tasks", []), *(step for group in template.get("steps", []) for step in group)]


def calls(template: dict[str, Any], templates: dict[str, Any]) -> Iterator[str]:
    """Faults of what a template calls: names, arguments, dependencies and their order."""
    before: set[str] = set()
    for task in called(template):
        if task["template"] not in templates:
            yield f"{task['name']} calls {task['template']}, which is not there"
            continue
        wanted = {each["name"] for each in templates[task["template"]].get("inputs", {}).get("parameters", [])}
        passed = {each["name"] for each in task.get("arguments", {}).get("parameters", [])}
        if wanted != passed:
            yield f"{task['name']} passes {sorted(passed)}, and {task['template']} takes {sorted(wanted)}"
        if missing := set(task.get("dependencies", [])) - before:
            yield f"{task['name']} depends on {sorted(missing)}, which does not run before it"
        before.add(task["name"])


def produced(template: dict[str, Any], templates: dict[str, Any]) -> set[str]:
    """Outputs of the steps of a template, as the steps after them may name them."""
    made = set()
    for group in template.get("steps", []):
        for step in group:
            outputs = templates.get(step["template"], {}).get("outputs", {}).get("parameters", [])
            made |= {f"steps.{step['name']}.outputs.parameters.{each['name']}" for each in outputs}
    return made


@settings(max_examples=12, deadline=None)
@given(
    runner=st.sampled_from(["jobset", "trainjob", "rayjob"]),
    isolation=st.sampled_from(["standard", "hard"]),
    recipes=st.lists(st.sampled_from([CPU, ONE, EIGHT, NODES]), min_size=1, max_size=3, unique=True),
    is_watched=st.booleans(),
)
def test_no_template_of_any_tenant_has_a_fault(
    *, runner: str, isolation: str, recipes: list[str], is_watched: bool
) -> None:
    stable = record(version("m-abcdefghijkl", Stage.STABLE))
    tenant = sample_tenant(
        training={"runner": runner, "gpus": {"flavor": "t4", "guaranteed": 8}},
        isolation=isolation,
        models={f"m{number}": stable.model_copy(update={"recipe": name}) for number, name in enumerate(recipes)},
        **({"drift": {"schedule": "0 4 * * *"}} if is_watched else {}),
    )
    templates = templates_of(tenant)
    assert set(recipes) <= templates.finetune_names.keys()
    for body in (*templates.finetune.values(), *templates.search.values(), *templates.drift.values()):
        assert faults(body) == []


def broken(change: str) -> dict[str, Any]:
    """A search with one fault."""
    body = search(sample_tenant(), platform(), recipe(ONE))
    spec, by_name = body["spec"], {each["name"]: each for each in body["spec"]["templates"]}
    tasks = by_name["pipeline"]["dag"]["tasks"]
    match change:
        case "entrypoint":
            spec["entrypoint"] = "nowhere"
        case "template":
            tasks[-1]["template"] = "nowhere"
        case "dependency":
            tasks[0]["dependencies"] = ["publish"]
        case "reference":
            by_name["publish"]["container"]["env"][0]["value"] = "{{workflow.parameters.jobs}}"
        case "argument":
            by_name["round"]["steps"][1][0]["arguments"]["parameters"] = []
        case "patch":
            spec["podSpecPatch"] = "{}"
        case "condition":
            by_name["trial"]["resource"]["successCondition"] = 'status.conditions.#(type=="Complete").status == True'
    return body


@pytest.mark.parametrize(
    "change", ["entrypoint", "template", "dependency", "reference", "argument", "patch", "condition"]
)
def test_a_fault_is_noticed(change: str) -> None:
    assert len(faults(broken(change))) == 1


def test_recipes_of_one_shape_share_one_template() -> None:
    same = recipe(ONE).model_copy(update={"epochs": 9, "precision": "bf16"})
    assert finetune(sample_tenant(), platform(), same) == finetune(sample_tenant(), platform(), recipe(ONE))


def test_what_a_running_job_still_needs_is_neither_pruned_nor_called_out_of_sync() -> None:
    tenant = sample_tenant(training={"runner": "trainjob", "gpus": {"flavor": "t4", "guaranteed": 1}})
    templates = templates_of(tenant)
    for body in (*templates.finetune.values(), *templates.needed):
        annotations = body["metadata"]["annotations"]
        assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false"
        assert annotations["argocd.argoproj.io/compare-options"] == "IgnoreExtraneous"
