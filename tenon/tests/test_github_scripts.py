"""The workflows' scripts: what is built, how far a tenant's change reaches, what is written into images.lock."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "ab" * 32
FOLDERS = {
    "services": "app",
    "trainer": "trainer",
    "trainerray": "trainer-ray",
    "modelserver": "serving",
    "promoter": "promoter",
}


sys.path.append(str(ROOT / ".github/scripts"))  # where Python looks when it runs one of them


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f".github/scripts/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


plan, blast_radius, lock_image = script("plan"), script("blast_radius"), script("lock_image")
record_changes, history = script("record_changes"), script("history")


@pytest.mark.requirement("A29")
@pytest.mark.parametrize(
    ("path", "images", "ingest"),
    [
        ("app/dispatcher.py", ["services", "modelserver", "promoter"], True),
        ("trainer/loop.py", ["trainer", "trainerray", "modelserver"], False),
        ("trainer/contract/steps.py", ["services", "trainer", "trainerray", "modelserver", "promoter"], True),
        ("generators/naming.py", ["promoter"], False),
        ("requirements/ingest.txt", ["services"], True),
        ("images/app/Dockerfile", ["services"], False),
        ("requirements/trainer-ray.txt", ["trainerray"], False),
        ("app/tests/test_api.py", [], False),
        ("tenants/acme.yaml", [], False),
        ("README.md", [], False),
        ("vercel.json", [], True),
    ],
)
def test_a_change_builds_what_it_is_part_of_and_nothing_else(path: str, images: list[str], *, ingest: bool) -> None:
    assert (plan.images([path]), plan.deploys_ingest([path])) == (images, ingest)


def test_the_planner_knows_every_source_that_a_dockerfile_copies() -> None:
    for role, folder in FOLDERS.items():
        text = (ROOT / f"images/{folder}/Dockerfile").read_text(encoding="utf-8")
        copied = re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE)
        for source in copied:
            path = f"{source}/x.py" if (ROOT / source).is_dir() else source
            assert role in plan.images([path]), f"{role}: {source}"


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@tenon.example", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path, **files: str) -> str:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "Change")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    commit(tmp_path, README="first")
    return tmp_path


@pytest.mark.requirement("A29")
def test_changed_paths_come_from_git_and_a_run_by_hand_builds_everything(repository: Path) -> None:
    base = git(repository, "rev-parse", "HEAD")
    head = commit(repository, app__x="1", README="second")
    assert plan.changed_paths(repository, base, head) == ["README", "app/x"]
    assert plan.changed_paths(repository, "", head) is None
    assert plan.changed_paths(repository, plan.NO_COMMIT, head) is None


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["tenants/acme.yaml", "rendered/eu1/tenants/acme/foundation/x.yaml"], []),
        (["tenants/acme/models/replies.yaml", "rendered/eu1/tenants/acme/workloads/x.yaml"], []),
        (["tenants/acme.yaml", "rendered/eu1/tenants/globex/x.yaml"], ["rendered/eu1/tenants/globex/x.yaml"]),
        (["tenants/acme.yaml", "rendered/eu1/platform/x.yaml"], ["rendered/eu1/platform/x.yaml"]),
        (["rendered/eu1/tenants/acme/x.yaml"], ["rendered/eu1/tenants/acme/x.yaml"]),
        (["tenants/acme.yaml", "platform.yaml", "rendered/eu1/tenants/globex/x.yaml"], []),
        (["generators/naming.py", "rendered/eu1/tenants/globex/x.yaml"], []),
        (["trainer/recipes/smollm2-135m-t4.yaml", "rendered/eu1/tenants/globex/x.yaml"], []),
        (["tenants/acme.yaml", "tenants/globex.yaml", "rendered/eu1/tenants/globex/x.yaml"], []),
        (["tenants/acme/other.txt", "rendered/eu1/tenants/globex/x.yaml"], ["rendered/eu1/tenants/globex/x.yaml"]),
        (["docs/x.md", "rendered/eu1/tenants/globex/x.yaml"], ["rendered/eu1/tenants/globex/x.yaml"]),
        (["platform.yaml.txt", "rendered/eu1/platform/x.yaml"], ["rendered/eu1/platform/x.yaml"]),
    ],
)
def test_a_tenants_change_reaches_its_own_folders_alone(paths: list[str], found: list[str]) -> None:
    assert blast_radius.outside(paths) == found


def test_the_blast_radius_is_read_from_both_commits(repository: Path) -> None:
    base = git(repository, "rev-parse", "HEAD")
    head = commit(repository, tenants__acme_yaml="1", rendered__eu1__x="1")
    assert history.changed_paths(repository, base, head) == ["rendered/eu1/x", "tenants/acme_yaml"]


@pytest.mark.requirement("A32")
def test_one_digest_changes_in_the_lock_and_nothing_else() -> None:
    text = (ROOT / "images.lock").read_text(encoding="utf-8")
    changed = lock_image.locked(text, "trainer", DIGEST)
    before, after = yaml.safe_load(text), yaml.safe_load(changed)
    assert after.pop("trainer") == before.pop("trainer") | {"digest": "ab" * 32}
    assert (after, changed.count("#")) == (before, text.count("#"))


@pytest.mark.parametrize(
    ("role", "digest", "text"),
    [
        ("nobody", DIGEST, "is no role of the lock"),
        ("trainer", "latest", "is no digest"),
        ("trainer", "sha256:" + "0" * 64, "is no digest"),
    ],
)
def test_what_is_no_image_is_not_locked(role: str, digest: str, text: str) -> None:
    with pytest.raises(lock_image.NoDigestError, match=text):
        lock_image.locked((ROOT / "images.lock").read_text(encoding="utf-8"), role, digest)


def test_a_mirrored_image_is_asked_for_by_the_tag_in_the_lock() -> None:
    asked = []

    def ask(repository: str, tag: str) -> str:
        asked.append((repository, tag))
        return DIGEST

    text = (ROOT / "images.lock").read_text(encoding="utf-8")
    changed = yaml.safe_load(lock_image.mirrored(text, "vllm", ask))
    assert changed["vllm"]["digest"] == "ab" * 32
    assert asked == [(changed["vllm"]["repository"], changed["vllm"]["from"].rpartition(":")[2])]
    with pytest.raises(lock_image.NoDigestError, match="names no tag"):
        lock_image.mirrored(text, "services", ask)


def test_every_chart_of_the_lock_is_asked_for_by_its_own_version() -> None:
    text = (ROOT / "charts.lock").read_text(encoding="utf-8")
    for name, entry in yaml.safe_load(text).items():
        changed = yaml.safe_load(lock_image.mirrored(text, name, lambda _repository, _tag: DIGEST))
        assert changed[name] == entry | {"digest": "ab" * 32}


@pytest.mark.requirement("B48")
def test_every_known_image_is_scanned_each_week_and_every_built_one_before_it_is_signed() -> None:
    lock = (ROOT / "images.lock").read_text(encoding="utf-8")
    known = lock_image.references(lock)
    assert len(known) == len(yaml.safe_load(lock)) - lock.count("0" * 64) > 0
    assert all(re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", each) for each in known)
    scan = yaml.safe_load((ROOT / ".github/workflows/scan.yaml").read_text(encoding="utf-8"))
    assert scan[True]["schedule"]  # YAML 1.1 reads `on` so
    for name, job in (("scan", "scan"), ("images", "build")):
        steps = yaml.safe_load((ROOT / f".github/workflows/{name}.yaml").read_text(encoding="utf-8"))["jobs"][job][
            "steps"
        ]
        [scanned] = [step["with"] for step in steps if "trivy-action@" in step.get("uses", "")]
        assert (scanned["exit-code"], "@" in scanned["image-ref"] or "matrix" in scanned["image-ref"]) == ("1", True)


def test_proposed_images_take_new_rendered_files_along(repository: Path) -> None:
    commit(repository, rendered__old="1", images_lock="1")
    (repository / "images.lock").write_text("2", encoding="utf-8")
    (repository / "rendered/old").unlink()
    (repository / "rendered/new-0a1b2c3d").write_text("1", encoding="utf-8")
    (repository / "elsewhere").write_text("1", encoding="utf-8")
    script = ROOT / ".github/scripts/propose_images.sh"
    subprocess.run([script, "images-1"], cwd=repository, env={**os.environ, "PROPOSE": "no"}, check=True)
    changed = git(repository, "show", "--name-only", "--no-renames", "--format=").split()
    assert changed == ["images.lock", "rendered/new-0a1b2c3d", "rendered/old"]


@pytest.mark.requirement("E82")
def test_a_rewritten_record_is_found_between_two_commits(repository: Path) -> None:
    folder = repository / "tenants/acme/models"
    folder.mkdir(parents=True)
    record = (ROOT / "tenants/acme/models/replies.yaml").read_text(encoding="utf-8").replace("versions: []", "")
    evidence = (
        "versions: [{version: replies-1, stage: candidate, adapterDigest: %s, datasetFingerprint: %s, metrics: {},"
        " job: j1, trainedAt: 2026-01-01T00:00:00Z}]\n"
    )
    (folder / "replies.yaml").write_text(record + evidence % ("a" * 64, "b" * 64), encoding="utf-8")
    base = commit(repository)
    (folder / "replies.yaml").write_text(record + evidence % ("c" * 64, "b" * 64), encoding="utf-8")
    head = commit(repository)
    [found] = record_changes.faults_between(repository, base, head)
    assert found.startswith("tenants/acme/models/replies.yaml: replies-1: adapter_digest is evidence")


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))


@pytest.mark.requirement("A30")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_secrets_belong_to_an_environment_and_none_reaches_the_cluster(path: Path) -> None:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    own = {"owner-approval"}  # runs no code of a pull request, and its one secret reads team memberships
    for job in jobs.values():
        text = yaml.safe_dump(job)
        assert "secrets." not in text or "environment" in job or path.stem in own
        assert not re.search(r"kubectl|kubeconfig|argocd app", text, re.IGNORECASE)


@pytest.mark.requirement("A31")
def test_images_are_pushed_by_digest_with_contents_and_origin_and_signed() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/images.yaml").read_text(encoding="utf-8"))["jobs"]["build"][
        "steps"
    ]
    [build] = [step["with"] for step in steps if step.get("id") == "build"]
    assert (build["sbom"], build["provenance"]) == (True, "mode=max")
    assert {"push=true", "push-by-digest=true"} <= set(build["outputs"].split(","))
    assert "tags" not in build
    names = [step.get("uses", step.get("run", "")) for step in steps]
    scanned = next(index for index, name in enumerate(names) if "trivy-action@" in name)
    signed = next(index for index, name in enumerate(names) if name.startswith("cosign sign --yes"))
    assert scanned < signed


@pytest.mark.requirement("E79")
@pytest.mark.parametrize("folder", FOLDERS.values())
def test_an_image_is_pinned_multi_stage_and_runs_as_nobody(folder: str) -> None:
    text = (ROOT / f"images/{folder}/Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM \S+@sha256:[0-9a-f]{64}( AS built)?$", text, re.MULTILINE)
    assert stages == [" AS built", ""]
    assert len(re.findall(r"^FROM ", text, re.MULTILINE)) == len(stages)
    assert "\nUSER 65532:65532\n" in text
