"""The tenant directory: faults by name, changes followed, a faulty change not taken, and nobody turned away by it."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import documents
from app.contract.directory import DIRECTORY_KEY, TenantEntry, directory_name
from app.contract.wire import Wire
from app.directory import LOOK_AGAIN_SECONDS, Directory, DirectoryError, read
from app.documents import Folder
from app.identity.keys import read_key
from app.tests.cast import KEYS, platform_entry, tenant_entry, write_directory, write_entry
from app.tests.stub_apiserver import Cluster, serving


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_tenants_and_platform_are_read(tmp_path: Path) -> None:
    directory = read(write_directory(tmp_path / "a folder"))
    assert [tenant.id for tenant in directory.tenants()] == ["acme", "globex"]
    assert directory.tenant("acme") == tenant_entry("acme")
    assert directory.platform == platform_entry()


@pytest.mark.parametrize("tenant", ["initech", "platform", "../acme", ""])
def test_an_unknown_tenant_is_none(tmp_path: Path, tenant: str) -> None:
    assert read(write_directory(tmp_path / "directory")).tenant(tenant) is None


def test_a_removed_tenant_is_gone_and_a_new_one_there_within_a_second(tmp_path: Path) -> None:
    clock = Clock()
    write_directory(tmp_path, tenant_entry("acme"))
    directory = Directory(Folder(tmp_path), clock=clock)
    (tmp_path / "acme.json").unlink()
    write_entry(tmp_path, "globex", tenant_entry("globex"))
    clock.now += LOOK_AGAIN_SECONDS
    assert [tenant.id for tenant in directory.tenants()] == ["globex"]


def test_a_faulty_change_leaves_the_state_before_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    write_directory(tmp_path)
    directory = Directory(Folder(tmp_path), clock=clock)
    (tmp_path / "acme.json").write_text("{", encoding="utf-8")
    clock.now += LOOK_AGAIN_SECONDS
    assert directory.tenant("acme") == tenant_entry("acme")
    assert "acme.json" in caplog.text


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("acme.json", "{", "acme.json: document: Invalid JSON"),
        ("acme.json", '{"id": "acme"}', "acme.json: bucket: Field required"),
        ("other.json", tenant_entry("acme").model_dump_json(by_alias=True), "name the file acme.json"),
        ("platform.json", "{}", "platform.json: catalogue: Field required"),
        (
            "globex.json",
            tenant_entry("globex", key=KEYS["acme"]).model_dump_json(by_alias=True),
            "a credential is acme's too",
        ),
    ],
)
def test_a_fault_names_file_and_rule(tmp_path: Path, file: str, text: str, told: str) -> None:
    write_directory(tmp_path)
    (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(DirectoryError, match=told):
        read(tmp_path.as_uri())


def test_a_folder_without_the_platform_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"platform\.json is missing"):
        read(tmp_path.as_uri())


@pytest.mark.parametrize(
    "url",
    [
        *("https://directory.example", "file://host/folder", "file:relative", "/folder", ""),
        *("configmaps://tenon-system", "configmaps://?label=x", "configmaps://tenon-system/x?label=x"),
    ],
)
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(DirectoryError, match="file:///folder"):
        read(url)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="cannot be read"):
        read((tmp_path / "missing").as_uri())


def test_a_faulty_tenant_holds_up_no_change_of_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    write_directory(tmp_path)
    directory = Directory(Folder(tmp_path), clock=clock)
    (tmp_path / "acme.json").write_text("{", encoding="utf-8")
    write_entry(tmp_path, "globex", renamed("globex"))
    write_entry(tmp_path, "initech", tenant_entry("initech", key="another key"))
    clock.now += LOOK_AGAIN_SECONDS
    assert directory.tenant("globex") == renamed("globex")
    assert directory.tenant("initech") is not None
    assert directory.tenant("acme") == tenant_entry("acme")
    clock.now += LOOK_AGAIN_SECONDS
    assert directory.tenants()
    assert caplog.text.count("acme.json") == 1  # told once


def test_without_the_platform_nothing_changes(tmp_path: Path) -> None:
    clock = Clock()
    write_directory(tmp_path)
    directory = Directory(Folder(tmp_path), clock=clock)
    for document in tmp_path.iterdir():
        document.unlink()
    clock.now += LOOK_AGAIN_SECONDS
    assert len(directory.tenants()) == 2
    assert directory.platform == platform_entry()


def test_a_credential_that_another_tenant_has_is_not_taken_from_it(tmp_path: Path) -> None:
    clock = Clock()
    write_directory(tmp_path)
    directory = Directory(Folder(tmp_path), clock=clock)
    write_entry(tmp_path, "globex", tenant_entry("globex", key=KEYS["acme"]))
    clock.now += LOOK_AGAIN_SECONDS
    for tenant in ("acme", "globex"):
        key = read_key(KEYS[tenant])
        assert key is not None
        assert directory.tenant_of(key) == tenant


def renamed(tenant: str) -> TenantEntry:
    return tenant_entry(tenant).model_copy(update={"display_name": "of another name"})


PATH = "/api/v1/namespaces/tenon-system/configmaps"
LABEL = "tenon.example/directory"
URL = f"configmaps://tenon-system?label={LABEL}"


def put(cluster: Cluster, name: str, entry: Wire | str) -> None:
    text = entry if isinstance(entry, str) else json.dumps(entry.model_dump(mode="json", by_alias=True))
    metadata = {"name": directory_name(name), "labels": {LABEL: name}}
    cluster.put(PATH, {"metadata": metadata, "data": {DIRECTORY_KEY: text}})


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    put(made, "platform", platform_entry())
    put(made, "acme", tenant_entry("acme"))
    put(made, "globex", "{")  # faulty from the beginning
    made.put(PATH, {"metadata": {"name": "kube-root-ca.crt", "labels": {}}, "data": {}})
    return made


@pytest.fixture
def kubeconfig(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    with serving(cluster) as url:
        named = {
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps({"current-context": "x", **named}), encoding="utf-8")
        yield tmp_path / "kubeconfig"


def wait_for(directory: Directory, tenant: str, entry: TenantEntry | None) -> None:
    deadline = time.monotonic() + 20
    while directory.tenant(tenant) != entry:
        assert time.monotonic() < deadline, "the change did not come in time"
        time.sleep(0.02)


@pytest.fixture
def of_cluster(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Directory]:
    monkeypatch.setattr("app.directory.LOOK_AGAIN_SECONDS", 0.0)
    made = read(URL, kubeconfig=kubeconfig)
    yield made
    made.close()


def test_configmaps_are_followed_and_a_faulty_one_is_its_own_tenants_matter(
    cluster: Cluster, of_cluster: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    assert [tenant.id for tenant in of_cluster.tenants()] == ["acme"]
    put(cluster, "globex", tenant_entry("globex"))
    wait_for(of_cluster, "globex", tenant_entry("globex"))
    put(cluster, "globex", tenant_entry("acme"))  # says it is another one
    put(cluster, "acme", renamed("acme"))
    wait_for(of_cluster, "acme", renamed("acme"))
    assert of_cluster.tenant("globex") == tenant_entry("globex")
    assert "ConfigMap directory-globex" in caplog.text
    cluster.delete(PATH, directory_name("globex"))
    wait_for(of_cluster, "globex", None)


def test_what_was_read_stays_while_the_api_server_is_away(cluster: Cluster, of_cluster: Directory) -> None:
    cluster.lists_forbidden = True
    cluster.forget()
    wait_for(of_cluster, "acme", tenant_entry("acme"))
    cluster.lists_forbidden = False
    put(cluster, "acme", renamed("acme"))
    wait_for(of_cluster, "acme", renamed("acme"))


def test_no_list_at_the_start_is_told(cluster: Cluster, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "FIRST_LIST_SECONDS", 0.2)
    cluster.lists_forbidden = True
    with pytest.raises(DirectoryError, match="ConfigMaps of tenon-system: the API server gave no list"):
        read(URL, kubeconfig=kubeconfig)
