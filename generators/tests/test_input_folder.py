"""What lies in the input folder and is no input, what would move, and what a fault of one file must not hide."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generators.inputs import reading
from generators.inputs import recipes as shipped
from generators.inputs.folder import read_inputs
from generators.inputs.outside import is_object_store
from generators.inputs.reading import InputErrors
from generators.rendering import write

Edit = Callable[[str, str, str], None]

RECORDS = "model records stand in tenants/{}/models/<model>.yaml"
STRAYS = [
    ("tenants/newco.YAML", "is not read; rename it to newco.yaml"),
    ("tenants/newco.json", "is not read; rename it to newco.yaml"),
    ("tenants/notes.txt", "is not read, because a tenant is one file of this folder; move it elsewhere"),
    ("tenants/acme/x.yaml", "is not read; model records stand in tenants/acme/models/<model>.yaml"),
    ("tenants/team/x.yaml", "is not read; model records stand in tenants/team/models/<model>.yaml"),
    ("tenants/acme/models/x.yml", "is not read; rename it to x.yaml"),
    ("tenants/acme/models/x.JSON", "is not read; rename it to x.yaml"),
    ("tenants/acme/models/x.txt", "is not read, because a model record is one file of this folder; move it elsewhere"),
]
STORES = ("ewr1.vultrobjects.com", "fly.storage.tigris.dev", "b.t3.storage.dev", "gateway.storjshare.io")


def errors_of(root: Path) -> list[str]:
    with pytest.raises(InputErrors) as refused:
        read_inputs(root)
    return [str(error) for error in refused.value.errors]


@pytest.mark.parametrize(("path", "fault"), STRAYS)
def test_what_is_not_read_is_refused_with_where_it_belongs(root: Path, path: str, fault: str) -> None:
    (root / path).parent.mkdir(exist_ok=True)
    (root / path).write_text("owners: []\n")
    assert errors_of(root) == [f"{path}:1: {fault}"]


@pytest.mark.parametrize("name", ["Models", "model", "models.old"])
def test_a_folder_of_records_under_another_name_is_refused(root: Path, name: str) -> None:
    (root / "tenants/acme/models").rename(root / "tenants/acme" / name)
    assert errors_of(root) == [f"tenants/acme/{name}:1: is not read; {RECORDS.format('acme')}"]


def test_a_file_in_the_place_of_the_records_is_refused(root: Path) -> None:
    (root / "tenants/acme/models/replies.yaml").rename(root / "replies.yaml")
    (root / "tenants/acme/models").rmdir()
    (root / "tenants/acme/models").write_text("")
    assert errors_of(root) == [f"tenants/acme/models:1: is not read; {RECORDS.format('acme')}"]


def test_a_folder_that_cannot_be_listed_is_said_so_and_not_taken_for_empty(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed(folder: Path) -> object:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", listed)
    found = errors_of(root)
    assert "tenants:1: cannot be read (Permission denied); it has to be a folder that can be" in found
    assert "holds no tenant" not in str(found)


def test_what_an_editor_hides_is_left_alone(root: Path) -> None:
    for path in ("tenants/.DS_Store", "tenants/acme/.gitkeep", "tenants/acme/models/.replies.yaml.swp"):
        (root / path).write_text("")
    read_inputs(root)


def test_another_cluster_is_refused_while_the_old_ones_tree_is_there(root: Path, edit: Edit) -> None:
    write(root)
    edit("platform.yaml", "cluster: eu1", "cluster: eu2")
    assert errors_of(root) == [
        (
            "platform.yaml:3: cluster: 'eu2' would delete everything in rendered/eu1, and the cluster prunes what is"
            " deleted; if nothing runs there any more delete rendered/eu1 by hand in this change, else name eu1 again"
        )
    ]
    (root / "rendered/eu1").rename(root / "gone")
    read_inputs(root)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            "bucketPrefix: tenon",
            "bucketPrefix: other",
            "storage.bucketPrefix: 'other' makes other-acme of acme's bucket tenon-acme, and the new one is empty",
        ),
        (
            "mode: inCluster",
            "mode: s3, region: eu-central-1, account: '123456789012'",
            "storage.mode: 's3' puts buckets elsewhere than they are (inCluster), and the new ones are empty; copy",
        ),
    ],
)
def test_no_tenants_bucket_silently_becomes_another(root: Path, edit: Edit, old: str, new: str, error: str) -> None:
    write(root)
    edit("platform.yaml", old, new)
    (found,) = errors_of(root)
    assert error in found
    (root / "rendered/eu1/tenants").rename(root / "gone")
    read_inputs(root)


@pytest.mark.parametrize(("name", "line"), [("x.yml", "is not read; rename it to x.yaml"), ("X_1.yaml", "DNS label")])
def test_a_recipe_that_no_job_could_name_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, line: str
) -> None:
    folder = tmp_path / "package" / "recipes"
    folder.mkdir(parents=True)
    (folder / name).write_text("epochs: 1\n")
    monkeypatch.setattr(shipped, "files", lambda _: folder.parent)
    monkeypatch.setattr(shipped, "recipe_names", lambda: tuple(path.stem for path in folder.glob("*.yaml")))
    assert any(error.startswith(f"trainer/recipes/{name}:1: ") and line in error for error in errors_of(root))


def test_a_recipe_without_a_target_is_refused(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "package" / "recipes"
    folder.mkdir(parents=True)
    (folder / "x.yaml").write_text("targets: []\n")
    monkeypatch.setattr(shipped, "files", lambda _: folder.parent)
    monkeypatch.setattr(shipped, "recipe_names", lambda: ("x",))
    assert "trainer/recipes/x.yaml:1: targets: has 0 entries; give at least 1" in errors_of(root)


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("git.tenon.example", "where platform.yaml has its repository"),
        ("login.tenon.example", "an issuer of platform.yaml oidcIssuers"),
        ("registry.tenon.example", "a registry of platform.yaml trustedRegistries"),
    ],
)
@pytest.mark.parametrize("old", ["mirror.acme.example", "hooks.acme.example"])
def test_no_job_and_no_callback_speaks_to_the_platforms_own_hosts(
    root: Path, edit: Edit, old: str, host: str, what: str
) -> None:
    edit("tenants/acme.yaml", old, host)
    (found,) = errors_of(root)
    assert f"'{host}' is {what}, which no job speaks to; name a host outside" in found


@pytest.mark.parametrize("host", [*STORES, "sos-ch-dk-2.exo.io", "objects-us-east-1.dream.io", "objects.dreamhost.com"])
def test_a_host_of_a_smaller_object_store_is_one_too(host: str) -> None:
    assert is_object_store(host)


def test_a_fault_of_the_platform_file_hides_no_fault_between_tenants(root: Path, edit: Edit) -> None:
    edit("platform.yaml", "cluster: eu1\n", "")
    edit("tenants/initech.yaml", "value: initech-data", "value: acme-ml")
    edit("tenants/acme.yaml", "serving: {gpus: 4}", "serving: {gpus: 2}")
    found = errors_of(root)
    assert [error.split(": ")[1] for error in found] == ["cluster", "serving.gpus", "credentials[0].oidc"]


NESTED = st.recursive(
    st.sampled_from(["text", 1, "a - b", "[not a flow", "{"]),
    lambda inner: st.lists(inner, min_size=1, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, min_size=1),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(value=NESTED, flow=st.sampled_from([True, False, None]), indent=st.integers(1, 4))
def test_no_text_has_more_levels_than_the_bound_by_which_most_are_not_counted(
    value: object, *, flow: bool | None, indent: int
) -> None:
    def levels(inner: object) -> int:
        inside = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else None
        return 0 if inside is None else 1 + max(map(levels, inside))

    text = yaml.safe_dump(value, default_flow_style=flow, indent=indent)
    assert levels(value) <= reading._most_levels(text)
