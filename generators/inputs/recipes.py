"""Recipes that ship with the trainer, read as package data; the trainer itself is not imported."""

import re
from functools import cache
from importlib.resources import as_file, files

import yaml

from generators.inputs.platform import Platform
from generators.inputs.reading import Document, parse, read_document
from generators.inputs.tenant import Tenant
from trainer.contract.recipe import Recipe


@cache
def recipe_names() -> tuple[str, ...]:
    """Stems of trainer/recipes/*.yaml, sorted."""
    folder = files("trainer") / "recipes"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


@cache
def recipe(name: str) -> Recipe:
    """One recipe by its name. Raises FileNotFoundError for a name that `recipe_names` does not hold."""
    text = (files("trainer") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    return Recipe.model_validate(yaml.safe_load(text))


def read_recipes(documents: list[Document]) -> dict[str, Recipe]:
    """Every recipe that ships, by name; one with a fault is left out, and its document holds the fault."""
    found = {}
    for entry in sorted((files("trainer") / "recipes").iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith((".yml", ".json")):
            document = Document(f"trainer/recipes/{entry.name}")
            document.refuse((), f"is not read; rename it to {entry.name.rpartition('.')[0]}.yaml")
            documents.append(document)
    for name in recipe_names():
        with as_file(files("trainer") / "recipes" / f"{name}.yaml") as path:
            document = read_document(path, shown_as=f"trainer/recipes/{name}.yaml")
        documents.append(document)
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
            document.refuse(
                (), f"{name!r}: a recipe's name is a lower-case DNS label of 1-40 characters; rename the file"
            )
        if parsed := parse(document, Recipe):
            found[name] = parsed
    return found


def tenant_recipes(tenant: Tenant, platform: Platform) -> dict[str, Recipe]:
    """Recipes that the tenant's jobs may name: those of its model records and of the catalogue's bases."""
    named = {record.recipe for record in tenant.models.values()} | {base.recipe for base in platform.catalogue.values()}
    return {name: recipe(name) for name in sorted(named)}
