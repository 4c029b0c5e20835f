"""Names of a tenant's models and of what is rendered for them never meet."""

from pathlib import Path

import pytest

from generators.inputs.folder import read_inputs
from generators.inputs.reading import InputErrors
from generators.naming import MODEL_ENDS


@pytest.mark.parametrize("end", MODEL_ENDS)
def test_a_model_is_not_named_like_an_object_of_another(root: Path, end: str) -> None:
    records = root / "tenants" / "acme" / "models"
    (records / f"replies{end}.yaml").write_text(
        (records / "replies.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    with pytest.raises(InputErrors, match=f"model 'replies{end}' has the name of an object of model 'replies'"):
        read_inputs(root)


def test_the_same_ending_alone_is_a_name_like_any_other(root: Path) -> None:
    records = root / "tenants" / "acme" / "models"
    (records / "replies.yaml").rename(records / "plan-b.yaml")
    assert "plan-b" in read_inputs(root).tenants[0].models
