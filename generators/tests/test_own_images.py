"""Every command that is rendered for an image of ours starts a module that its Dockerfile copies."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.contract.models import Stage
from generators.rendering import Rendering
from generators.tests.samples import record, version
from generators.tests.served import served

REPOSITORY = Path(__file__).parents[2]
FOLDERS = {"services": "app", "modelserver": "serving"}  # the others have their role's name
OWN = re.compile(r"/(?:tenon/)?(services|promoter|modelserver|trainer[a-z-]*)@sha256:")


def commands(value: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Role and command of each container of ours, at any depth, in manifests that a template holds as text too."""
    if isinstance(value, str) and "\n" in value and OWN.search(value):
        yield from (each for document in yaml.safe_load_all(value) for each in commands(document))
    if isinstance(value, dict):
        found = OWN.search(str(value.get("image")))
        if found and value.get("command"):
            yield found[1], tuple(value["command"])
        yield from (each for item in value.values() for each in commands(item))
    if isinstance(value, list):
        yield from (each for item in value for each in commands(item))


def is_copied(module: str, role: str) -> bool:
    """Whether `python -m module` finds a file in the image: of the module, or of the package that it is."""
    text = (REPOSITORY / "images" / FOLDERS.get(role, role) / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (?!--from)(\S+) /opt/tenon/", text, re.MULTILINE)
    path = module.replace(".", "/")
    files = [file for file in (f"{path}.py", f"{path}/__main__.py") if (REPOSITORY / file).is_file()]
    return any(file == source or file.startswith(f"{source}/") for file in files for source in copied)


@pytest.fixture(scope="module")
def started(rendering: Rendering) -> set[tuple[str, tuple[str, ...]]]:
    """Of the sample tree, and of a server of each runtime."""
    found = {each for text in rendering.files.values() for each in commands(text)}
    for runtime in ("ray", "transformers", "triton", "vllm"):
        model = record(version("replies-a", Stage.STABLE), runtime=runtime, strategy="blueGreen")
        found |= {each for body in served(model).values() for each in commands(body)}
    return found


def test_our_images_are_started_as_modules_that_they_hold(started: set[tuple[str, tuple[str, ...]]]) -> None:
    assert {role for role, _ in started} >= {"services", "promoter", "trainer", "modelserver"}
    for role, (python, flag, module, *_) in started:
        assert (python, flag) == ("python", "-m"), f"{role}: no other program is in the image"
        assert is_copied(module, role), f"{role}: {module}"


def test_the_promoter_is_a_command_of_the_renderer(started: set[tuple[str, tuple[str, ...]]]) -> None:
    assert ("promoter", ("python", "-m", "tenon", "promoter")) in started
