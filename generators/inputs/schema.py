"""JSON Schemas of the input files, for editors: `python -m generators.inputs.schema` writes tenants/schema/."""

import argparse
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from app.contract.models import ModelRecord
from generators.inputs.platform import Platform
from generators.inputs.tenant import Tenant

FOLDER = Path("tenants") / "schema"
# file -> (model, fields that come from beside the file and are no keys in it)
_FILES: dict[str, tuple[type[BaseModel], tuple[str, ...]]] = {
    "tenant.json": (Tenant, ("id", "models")),
    "model.json": (ModelRecord, ()),
    "platform.json": (Platform, ("images", "charts")),
}


def schemas() -> dict[str, str]:
    """File name -> canonical JSON text."""
    return {name: _text(schema_of(model, without=beside)) for name, (model, beside) in _FILES.items()}


def schema_of(model: type[BaseModel], *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The model's schema without the fields that are no keys of the file, and without definitions only those used."""
    schema = model.model_json_schema(by_alias=True)
    for field in without:
        del schema["properties"][field]
    schema["required"] = [name for name in schema.get("required", ()) if name not in without]
    used = json.dumps({key: value for key, value in schema.items() if key != "$defs"})
    schema["$defs"] = _reachable(used, schema.get("$defs", {}))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def write(root: Path) -> None:
    """Write all schemas below `root`."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text, encoding="utf-8")


def _reachable(text: str, definitions: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting = [text]
    while waiting:
        current = waiting.pop()
        for name, body in definitions.items():
            if name not in found and f'"#/$defs/{name}"' in current:
                found[name] = body
                waiting.append(json.dumps(body))
    return found


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="folder of platform.yaml (default: here)")
    write(parser.parse_args().root)
