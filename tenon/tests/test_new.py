"""`tenon new`: a tenant that passes, or a refusal with the remedy and nothing left behind."""

import json
import shutil
from pathlib import Path

import pytest

from generators.inputs.folder import read_inputs
from tenon.__main__ import main


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


def test_a_new_tenant_passes_as_it_is_written(root: Path) -> None:
    assert main(["new", "hooli", "--root", str(root)]) == 0
    (tenant,) = [tenant for tenant in read_inputs(root).tenants if tenant.id == "hooli"]
    assert (tenant.training.gpus.guaranteed, tenant.training.gpus.borrow) == (0, 1)
    assert tenant.owners == ("@hooli/owners",)
    assert 15 <= len((root / "tenants" / "hooli.yaml").read_text().splitlines()) <= 40


def test_a_new_tenant_can_have_its_first_model_and_is_rendered(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["new", "hooli", "--model", "support", "--base", "smollm2-135m", "--json", "--root", str(root)]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["files"] == ["tenants/hooli.yaml", "tenants/hooli/models/support.yaml"]
    assert main(["render", "--only", "hooli", "--root", str(root)]) == 0


def test_the_very_first_tenant_can_be_made(root: Path) -> None:
    shutil.rmtree(root / "tenants")
    assert main(["new", "hooli", "--root", str(root)]) == 0


def test_what_is_given_stands_in_the_file(root: Path) -> None:
    digest = "ab" * 32
    given = ["--owner", "@hooli/ml", "--flavor", "h100", "--guaranteed", "2"]
    key = ["--api-key-id", "hooli1", "--api-key-sha256", digest]
    assert main(["new", "hooli", *given, *key, "--root", str(root)]) == 0
    (tenant,) = [tenant for tenant in read_inputs(root).tenants if tenant.id == "hooli"]
    assert tenant.owners == ("@hooli/ml",)
    assert (tenant.training.gpus.flavor, tenant.training.gpus.guaranteed) == ("h100", 2)
    (credential,) = tenant.credentials
    assert credential.api_key is not None
    assert credential.api_key.sha256 == digest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["acme"], "tenants/acme.yaml: is there already; edit it, or choose another id"),
        (["Hooli"], "a tenant id is a lower-case DNS label of 3-32 characters"),
        (["../x"], "a tenant id is a lower-case DNS label of 3-32 characters"),
        (["platform"], "the id is reserved; choose another"),
        (["hooli", "--flavor", "a100"], "'a100' is no flavor; use one of: t4, h100"),
        (["hooli", "--guaranteed", "17"], "17 is more than flavor t4 holds (16)"),
        (["hooli", "--guaranteed", "5"], "16 GPUs are fewer than what is promised"),
        (["hooli", "--guaranteed", "-1"], "-1: is less than 0; raise it"),
        (["hooli", "--owner", "nobody"], "owners[0]: 'nobody'"),
        (["hooli", "--model", "m"], "--model and --base: go together"),
        (["hooli", "--model", "m", "--base", "gpt-9"], "is not in the catalogue of platform.yaml"),
        (["hooli", "--model", "../m", "--base", "smollm2-135m"], "is no lower-case DNS label of 1-40 characters"),
        (["hooli", "--api-key-id", "hooli1"], "--api-key-id and --api-key-sha256: go together"),
        (["hooli", "--api-key-id", "hooli1", "--api-key-sha256", "x"], "credentials[0].apiKey.sha256: 'x'"),
    ],
)
def test_a_refusal_says_why_and_leaves_nothing(
    root: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(root)
    assert main(["new", *words, "--root", str(root)]) == 2
    assert said in capsys.readouterr().err
    assert files(root) == before
