"""The JSON Schemas that editors use: as generated, complete, and closed."""

import json
from typing import Any

import pytest

from generators.inputs.schema import FOLDER, schemas
from generators.tests.conftest import REPOSITORY

NAMES = ("tenant.json", "model.json", "platform.json")


def objects(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [part for part in (schema, *schema["$defs"].values()) if "properties" in part]


def is_described(schema: dict[str, Any], value: dict[str, Any]) -> bool:
    parts = [value, *value.get("anyOf", ())]
    parts += [schema["$defs"][part["$ref"].rsplit("/", 1)[-1]] for part in parts if "$ref" in part]
    return any("description" in part for part in parts)


def test_the_committed_schemas_are_those_of_the_models() -> None:
    committed = {name: (REPOSITORY / FOLDER / name).read_text(encoding="utf-8") for name in NAMES}
    assert committed == schemas(), "tenants/schema is out of date; run `make schema` and commit the result"


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_described_and_an_unknown_one_is_refused(name: str) -> None:
    schema = json.loads(schemas()[name])
    for part in objects(schema):
        assert part["additionalProperties"] is False
        assert [key for key, value in part["properties"].items() if not is_described(schema, value)] == []


def test_what_comes_from_beside_the_file_is_no_key_of_it() -> None:
    tenant, platform = json.loads(schemas()["tenant.json"]), json.loads(schemas()["platform.json"])
    assert not {"id", "models"} & set(tenant["properties"])
    assert set(tenant["required"]) == {"owners", "training", "credentials"}
    assert "images" not in platform["properties"]
