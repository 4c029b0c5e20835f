"""A base model's chat template: conversations -> text, as the model's own library renders them.

A template is code of the base model's author. It runs in a sandbox, and without a clock: the same rows must give the
same tokens tomorrow.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox

from trainer.data.rows import Call, Turn
from trainer.outcomes import BadInput

FILE = "chat_template.jinja"  # where newer folders keep it; older ones have it in tokenizer_config.json
_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token")


class ChatTemplate:
    """sources: templates by name; `tool_use`, where there is one, is taken for conversations with tools."""

    def __init__(self, sources: Mapping[str, str], special: Mapping[str, str]) -> None:
        self._sources, self._special = sources, special

    @classmethod
    def of(cls, folder: Path, config: Mapping[str, Any]) -> "ChatTemplate":
        """The template of a base model folder; one that has none fails when the first conversation is rendered."""
        given = config.get("chat_template")
        sources = {"default": given} if isinstance(given, str) else {}
        if isinstance(given, list):
            sources = {str(entry.get("name")): str(entry.get("template")) for entry in given if isinstance(entry, dict)}
        if (folder / FILE).is_file():
            sources["default"] = (folder / FILE).read_text(encoding="utf-8")
        found = {name: special_token(config, name) for name in _SPECIAL}
        return cls(sources, {name: token for name, token in found.items() if token is not None})

    @property
    def digest(self) -> str:
        """sha256 of all that decides how a conversation is rendered."""
        return hashlib.sha256(json.dumps([self._sources, self._special], sort_keys=True).encode()).hexdigest()

    def render(self, turns: Sequence[Turn], *, tools: Sequence[Mapping[str, Any]] = (), prompting: bool) -> str:
        """prompting: end with what comes before an answer. Raises BadInput with the template's own reason."""
        name = "tool_use" if tools and "tool_use" in self._sources else "default"
        try:
            text: str = self._compiled(name).render(
                messages=[_message(turn) for turn in turns],
                tools=list(tools) or None,
                add_generation_prompt=prompting,
                **self._special,
            )
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise BadInput(
                f"chat template: refuses a conversation ({error}); mend the row, or use another base model"
            ) from error
        return text

    def _compiled(self, name: str) -> jinja2.Template:
        if name not in self._sources:
            raise BadInput(
                "base model: its tokenizer has no chat_template, and the rows are conversations; use an"
                " instruction-tuned base model, or give rows of plain `text`"
            )
        if name not in self._templates:
            self._templates[name] = self._environment.from_string(self._sources[name])
        return self._templates[name]

    @cached_property
    def _templates(self) -> dict[str, jinja2.Template]:
        return {}

    @cached_property
    def _environment(self) -> jinja2.Environment:
        """What templates are written for: blocks trimmed, `break`, plain `tojson`, `raise_exception`, no clock."""
        environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, _Generation]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        return environment


def special_token(config: Mapping[str, Any], name: str) -> str | None:
    """A token named by tokenizer_config.json, as a string or as an object with its content."""
    value = config.get(name)
    token = value.get("content") if isinstance(value, dict) else value
    return token if isinstance(token, str) else None


class _Generation(jinja2.ext.Extension):
    """`{% generation %}...{% endgeneration %}`, which some templates put around answers; our masks need no marks."""

    tags = {"generation"}  # noqa: RUF012 - jinja2's own type

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _message(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.calls:
        message["tool_calls"] = [_call(call) for call in turn.calls]
    if turn.name is not None:
        message["name"] = turn.name
    if turn.call_id is not None:
        message["tool_call_id"] = turn.call_id
    return message


def _call(call: Call) -> dict[str, Any]:
    """Arguments are an object, never JSON text: templates write them with `tojson`."""
    made: dict[str, Any] = {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    return made if call.id is None else {**made, "id": call.id}


def _to_json(value: Any, indent: int | None = None) -> str:
    """Unlike jinja's own it escapes nothing for HTML: models were trained on plain JSON."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(text: str) -> None:
    raise jinja2.TemplateError(text)
