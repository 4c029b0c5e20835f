"""Inputs: what is wrong is said at file and line with value, rule and remedy, and all of it at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from generators.images import UNKNOWN_DIGEST
from generators.inputs.folder import Inputs, read_inputs
from generators.inputs.reading import MOST_BYTES, InputErrors

Edit = Callable[[str, str, str], None]

ZEROS = "0" * 64
ACME_OIDC = "{issuer: https://login.tenon.example, audience: tenon, claim: groups, value: acme-ml}"
ACME = [  # old text, new text, the one error
    (
        "runner: jobset",
        "runner: slurm",
        "9: training.runner: 'slurm': is not 'jobset', 'trainjob' or 'rayjob'; write one of those",
    ),
    ("displayName: Acme", "displayname: Acme", "3: displayname: is no key here; remove it or mend its spelling"),
    ("flavor: t4,", "flavor: a100,", "10: training.gpus.flavor: 'a100' is no flavor; use one of: t4, h100"),
    (
        "guaranteed: 2,",
        "guaranteed: 17,",
        "10: training.gpus.guaranteed: 17 is more than flavor t4 holds (16); lower it or use `borrow`",
    ),
    (
        "borrow: 2}",
        "borrow: 15}",
        "10: training.gpus.borrow: 15 on top of 2 is more than flavor t4 holds (16); lower it to 14",
    ),
    (
        "guaranteed: 2,",
        'guaranteed: "2",',
        "10: training.gpus.guaranteed: '2': is no whole number; write one without quotes and without a fraction",
    ),
    (
        "guaranteed: 2,",
        "guaranteed: yes,",
        "10: training.gpus.guaranteed: True: is no whole number; write one without quotes and without a fraction",
    ),
    ("guaranteed: 2,", "", "10: training.gpus.guaranteed: is missing; it is mandatory"),
    (
        "[mirror.acme.example]",
        '["*.s3.amazonaws.com"]',
        (
            "13: egress[0]: '*.s3.amazonaws.com': is a wildcard; name the host exactly"
            " (a wildcard admits every account's buckets)"
        ),
    ),
    (
        "[mirror.acme.example]",
        "[https://mirror.acme.example/x]",
        (
            "13: egress[0]: 'https://mirror.acme.example/x': is no exact lower-case host name;"
            " write it without scheme, port and path"
        ),
    ),
    (
        "[mirror.acme.example]",
        "[a.example, tenon-globex.storage.svc.cluster.local]",
        (
            "13: egress[1]: 'tenon-globex.storage.svc.cluster.local' is a name of the cluster (cluster.local);"
            " name a host outside"
        ),
    ),
    (
        "[hooks.acme.example]",
        "[extract.globex.models.tenon.example]",
        (
            "14: callbacks[0]: 'extract.globex.models.tenon.example' is a name of the platform (models.tenon.example);"
            " name a host outside"
        ),
    ),
    (
        "[hooks.acme.example]",
        "[a.example, a.example]",
        "14: callbacks[1]: 'a.example' stands twice; keep one",
    ),
    (
        "https://login.tenon.example",
        "https://login.evil.example",
        (
            "12: credentials[0].oidc.issuer: 'https://login.evil.example' is no issuer of platform.yaml oidcIssuers;"
            " use one of: https://login.tenon.example"
        ),
    ),
    (
        f"oidc: {ACME_OIDC}",
        "{}",
        "12: credentials[0]: has to be exactly one of `oidc` and `apiKey`; write one list item for each",
    ),
    (
        f"oidc: {ACME_OIDC}",
        f"{{apiKey: {{id: acme, sha256: '{ZEROS}'}}, oidc: {ACME_OIDC}}}",
        "12: credentials[0]: has to be exactly one of `oidc` and `apiKey`; write one list item for each",
    ),
    (
        "currency: EUR}",
        "currency: USD}",
        "6: budget.currency: 'USD' is not the currency of platform.yaml prices; use EUR",
    ),
    ('["@acme/ml"]', "[]", "4: owners: has 0 entries; give at least 1"),
    (
        "serving: {gpus: 4}",
        "serving: {gpus: 2}",
        (
            "15: serving.gpus: 2 GPUs are fewer than a roll-out needs at its peak (3: replies 3 at weight 5);"
            " raise it to 3, or lower replicas or add a weight of 75"
        ),
    ),
    ("displayName: Acme Support", "displayName: *x", "3: *x: is an alias; write it out"),
    (
        "isolation: standard",
        "isolation: [",
        "7: not YAML: while parsing a flow sequence, did not find expected ',' or ']'; mend the syntax",
    ),
    (
        "displayName: Acme Support",
        "displayName: 2024-13-41",
        "3: displayName: '2024-13-41': cannot be read as a value; quote it if it is text",
    ),
    (
        "displayName: Acme Support",
        "displayName: !!python/name:os.system x",
        "3: displayName: tag:yaml.org,2002:python/name:os.system is no tag of input files; write the plain value",
    ),
    (
        "displayName: Acme Support",
        'displayName: "a\\0b"',
        "3: displayName: 'a\\x00b': holds control characters; write one line of text",
    ),
    (
        "[mirror.acme.example]",
        "[metadata.google.internal]",
        (
            "13: egress[0]: 'metadata.google.internal' is a name of a cloud's metadata service or private zone;"
            " name a host outside"
        ),
    ),
    ("isolation: standard", "owners: []\nisolation: standard", "5: owners: stands twice; keep one"),
]
PLATFORM = [
    (
        "bucketPrefix: tenon",
        "bucketPrefix: Tenon",
        "storage.bucketPrefix: 'Tenon': is not of the form ^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$; write it so",
    ),
    (
        "mode: inCluster",
        "mode: s3",
        "storage: mode s3 needs a region and an account, mode inCluster has neither",
    ),
    (
        "recipe: smollm2-135m-cpu",
        "recipe: nonesuch",
        "catalogue.smollm2-135m.recipe: 'nonesuch' is no recipe; use one of: llama2-7b-lora-4x8, ",
    ),
    (
        "nodeRanges: [10.0.0.0/16]",
        "nodeRanges: [0.0.0.0/0]",
        "nodeRanges[0]: '0.0.0.0/0': covers more than a /8; a range this wide means everything",
    ),
    (
        "nodeRanges: [10.0.0.0/16]",
        "nodeRanges: [10.0.0.1/16]",
        "nodeRanges[0]: '10.0.0.1/16': 10.0.0.1/16 has host bits",
    ),
    (
        "t4: {capacity: 16, shared: 4,",
        "t4: {capacity: 12, shared: 4,",
        (
            "gpuFlavors.t4.capacity: 12 GPUs are fewer than what is promised (13: acme 2 + 4 for serving, "
            "initech 1 + 2 for serving, shared 4); lower a guarantee or the GPUs of serving"
        ),
    ),
    ('ciliumVersion: "1.20"', 'ciliumVersion: "1.19"', "ciliumVersion: '1.19': is not '1.20'; write one of those"),
    ("domain: models.tenon.example", "domain: Models", "domain: 'Models': is no exact lower-case host name"),
    ("cluster: eu1\n", "", "cluster: is missing; it is mandatory"),
]
MODEL = [
    (
        "base: smollm2-135m ",
        "base: gpt-9 ",
        "base: 'gpt-9' is no base model of the catalogue of platform.yaml; use one of: smollm2-135m",
    ),
    ("recipe: smollm2-135m-t4", "recipe: none", "recipe: 'none' is no recipe; use one of: llama2-7b-lora-4x8, "),
    (
        "[5, 10, 25, 50, 100]",
        "[5, 50, 10, 100]",
        "serving.canary.weights: [5, 50, 10, 100] does not rise and end at 100; write it so",
    ),
    ("[5, 10, 25, 50, 100]", "[5, 10]", "serving.canary.weights: [5, 10] does not rise and end at 100; write it so"),
    ("replicas: 2", "replicas: -1", "serving.replicas: -1: is less than 0; raise it"),
]


def errors_of(root: Path) -> list[str]:
    with pytest.raises(InputErrors) as refused:
        read_inputs(root)
    return [str(error) for error in refused.value.errors]


def test_the_sample_tenants_differ_in_runner_isolation_gpus_egress_and_serving(inputs: Inputs) -> None:
    assert {tenant.training.runner for tenant in inputs.tenants} == {"jobset", "trainjob", "rayjob"}
    assert {tenant.isolation for tenant in inputs.tenants} == {"standard", "hard"}
    assert len({tenant.training.gpus for tenant in inputs.tenants}) == 3
    assert {len(tenant.egress) for tenant in inputs.tenants} == {0, 1, 2}
    assert len({record.serving for tenant in inputs.tenants for record in tenant.models.values()}) == 3


@pytest.mark.parametrize(("old", "new", "error"), ACME)
def test_a_fault_of_a_tenant_file_is_one_line_at_its_key(
    root: Path, edit: Edit, old: str, new: str, error: str
) -> None:
    edit("tenants/acme.yaml", old, new)
    assert errors_of(root) == [f"tenants/acme.yaml:{error}"]


@pytest.mark.parametrize(("old", "new", "error"), PLATFORM)
def test_a_fault_of_the_platform_file_is_one_line_at_its_key(
    root: Path, edit: Edit, old: str, new: str, error: str
) -> None:
    edit("platform.yaml", old, new)
    (found,) = errors_of(root)
    assert found.startswith("platform.yaml:")
    assert error in found


@pytest.mark.parametrize(("old", "new", "error"), MODEL)
def test_a_fault_of_a_model_record_is_one_line_at_its_key(
    root: Path, edit: Edit, old: str, new: str, error: str
) -> None:
    edit("tenants/acme/models/replies.yaml", old, new)
    (found,) = errors_of(root)
    assert found.startswith("tenants/acme/models/replies.yaml:")
    assert error in found


def test_faults_of_all_files_are_said_at_once(root: Path, edit: Edit) -> None:
    edit("tenants/acme.yaml", "runner: jobset", "runner: slurm")
    edit("tenants/acme.yaml", 'owners: ["@acme/ml"]', "owners: [acme]")
    edit("tenants/globex.yaml", "flavor: h100", "flavor: b200")
    edit("platform.yaml", "production: false", "production: true")
    with pytest.raises(InputErrors) as refused:
        read_inputs(root)
    assert {error.file for error in refused.value.errors} >= {"tenants/acme.yaml", "tenants/globex.yaml", "images.lock"}
    assert str(refused.value).endswith("errors in 3 files") or str(refused.value).endswith("errors in 4 files")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("platform", "reserved"),
        ("models", "reserved"),
        ("Acme", "lower-case DNS label"),
        ("ab", "3-32 characters"),
        ("a" * 33, "3-32 characters"),
        ("1abc", "begins with a letter"),
        ("acme-train", "does not end in"),
        ("acme-dns", "does not end in"),
        ("s3-acme", "does not begin with"),
        ("directory-acme", "does not begin with"),
        ("slots-acme", "does not begin with"),
        ("webhooks-acme", "does not begin with"),
        ("tenon-acme", "as another tenant's bucket does; choose another id"),
        ("acme_x", "lower-case DNS label"),
    ],
)
def test_an_id_that_would_collide_is_refused(root: Path, name: str, reason: str) -> None:
    (root / "tenants" / "initech.yaml").rename(root / "tenants" / f"{name}.yaml")
    (root / "tenants" / "initech").rename(root / "tenants" / f"{name}")
    (found,) = errors_of(root)
    assert found.startswith(f"tenants/{name}.yaml:1: {name!r}: ")
    assert reason in found


def test_one_caller_is_never_of_two_tenants(root: Path, edit: Edit) -> None:
    edit("tenants/initech.yaml", "audience: tenon", "audience: other")
    edit("tenants/initech.yaml", "value: initech-data", "value: acme-ml")
    assert errors_of(root) == [
        (
            "tenants/initech.yaml:9: credentials[0].oidc: groups=acme-ml of https://login.tenon.example is"
            " tenants/acme.yaml credentials[0] already; a caller has exactly one tenant, so remove one of them"
        )
    ]


def test_an_api_key_id_is_never_of_two_tenants(root: Path, edit: Edit) -> None:
    for tenant in ("acme", "globex"):
        edit(f"tenants/{tenant}.yaml", "  - oidc", f"  - apiKey: {{id: same, sha256: '{ZEROS}'}}\n  - oidc")
    (found,) = errors_of(root)
    assert "tenants/globex.yaml:16: credentials[0].apiKey.id: 'same' is tenants/acme.yaml credentials[0]" in found


@pytest.mark.requirement("A25")
@pytest.mark.parametrize(
    "host",
    ["tenon-globex.s3.eu-central-1.amazonaws.com", "s3.amazonaws.com", "x.s3-accesspoint.eu-central-1.amazonaws.com"],
)
def test_no_spelling_of_the_shared_object_store_is_an_egress_host(root: Path, edit: Edit, host: str) -> None:
    edit("platform.yaml", "mode: inCluster,", "mode: s3, region: eu-central-1, account: '123456789012',")
    edit("tenants/acme.yaml", "mirror.acme.example", host)
    (found,) = errors_of(root)
    assert "is an object store" in found


def test_production_refuses_every_digest_that_nobody_knows(root: Path, edit: Edit) -> None:
    edit("platform.yaml", "production: false", "production: true")
    found = [error for error in errors_of(root) if error.startswith("images.lock:")]
    lock = (root / "images.lock").read_text(encoding="utf-8")
    assert len(found) == lock.count(f'digest: "{UNKNOWN_DIGEST}"') > 0
    assert all("is the all-zero digest and production is true" in error for error in found)


def test_an_image_from_an_untrusted_registry_is_refused(root: Path, edit: Edit) -> None:
    edit("images.lock", "registry.tenon.example/tenon/trainer", "elsewhere.example/tenon/trainer")
    assert errors_of(root) == [
        (
            "images.lock:13: trainer.repository: 'elsewhere.example/tenon/trainer' is in no registry of platform.yaml"
            " trustedRegistries; mirror it there"
        )
    ]


def test_a_model_folder_without_its_tenant_is_refused(root: Path) -> None:
    (root / "tenants" / "initech.yaml").unlink()
    (found,) = errors_of(root)
    assert found.startswith("tenants/initech/models:1: tenants/initech.yaml is not there")


def test_an_empty_tenants_folder_is_refused_before_it_deletes_everything(root: Path) -> None:
    for path in (root / "tenants").glob("*.yaml"):
        path.unlink()
    assert any("would delete everything" in error for error in errors_of(root))


def test_a_file_that_would_be_passed_over_is_refused(root: Path) -> None:
    (root / "tenants" / "hooli.yml").write_text("owners: []")
    assert errors_of(root) == ["tenants/hooli.yml:1: is not read; rename it to hooli.yaml"]


def test_a_version_under_another_jobs_name_is_refused(root: Path, edit: Edit) -> None:
    version = (
        f"[{{version: replies-other, stage: stable, adapterDigest: '{ZEROS}', datasetFingerprint: '{ZEROS}',"
        " metrics: {}, job: abcdefghijklmnop, trainedAt: 2026-01-01T00:00:00Z}]"
    )
    edit("tenants/acme/models/replies.yaml", "versions: []", f"versions: {version}")
    (found,) = errors_of(root)
    assert "versions[0].version: 'replies-other' is not the name of job abcdefghijklmnop" in found


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "is not a mapping; write `key: value` lines"),
        (b"- a\n", "is not a mapping; write `key: value` lines"),
        (b"\xff\xfe", "is not UTF-8 (byte 0); save it as UTF-8 text"),
        (
            b"a: b\n---\na: b\n",
            "not YAML: expected a single document in the stream, but found another document; mend the syntax",
        ),
        (b"a: &a [1]\nb: *a\n", "*a: is an alias; write it out"),
        (b"[" * 5000 + b"]" * 5000, "is nested more than 20 levels deep; no input needs that"),
        (b"# " + b"x" * MOST_BYTES, "bytes are more than an input file has"),
    ],
)
def test_a_file_that_is_no_input_at_all_is_one_error(root: Path, content: bytes, error: str) -> None:
    (root / "tenants" / "acme.yaml").write_bytes(content)
    found = [text for text in errors_of(root) if text.startswith("tenants/acme.yaml:")]
    assert len(found) == 1
    assert error in found[0]


def test_a_missing_platform_file_is_said_with_its_name(root: Path) -> None:
    (root / "platform.yaml").unlink()
    assert "platform.yaml:1: cannot be read (No such file or directory); the file has to be there" in errors_of(root)[0]


@pytest.mark.requirement("D64")
def test_the_sum_of_all_guarantees_is_never_more_than_the_cluster_holds(root: Path, edit: Edit) -> None:
    edit("tenants/initech.yaml", "guaranteed: 1", "guaranteed: 5")
    (found,) = errors_of(root)
    assert "16 GPUs are fewer than what is promised (17: acme 2 + 4 for serving, initech 5 + 2 for serving" in found


@pytest.mark.requirement("D64")
def test_servers_and_jobs_never_have_more_gpus_together_than_the_cluster_holds(root: Path, edit: Edit) -> None:
    edit("tenants/initech.yaml", "serving: {gpus: 2}", "serving: {gpus: 6}")
    (found,) = errors_of(root)
    assert "gpuFlavors.t4.capacity: 16 GPUs are fewer than what is promised (17: acme 2 + 4 for serving" in found
