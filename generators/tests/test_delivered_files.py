"""Argo CD applies the files that rendering writes, and no other file that somebody lays beside them."""

import re
from fnmatch import translate

import pytest
import yaml

from generators.rendering import Rendering
from generators.tests.conftest import REPOSITORY

NAMES = ["x.yaml", "x.yml", "x.json", "x.jsonnet"]  # what Argo CD takes for a manifest


def is_taken(include: str, path: str) -> bool:
    """As util/glob of argo-cd 3.5 matches: a star spans folders, as in fnmatch; braces hold alternatives."""
    parts = include.strip("{}").split(",")
    return any(re.fullmatch(translate(part), path) for part in parts)


@pytest.mark.parametrize("name", NAMES)
def test_an_application_of_a_folder_takes_yaml_files_alone(rendering: Rendering, name: str) -> None:
    texts = [text for path, text in rendering.files.items() if "argoproj.io_application_" in path]
    folders = [each["spec"]["source"].get("directory") for each in map(yaml.safe_load, texts)]
    recursive = [each for each in folders if each and each.get("recurse")]
    assert len(recursive) == 2 * 3 + 2
    assert all(is_taken(each["include"], f"acme-train/{name}") == (name == "x.yaml") for each in recursive)


@pytest.mark.parametrize("name", NAMES)
def test_the_root_takes_yaml_files_of_delivery_alone(name: str) -> None:
    _, root = yaml.safe_load_all((REPOSITORY / "argocd" / "root.yaml").read_text(encoding="utf-8"))
    include = root["spec"]["source"]["directory"]["include"]
    for folder in ("platform", "tenants/acme"):
        assert is_taken(include, f"{folder}/delivery/argocd/{name}") == (name == "x.yaml")
        assert not is_taken(include, f"{folder}/foundation/acme-train/{name}")
