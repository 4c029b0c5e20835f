"""The tenant directory as a folder: faults by name, changes followed, a faulty change not taken."""

from pathlib import Path

import pytest

from app.directory import LOOK_AGAIN_SECONDS, Directory, DirectoryError, read
from app.tests.cast import KEYS, platform_entry, tenant_entry, write_directory, write_entry


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
    directory = Directory(tmp_path, clock=clock)
    (tmp_path / "acme.json").unlink()
    write_entry(tmp_path, "globex", tenant_entry("globex"))
    clock.now += LOOK_AGAIN_SECONDS
    assert [tenant.id for tenant in directory.tenants()] == ["globex"]


def test_a_faulty_change_leaves_the_state_before_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    write_directory(tmp_path)
    directory = Directory(tmp_path, clock=clock)
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


@pytest.mark.parametrize("url", ["https://directory.example", "file://host/folder", "file:relative", "/folder", ""])
def test_another_url_than_a_folders_is_refused(url: str) -> None:
    with pytest.raises(DirectoryError, match="file:///folder"):
        read(url)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="cannot be read"):
        read((tmp_path / "missing").as_uri())
