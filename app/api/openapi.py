"""The OpenAPI 3.1 document of the API, made from operations.py and the types that requests and answers have."""

import functools
import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.api import shapes
from app.api.operations import JSON, OPERATIONS, PROBLEM, Operation, Page, Parameter

PATH = "/openapi.json"
_Mode = Literal["validation", "serialization"]
_REFERENCE = "#/components/schemas/{model}"
_WORDS = {
    200: "Done.",
    201: "Made.",
    202: "Accepted: it is durably queued.",
    304: "Nothing has changed.",
    400: "A field is wrong; `invalidParams` names each.",
    401: "The credential is missing or unknown.",
    403: "It is not allowed, whoever asks for the tenant.",
    404: "There is no such thing, or it is another tenant's.",
    409: "Not in this state; a repetition would be refused too.",
    413: "The body is too big.",
    415: "The body is of another type.",
    422: "The Idempotency-Key belongs to another request.",
    429: "The tenant's rate, queue or number of streams is full; `Retry-After` says when to come again.",
    503: "A component does not answer; nothing was done. `Retry-After` says when to come again.",
}


def routes() -> list[Route]:
    return [Route(PATH, answer, methods=["GET"])]


async def answer(_request: Request) -> Response:
    return JSONResponse(document())


@functools.cache
def document() -> dict[str, Any]:
    """The same for every process; made at the first question, because schemas take a while."""
    types = list(dict.fromkeys(_types()))
    inputs: list[tuple[Any, _Mode, TypeAdapter[Any]]] = [(each, "validation", TypeAdapter(each)) for each in types]
    found, definitions = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)
    schemas: dict[Any, Any] = {each: found[each, "validation"] for each in types}
    paths: dict[str, Any] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tenon", "version": "1", "description": "Fine-tuning jobs, in OpenAI's shapes."},
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "an API key of the tenant file, an OIDC token of its rules, or a service account's",
                }
            },
        },
    }


def _types() -> Iterator[Any]:
    yield shapes.ProblemBody
    for operation in OPERATIONS:
        for shape in (operation.body, *operation.answers.values()):
            if isinstance(shape, Page):
                yield shape.of
            elif isinstance(shape, type):
                yield shape


def _operation(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", operation.path)
    known = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    made: dict[str, Any] = {
        "operationId": _operation_id(operation),
        "summary": operation.summary,
        "parameters": [*known, *map(_parameter, operation.parameters)],
        "responses": _responses(operation, schemas, has_name=bool(names)),
    }
    if operation.body is not None:
        content = {operation.body_type: {"schema": _schema(operation.body, schemas)}}
        made["requestBody"] = {"required": True, "content": content}
    if operation.is_public:
        made["security"] = []
    return made


def _operation_id(operation: Operation) -> str:
    words = re.findall(r"\w+", operation.path.removeprefix("/v1"))
    return "_".join([operation.method.lower(), *words])


def _parameter(parameter: Parameter) -> dict[str, Any]:
    style = {"style": parameter.style, "explode": True} if parameter.style else {}
    return {"name": parameter.name, "in": parameter.place, "schema": dict(parameter.schema), **style}


def _responses(operation: Operation, schemas: dict[Any, Any], *, has_name: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, shape in operation.answers.items():
        found[str(status)] = {"description": _WORDS[status]}
        if shape is not None:
            content = {operation.content_type: {"schema": _schema(shape, schemas)}}
            content |= {
                each: {"schema": {"type": "string", "description": text}} for each, text in operation.others.items()
            }
            found[str(status)]["content"] = content
    refusals = {*operation.refusals, *_everywhere(operation, has_name=has_name)}
    problem = {PROBLEM: {"schema": schemas[shapes.ProblemBody]}}
    found |= {str(status): {"description": _WORDS[status], "content": problem} for status in sorted(refusals)}
    return found


def _everywhere(operation: Operation, *, has_name: bool) -> Iterator[int]:
    """Refusals that follow from what an operation takes."""
    if operation.is_public:
        return
    yield from (400, 401, 429, 503)
    if has_name:
        yield 404
    if operation.body is not None:
        yield from (413, 415)
    if operation.body is not None and operation.body_type == JSON:
        yield 403  # another tenant's id in the body


def _schema(shape: Any, schemas: dict[Any, Any]) -> dict[str, Any]:
    if isinstance(shape, dict):
        return shape
    if isinstance(shape, Page):
        ends = {"anyOf": [{"type": "string"}, {"type": "null"}]}
        return {
            "type": "object",
            "required": ["object", "data", "first_id", "last_id", "has_more"],
            "properties": {
                "object": {"const": "list"},
                "data": {"type": "array", "items": schemas[shape.of]},
                "first_id": ends,
                "last_id": ends,
                "has_more": {"type": "boolean"},
            },
        }
    found: dict[str, Any] = schemas[shape]
    return found
