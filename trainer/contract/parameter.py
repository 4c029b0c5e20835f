"""How a document travels as one value: in a Workflow's parameter and in a pod's environment."""

import base64
from typing import Self

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Parameter(BaseModel):
    """A document that a workflow carries from Git or the API to a step."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, protected_namespaces=()
    )

    def to_parameter(self) -> str:
        """Base64url JSON: a form that no template engine, shell or YAML reader can misread."""
        return base64.urlsafe_b64encode(self.model_dump_json(by_alias=True, exclude_none=True).encode()).decode()

    @classmethod
    def from_parameter(cls, text: str) -> Self:
        """Raises ValueError when the text is no base64url JSON of the document."""
        return cls.model_validate_json(base64.urlsafe_b64decode(text.encode()))
