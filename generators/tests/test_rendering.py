"""rendered/ as a whole: complete, the same on every machine, and each tenant's alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes import client

from generators import naming
from generators.inputs.folder import Inputs
from generators.inputs.tenant import Tenant
from generators.manifest import Construct, Place, manifest, synthesize
from generators.rendering import (
    Rendering,
    UnknownTenantError,
    check,
    render,
    render_all,
    tenant_files,
    write,
)
from generators.tests.conftest import REPOSITORY

Edit = Callable[[str, str, str], None]

BUILT_IN: dict[str, Any] = {
    "ClusterRole": client.V1ClusterRole,
    "ClusterRoleBinding": client.V1ClusterRoleBinding,
    "ConfigMap": client.V1ConfigMap,
    "Deployment": client.V1Deployment,
    "LimitRange": client.V1LimitRange,
    "Namespace": client.V1Namespace,
    "NetworkPolicy": client.V1NetworkPolicy,
    "ResourceQuota": client.V1ResourceQuota,
    "Role": client.V1Role,
    "RoleBinding": client.V1RoleBinding,
    "Secret": client.V1Secret,
    "Service": client.V1Service,
    "ServiceAccount": client.V1ServiceAccount,
    "StatefulSet": client.V1StatefulSet,
}
BUILT_IN_GROUPS = ("apps/", "networking.k8s.io/", "rbac.authorization.k8s.io/")


def tenants_files(rendering: Rendering, tenant: str) -> dict[str, str]:
    return {path: text for path, text in rendering.files.items() if f"/tenants/{tenant}/" in path}


def test_the_committed_tree_is_what_the_inputs_lead_to() -> None:
    assert not check(REPOSITORY), "rendered/ is out of date; run `tenon render` and commit the result"


def test_every_file_is_one_object_under_its_own_name(rendering: Rendering) -> None:
    for path, text in rendering.files.items():
        body = yaml.safe_load(text)
        group = body["apiVersion"].split("/")[0] if "/" in body["apiVersion"] else "core"
        folder = body["metadata"].get("namespace", "_cluster")
        assert path.endswith(f"/{folder}/{group}_{body['kind'].lower()}_{body['metadata']['name']}.yaml")


def test_every_file_says_where_it_comes_from(rendering: Rendering, inputs: Inputs) -> None:
    for tenant in inputs.tenants:
        sources = [text.split("\n", 1)[0] for text in tenants_files(rendering, tenant.id).values()]
        beginnings = (f"# from: tenants/{tenant.id}.yaml", f"# from: tenants/{tenant.id}/models/")
        assert all(source.startswith(beginnings) for source in sources)


def test_every_built_in_object_satisfies_kubernetes_own_model(rendering: Rendering) -> None:
    bodies = [yaml.safe_load(text) for text in rendering.files.values()]
    built_in = [b for b in bodies if "/" not in b["apiVersion"] or b["apiVersion"].startswith(BUILT_IN_GROUPS)]
    assert {body["kind"] for body in built_in} == set(BUILT_IN)
    for body in built_in:
        BUILT_IN[body["kind"]].model_validate(body)


def test_every_pod_of_a_rollout_satisfies_kubernetes_own_model(rendering: Rendering) -> None:
    bodies = [yaml.safe_load(text) for path, text in rendering.files.items() if "_rollout_" in path]
    assert bodies
    for body in bodies:
        client.V1PodTemplateSpec.model_validate(body["spec"]["template"])


@pytest.mark.requirement("H32")
@settings(max_examples=5, deadline=None)
@given(name=st.from_regex(naming.TENANT_ID, fullmatch=True).filter(lambda name: naming.refusal_of(name) is None))
def test_another_tenant_changes_no_file_that_was_there(inputs: Inputs, rendering: Rendering, name: str) -> None:
    if name in {tenant.id for tenant in inputs.tenants}:
        return
    new = Tenant.model_validate({**inputs.tenants[0].model_dump(), "id": name})
    more = render_all(Inputs(inputs.platform, (*inputs.tenants, new)))
    assert {path: more.files[path] for path in rendering.files} == rendering.files
    assert {path.split("/")[3] for path in more.files.keys() - rendering.files.keys()} == {name}


def test_each_tenant_that_is_done_is_told(inputs: Inputs) -> None:
    told: list[tuple[int, int]] = []
    render_all(inputs, progress=lambda done, of: told.append((done, of)))
    assert told == [(number, len(inputs.tenants)) for number in range(1, len(inputs.tenants) + 1)]


@pytest.mark.requirement("H31")
def test_a_tenant_that_goes_takes_exactly_its_own_files(root: Path, rendering: Rendering) -> None:
    write(root)
    (root / "tenants" / "initech.yaml").unlink()
    shutil.rmtree(root / "tenants" / "initech")
    changed = write(root)
    assert set(changed.stale) == set(tenants_files(rendering, "initech"))
    assert (changed.missing, changed.different) == ((), ())
    assert not (root / "rendered" / "eu1" / "tenants" / "initech").exists()


@pytest.mark.parametrize("tenant", ["acme", "globex", "initech"])
def test_one_tenant_rendered_alone_is_the_same(rendering: Rendering, tenant: str) -> None:
    assert render(REPOSITORY, only=tenant).files == tenants_files(rendering, tenant)


def test_rendering_one_tenant_leaves_the_others_files_alone(root: Path) -> None:
    write(root, only="acme")
    assert [path.name for path in (root / "rendered" / "eu1" / "tenants").iterdir()] == ["acme"]


def test_a_tenant_that_is_not_there_cannot_be_rendered_alone() -> None:
    with pytest.raises(
        UnknownTenantError, match=r"tenants/hooli.yaml is not there; the tenants are acme, globex, init"
    ):
        render(REPOSITORY, only="hooli")


def test_a_check_names_what_is_missing_stale_and_different_and_mends_nothing(root: Path) -> None:
    write(root, only="acme")
    folder = root / "rendered" / "eu1" / "tenants" / "acme" / "delivery" / "argocd"
    gone, changed = sorted(folder.iterdir())[:2]
    gone.unlink()
    changed.write_text("kind: Surprise\n")
    (folder / "extra.yaml").touch()
    found = check(root, only="acme")
    names = [[Path(path).name for path in paths] for paths in (found.missing, found.different, found.stale)]
    assert names == [[gone.name], [changed.name], ["extra.yaml"]]
    assert check(root, only="acme") == found


def test_writing_never_follows_a_link_out_of_the_tree(root: Path) -> None:
    outside = root / "outside.yaml"
    outside.write_text("mine")
    write(root, only="acme")
    target = next((root / "rendered" / "eu1" / "tenants" / "acme" / "delivery" / "argocd").iterdir())
    target.unlink()
    target.symlink_to(outside)
    write(root, only="acme")
    assert outside.read_text() == "mine"
    assert not target.is_symlink()


def test_the_bytes_depend_on_the_inputs_alone(tmp_path: Path, rendering: Rendering) -> None:
    code = (
        "import sys; from pathlib import Path; from generators.rendering import read_inputs, render_all;"
        "root = Path(sys.argv[1]); render_all(read_inputs(root), processes=2).write(root)"
    )
    # ASCII as the encoding of files and of the terminal, as on a bare machine
    ascii_only = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    surroundings = {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "PATH": str(tmp_path), **ascii_only}
    for name in ("platform.yaml", "images.lock", "charts.lock", "tenants"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    command = [sys.executable, "-O", "-c", code, str(tmp_path)]
    subprocess.run(command, env={**os.environ, **surroundings}, check=True, cwd=tmp_path)
    assert not rendering.compare(tmp_path)


def test_the_folder_of_a_cluster_that_was_renamed_is_stale(tmp_path: Path, rendering: Rendering) -> None:
    rendering.write(tmp_path)
    left = tmp_path / "rendered" / "old" / "x.yaml"
    left.parent.mkdir()
    left.touch()
    assert rendering.compare(tmp_path).stale == ("rendered/old/x.yaml",)
    rendering.write(tmp_path)
    assert not left.parent.exists()


def test_two_objects_of_one_name_are_refused_instead_of_one_being_lost() -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "same"}}

    def build(scope: Construct) -> None:
        for name in ("first", "second"):
            manifest(Construct(scope, name), body, at=Place("foundation", "acme-train", "x"))

    with pytest.raises(ValueError, match="two objects share one file"):
        synthesize(build)


def test_no_two_folders_render_the_same_object(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "generators.rendering.platform_files", lambda _: tenant_files(inputs.tenants[0], inputs.platform)
    )
    twice = Inputs(inputs.platform, inputs.tenants[:1])
    moved = {f"x/{path}": text for path, text in tenant_files(inputs.tenants[0], inputs.platform).items()}
    monkeypatch.setattr("generators.rendering.tenant_files", lambda *_, **__: moved)
    with pytest.raises(ValueError, match="is the same object"):
        render_all(twice)
