"""All workflow templates of a tenant, one for each shape of recipe that its jobs may name, and what they need."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from generators import naming
from generators.inputs.platform import Platform
from generators.inputs.recipes import tenant_recipes
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, Wave, manifest
from generators.training.drift import cron_workflow, drift, drift_ranks, drift_recipes, watched
from generators.training.ranks import Ranks
from generators.training.runners import needed
from generators.training.search import search, trial_ranks
from generators.training.workflow import attempt_ranks, finetune
from trainer.contract.recipe import Recipe
from trainer.contract.steps import PIPELINE

Body = dict[str, Any]


@dataclass(frozen=True)
class TrainingTemplates:
    """Recipe -> its template, for jobs, searches and drift; `needed` are objects that ranks ask for by name."""

    finetune: dict[str, Body]
    search: dict[str, Body]
    drift: dict[str, Body]
    needed: tuple[Body, ...]

    @property
    def finetune_names(self) -> dict[str, str]:
        """Recipe -> name of the template that new attempts run."""
        return _names(self.finetune)

    @property
    def search_names(self) -> dict[str, str]:
        """Recipe -> name of the template that searches hyperparameters."""
        return _names(self.search)


class TrainingWorkflows(Construct):
    """WorkflowTemplates and CronWorkflows, and in the foundation what decides accounts and devices of their pods."""

    def __init__(
        self, scope: Construct, construct_id: str, *, tenant: Tenant, platform: Platform, templates: TrainingTemplates
    ) -> None:
        super().__init__(scope, construct_id)
        namespace = naming.training_namespace(tenant.id)
        foundation = Place("foundation", namespace, tenant.key("training"), Wave.TEMPLATE)
        workloads = Place("workloads", namespace, tenant.key("training"), Wave.TEMPLATE)
        for body in templates.needed:
            manifest(self, body, at=foundation)
        for body in _distinct([*templates.finetune.values(), *templates.search.values(), *templates.drift.values()]):
            manifest(self, body, at=workloads)
        names = _names(templates.drift)
        for model in watched(tenant):
            template = names[tenant.models[model].recipe]
            place = Place("workloads", namespace, tenant.key("drift"), Wave.SERVICE)
            manifest(self, cron_workflow(tenant, platform, model, template=template), at=place)


def training_templates(tenant: Tenant, platform: Platform) -> TrainingTemplates:
    """Built once for a tenant: the directory names them and the tree holds them."""
    recipes, evaluated = tenant_recipes(tenant, platform), drift_recipes(tenant)
    searched = {record.recipe for record in tenant.models.values()}  # a search is for a model, not for a base alone
    ranks = [each for recipe in _by_shape(recipes).values() for each in _ranks(tenant, platform, recipe)]
    ranks += [drift_ranks(tenant, platform, recipe) for recipe in _by_shape(evaluated).values()]
    return TrainingTemplates(
        finetune=_each_shape(recipes, lambda recipe: finetune(tenant, platform, recipe)),
        search=_each_shape(
            {name: recipe for name, recipe in recipes.items() if name in searched},
            lambda recipe: search(tenant, platform, recipe),
        ),
        drift=_each_shape(evaluated, lambda recipe: drift(tenant, platform, recipe)),
        needed=tuple(_distinct(body for each in ranks for body in needed(each))),
    )


def _ranks(tenant: Tenant, platform: Platform, recipe: Recipe) -> list[Ranks]:
    steps = [attempt_ranks(step, tenant, platform, recipe) for step in PIPELINE if step.needs_gpu]
    return [*steps, trial_ranks(tenant, platform, recipe)]


def _each_shape(recipes: dict[str, Recipe], make: Callable[[Recipe], Body]) -> dict[str, Body]:
    """Recipes of one shape share one template: what else a recipe says, the trainer reads for itself."""
    made = {shape: make(recipe) for shape, recipe in _by_shape(recipes).items()}
    return {name: made[_shape(recipe)] for name, recipe in recipes.items()}


def _by_shape(recipes: dict[str, Recipe]) -> dict[tuple[Any, ...], Recipe]:
    return {_shape(recipe): recipe for recipe in recipes.values()}


def _shape(recipe: Recipe) -> tuple[Any, ...]:
    """All that ranks.py reads of a recipe."""
    return recipe.nodes, recipe.gpus_per_node, recipe.parallel


def _distinct(bodies: Iterable[Body]) -> list[Body]:
    """Each object once: names are made of the content."""
    return list({(body["kind"], body["metadata"]["name"]): body for body in bodies}.values())


def _names(templates: dict[str, Body]) -> dict[str, str]:
    return {recipe: body["metadata"]["name"] for recipe, body in templates.items()}
