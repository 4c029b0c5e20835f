"""Samples of training: what a GPU step creates under a runner and a recipe."""

from typing import Any

import yaml

from generators.inputs.recipes import recipe
from generators.inputs.tenant import Tenant
from generators.tests.samples import platform, runner, sample_tenant
from generators.training.templates import TrainingTemplates, training_templates
from generators.training.workflow import finetune

ONE, EIGHT, NODES, CPU = (f"smollm2-135m-{name}" for name in ("t4", "h100", "full-h100", "cpu"))


def child(body: dict[str, Any], step: str) -> dict[str, Any]:
    """The object that a GPU step of a WorkflowTemplate creates."""
    found = next(each for each in body["spec"]["templates"] if each["name"] == step)
    return dict(yaml.safe_load(found["resource"]["manifest"]))


def carried(recipe_name: str, runner_name: str = "jobset", step: str = "train", **tenant: Any) -> dict[str, Any]:
    """The object of a step under a recipe."""
    return child(finetune(sample_tenant(**{**runner(runner_name), **tenant}), platform(), recipe(recipe_name)), step)


def pod_of(body: dict[str, Any]) -> dict[str, Any]:
    """The pod of a JobSet's ranks."""
    return dict(body["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"])


def environment(container: dict[str, Any]) -> dict[str, Any]:
    """Name -> value, or where the value comes from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def templates_of(tenant: Tenant) -> TrainingTemplates:
    return training_templates(tenant, platform())
