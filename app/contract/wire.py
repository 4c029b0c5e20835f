"""The base of every document and message of ours: camelCase outside, snake_case inside, unknown keys refused."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

AT = "at"  # in a fault's context: the key below the checked part, as it is written in YAML


class Wire(BaseModel):
    """Frozen, strict about keys; `model_dump(mode="json", by_alias=True)` is the wire form."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, protected_namespaces=()
    )


def fault(text: str, *at: str) -> PydanticCustomError:
    """A broken rule of a part that is said at a key below it; raised by validators like a ValueError, which it is."""
    return PydanticCustomError("rule", "{text}", {"text": text, AT: at})
