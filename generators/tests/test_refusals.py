"""What rendering refuses beyond one file: each fault at its key, with the figure and the remedy."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators import hosts, naming
from generators.inputs import recipes as shipped
from generators.inputs.fitness import misfit
from generators.inputs.folder import read_inputs
from generators.inputs.outside import is_object_store
from generators.inputs.reading import Document, InputErrors
from generators.inputs.wildcards import refuse_wildcards
from generators.rendering import write
from generators.tests.samples import sample_platform, sample_tenant
from trainer.contract.recipe import Recipe

Edit = Callable[[str, str, str], None]

ACME, REPLIES, PLATFORM = "tenants/acme.yaml", "tenants/acme/models/replies.yaml", "platform.yaml"
RANGES = "nodeRanges: [10.0.0.0/16]"
BASE = "recipe: smollm2-135m-cpu\n"  # the last line of the base's entry in platform.yaml

FAULTS = [
    pytest.param(
        (REPLIES, "smollm2-135m-t4", "smollm2-135m-h100"),
        (
            "tenants/acme/models/replies.yaml: recipe: 'smollm2-135m-h100' takes 8 GPUs in step train (1 x 8), and"
            " tenants/acme.yaml training.gpus has 4 (2 guaranteed, 2 borrowed); choose another recipe"
        ),
        id="a job larger than the tenant",
    ),
    pytest.param(
        (PLATFORM, BASE, "recipe: smollm2-135m-t4\n    forbids: [commercial]\n"),
        (
            "tenants/acme/models/replies.yaml: base: 'smollm2-135m': licence apache-2.0 forbids commercial use, which"
            " tenants/acme.yaml is for (`use`); choose another base"
        ),
        id="a licence that forbids the use",
    ),
    pytest.param(
        (PLATFORM, "memoryGiB: 2", "memoryGiB: 40"),
        (
            "tenants/acme/models/replies.yaml: serving.gpusPerReplica: 'smollm2-135m' needs 40 GiB of GPU memory and"
            " a server has 16 (1 x t4); set it to 3 or choose a smaller base"
        ),
        id="a base larger than the GPU",
    ),
    pytest.param(
        (PLATFORM, BASE, "recipe: smollm2-135m-h100\n"),
        "platform.yaml: catalogue.smollm2-135m.recipe: for acme, 'smollm2-135m-h100' takes 8 GPUs in step train",
        id="a base's own recipe larger than a tenant",
    ),
    pytest.param(
        (ACME, "value: acme-ml", 'value: "*"'),
        "tenants/acme.yaml: credentials[0].oidc.value: '*' is a wildcard; name each value exactly",
        id="a star for all callers",
    ),
    pytest.param(
        (PLATFORM, "registry.tenon.example]", '"*"]'),
        "platform.yaml: trustedRegistries[0]: '*' is a wildcard; name each value exactly",
        id="a star for all registries",
    ),
    pytest.param(
        (ACME, "hooks.acme.example", "hooks.acme.local"),
        "tenants/acme.yaml: callbacks[0]: 'hooks.acme.local' has a private address (local); name a host outside",
        id="a callback to a private name",
    ),
    pytest.param(
        (ACME, "hooks.acme.example", "10.0.0.1"),
        "tenants/acme.yaml: callbacks[0]: '10.0.0.1': is no exact lower-case host name",
        id="a callback to an address",
    ),
    pytest.param(
        (ACME, "hooks.acme.example", "10-0-0-1.sslip.io"),
        "tenants/acme.yaml: callbacks[0]: '10-0-0-1.sslip.io' has a private address (sslip.io)",
        id="a callback to a name that spells an address",
    ),
    pytest.param(
        (ACME, "hooks.acme.example", "localhost"),
        "tenants/acme.yaml: callbacks[0]: 'localhost': is no exact lower-case host name",
        id="a callback to this machine",
    ),
    pytest.param(
        (PLATFORM, RANGES, f"{RANGES}\nprivateAddresses: [172.20.0.7/32, 192.168.0.0/16]"),
        "platform.yaml: privateAddresses[1]: 192.168.0.0/16 is wider than /24, and no deny of private addresses covers",
        id="a private network for an allowed name",
    ),
    pytest.param(
        (PLATFORM, RANGES, f'{RANGES}\nprivateAddresses: ["fd00::/48"]'),
        "platform.yaml: privateAddresses[0]: fd00::/48 is wider than /64, and no deny of private addresses covers it",
        id="a private network of version 6",
    ),
    pytest.param(
        (PLATFORM, RANGES, f"{RANGES}\nprivateAddresses: [10.0.7.0/24]"),
        "platform.yaml: privateAddresses[0]: 10.0.7.0/24 overlaps 10.0.0.0/16 of nodeRanges; each address has one",
        id="nodes' addresses for an allowed name",
    ),
    pytest.param(
        (PLATFORM, "{port: 6443}", "{port: 6443, addresses: [192.0.0.0/8]}"),
        "platform.yaml: apiServer.addresses[0]: 192.0.0.0/8 is wider than /24",
        id="a network for the API server",
    ),
]


def errors_of(root: Path) -> list[str]:
    with pytest.raises(InputErrors) as refused:
        read_inputs(root)
    return [str(error) for error in refused.value.errors]


@pytest.mark.parametrize(("change", "error"), FAULTS)
def test_a_fault_is_said_at_its_key_with_its_figure_and_remedy(
    root: Path, edit: Edit, change: tuple[str, str, str], error: str
) -> None:
    edit(*change)
    found = [re.fullmatch(r"(.+?):(\d+): (.+)", text) for text in errors_of(root)]
    assert any(match and match[2] != "1" and f"{match[1]}: {match[3]}".startswith(error) for match in found)


@pytest.mark.requirement("C55")
@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ({"precision": "bf16"}, "trains in bf16, which flavor t4 (turing) has not"),
        ({"attention": "flash", "precision": "fp16"}, "uses FlashAttention, which flavor t4 (turing) cannot run"),
        ({"gpusPerNode": 2, "parallel": "ddp"}, "takes 2 GPUs in step train (1 x 2)"),
        ({"nodes": 2, "parallel": "ddp"}, "takes 2 GPUs in step train (2 x 1)"),
    ],
)
def test_a_recipe_that_one_t4_cannot_run_is_a_misfit(recipe: dict[str, object], reason: str) -> None:
    assert str(misfit(Recipe.model_validate(recipe), sample_tenant(), sample_platform())).startswith(reason)


def test_a_recipe_of_cpu_alone_fits_every_tenant() -> None:
    cpu = Recipe.model_validate({"gpusPerNode": 0, "precision": "bf16"})
    nothing = {"training": {"gpus": {"flavor": "t4", "guaranteed": 0}}}
    assert misfit(cpu, sample_tenant(**nothing), sample_platform()) is None


def test_research_use_is_what_a_licence_may_allow_alone(root: Path, edit: Edit) -> None:
    edit(PLATFORM, BASE, f"{BASE}    forbids: [commercial]\n")
    for tenant in ("acme", "globex", "initech"):
        edit(f"tenants/{tenant}.yaml", "training:", "use: research\ntraining:")
    read_inputs(root)


def test_a_broken_recipe_is_an_input_error_with_its_file(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "package"
    (folder / "recipes").mkdir(parents=True)
    (folder / "recipes" / "broken.yaml").write_text("method: qlora\nparallel: fsdp2\ngpusPerNode: 2\n")
    monkeypatch.setattr(shipped, "files", lambda _: folder)
    monkeypatch.setattr(shipped, "recipe_names", lambda: ("broken",))
    assert "trainer/recipes/broken.yaml:1: qlora with fsdp2 trains nothing or NaN" in errors_of(root)[-1]


@pytest.mark.requirement("A25")
@pytest.mark.parametrize(
    "host",
    [
        "tenon-globex.s3.eu-central-1.amazonaws.com",
        "s3.cn-north-1.amazonaws.com.cn",
        "s3.eu-central-1.api.aws",
        "storage.googleapis.com",
        "globex.storage.googleapis.com",
        "www.googleapis.com",
        "globex.blob.core.windows.net",
        "globex.privatelink.dfs.core.windows.net",
        "account.r2.cloudflarestorage.com",
        "account.eu.r2.cloudflarestorage.com",
        "globex.fra1.digitaloceanspaces.com",
        "objectstorage.eu-frankfurt-1.oraclecloud.com",
    ],
)
def test_a_name_under_an_object_stores_suffix_is_one(host: str) -> None:
    assert is_object_store(host)


@pytest.mark.parametrize("host", ["mirror.acme.example", "bedrock.eu-central-1.amazonaws.com", "pubsub.googleapis.com"])
def test_a_name_of_another_service_is_none(host: str) -> None:
    assert not is_object_store(host)


def test_a_star_is_cron_or_text_for_people_or_a_fault() -> None:
    document = Document("x", {"displayName": "A*", "drift": {"schedule": "0 * * * *"}, "labels": {"*": ["a*"]}})
    refuse_wildcards(document)
    assert [error.text.split(":")[0] for error in document.errors] == ["labels.*", "labels.*[0]"]


def test_a_rename_is_refused_since_it_deletes_and_says_how_to_move(root: Path) -> None:
    write(root)
    for path in ("initech.yaml", "initech"):
        (root / "tenants" / path).rename(root / "tenants" / path.replace("initech", "initrode"))
    assert errors_of(root) == [
        (
            "tenants/initrode.yaml:1: 'initrode' is new and tenants/initech.yaml is gone, which would delete"
            " namespaces, bucket and queue of initech; keep the old file, move jobs and bucket, and remove it in a"
            " change of its own (or render the removal first, if this is no rename)"
        )
    ]


IDS = st.from_regex(naming.TENANT_ID, fullmatch=True).filter(lambda name: naming.refusal_of(name) is None)


@settings(max_examples=200, deadline=None)
@given(one=IDS, other=IDS, prefix=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?", fullmatch=True))
def test_no_two_ids_share_a_bucket_a_host_a_namespace_or_an_account(one: str, other: str, prefix: str) -> None:
    def names(tenant: str) -> set[str]:
        bucket = naming.bucket(prefix, tenant)
        spaces = {naming.training_namespace(tenant), naming.serving_namespace(tenant)}
        return {bucket, hosts.bucket_host(bucket, sample_platform()), naming.storage_account(tenant), *spaces}

    assert one == other or not names(one) & names(other)
    assert naming.models_bucket(prefix) not in names(one)
    assert len(naming.bucket(prefix, one)) <= 63
