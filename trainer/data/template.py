"""A base model's chat template: conversations -> text, as the model's own library renders them.

A template is code of the base model's author. It runs in a sandbox that counts its loops and calls, and without a
clock: the same rows must give the same tokens tomorrow.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import jinja2.runtime
import jinja2.sandbox

from trainer.data.rows import Call, Turn
from trainer.outcomes import BadInput

FILE = "chat_template.jinja"  # where newer folders keep it; older ones have it in tokenizer_config.json
_COUNTED = "counted"  # the filter that every loop gets
_MOST_ROUNDS = 2_000_000  # loops and calls of one conversation; real templates need a few for each turn
_ROUNDS_OF_A_CALL = 10  # in time
_LONGEST = 1 << 24  # bytes of what an operator makes
_REFUSALS = (
    jinja2.TemplateError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    RecursionError,
)
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
            try:
                sources["default"] = (folder / FILE).read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise BadInput(f"{folder / FILE}: is not UTF-8 text (byte {error.start}); save it as such") from error
        found = {name: special_token(config, name) for name in _SPECIAL}
        return cls(sources, {name: token for name, token in found.items() if token is not None})

    @property
    def digest(self) -> str:
        """sha256 of all that decides how a conversation is rendered."""
        return hashlib.sha256(json.dumps([self._sources, self._special], sort_keys=True).encode()).hexdigest()

    def render(self, turns: Sequence[Turn], *, tools: Sequence[Mapping[str, Any]] = (), prompting: bool) -> str:
        """prompting: end with what comes before an answer. Raises BadInput with the template's own reason."""
        name = "tool_use" if tools and "tool_use" in self._sources else "default"
        self._environment.rounds = 0
        try:
            text: str = self._compiled(name).render(
                messages=[_message(turn) for turn in turns],
                tools=list(tools) or None,
                add_generation_prompt=prompting,
                **self._special,
            )
        except _REFUSALS as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise BadInput(
                f"chat template: refuses a conversation ({reason}); mend the row, or use another base model"
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
    def _environment(self) -> "_Bounded":
        """What templates are written for: blocks trimmed, `break`, plain `tojson`, `raise_exception`, no clock."""
        environment = _Bounded(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, _Generation])
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        return environment


class _Bounded(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """Ends a template that would not end: loops, calls and what grows by an operator are counted, not timed.

    rounds: of all loops and calls so far. Filters are not counted; the one that takes a number of rounds is left out.
    """

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.rounds = 0
        self.filters[_COUNTED] = _counted
        self.filters.pop("slice")
        self.globals.pop("lipsum")

    def _parse(self, source: str, name: str | None, filename: str | None) -> jinja2.nodes.Template:
        """Each loop goes over what it counts."""
        template = super()._parse(source, name, filename)
        for loop in list(template.find_all(jinja2.nodes.For)):
            over = jinja2.nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
            loop.iter = over.set_environment(self)
        return template

    def call(self, context: Any, called: Any, *arguments: Any, **named: Any) -> Any:
        """Of a macro too, which may call itself."""
        self.count(_ROUNDS_OF_A_CALL)
        return super().call(context, called, *arguments, **named)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Texts and numbers grow by these; by addition they would need as many rounds."""
        bits, factor = _bits(left), _bits(right)
        if isinstance(left, int) and isinstance(right, int):
            grown = bits * abs(right) if operator == "**" else bits + factor
        else:  # one of them may be a text or a list, and the other says how often
            grown = max(bits, factor) * max((abs(one) for one in (left, right) if isinstance(one, int)), default=1)
        if grown > 8 * _LONGEST:
            raise jinja2.TemplateError(f"it makes a text or number of more than {_LONGEST:,} bytes")
        return super().call_binop(context, operator, left, right)

    def count(self, rounds: int) -> None:
        self.rounds += rounds
        if self.rounds > _MOST_ROUNDS:
            raise jinja2.TemplateError(f"it takes more than {_MOST_ROUNDS:,} loops and calls")


@jinja2.pass_context
def _counted(context: jinja2.runtime.Context, items: Iterable[Any]) -> list[Any]:
    """The items of a loop, before its first round. It takes the context so that nothing is counted at compile time."""
    environment = context.environment
    assert isinstance(environment, _Bounded)  # noqa: S101 - of no other
    found = list(islice(items, _MOST_ROUNDS + 1))
    environment.count(len(found))
    return found


def _bits(value: Any) -> int:
    if isinstance(value, int):
        return value.bit_length()
    return 8 * len(value) if isinstance(value, str | list | tuple) else 64


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
