"""The repository's own inputs, read and rendered once; and a copy of them that a test may change."""

from collections.abc import Callable
from pathlib import Path

import pytest

from generators.inputs.folder import Inputs, read_inputs
from generators.rendering import Rendering, render_all

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def inputs() -> Inputs:
    return read_inputs(REPOSITORY)


@pytest.fixture(scope="session")
def rendering(inputs: Inputs) -> Rendering:
    return render_all(inputs)


@pytest.fixture
def edit(root: Path) -> Callable[[str, str, str], None]:
    """`edit(file, old, new)` in the copy; the old text has to be there."""

    def replace(file: str, old: str, new: str) -> None:
        text = (root / file).read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        (root / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace
