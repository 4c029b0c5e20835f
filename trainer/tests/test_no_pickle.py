"""Nothing that a job leaves can run code when it is read, and no byte of it can change unseen."""

import hashlib
import io
import pickle
import pickletools
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.contract.bucket import MANIFEST
from trainer.contract.checks import Checks
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Hyperparameters
from trainer.pipeline import STEPS, run_step
from trainer.publishing.manifest import Incomplete, verify
from trainer.settings import Settings
from trainer.sinks import Sinks
from trainer.tests import toy

SEALED = ("attempt/prepared", "attempt/checkpoints/step-00000002", "attempt/adapter", "version")
_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST", "REDUCE", "BUILD", "NEWOBJ", "OBJ", "EXT1", "PERSID", "BINPERSID"}


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory, base: Path, recipes: Path) -> Path:
    """Everything that a whole pipeline left: its attempt, its version, its scratch."""
    folder = tmp_path_factory.mktemp("left")
    job = TrainingJob(
        base=str(base),
        data=str(toy.write_rows(folder / "train.jsonl", toy.rows(40))),
        recipe="toy",
        hyperparameters=Hyperparameters(max_steps=3),
        checks=Checks(generations=1, generated_tokens=2),
    )
    settings = Settings(job, str(folder / "attempt"), folder / "work", version_url=str(folder / "version"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.recipes.FOLDER", recipes)
        for name in STEPS:
            run_step(name, settings, Sinks())
    return folder


def pickles(content: bytes) -> list[int]:
    """Offsets in a file, whatever its name, at which a pickle begins that would call something; a zip's are its own."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        return [0]
    return [
        found.start() for found in re.finditer(rb"\x80[\x02-\x05]|^\(|c[a-z_]+\n", content) if _calls(content, found)
    ]


def _calls(content: bytes, found: re.Match[bytes]) -> bool:
    """Whether a whole pickle, up to its STOP, stands there."""
    names = []
    try:
        for operation, _, _ in pickletools.genops(content[found.start() :]):
            names.append(operation.name)
    except (ValueError, UnicodeError, OverflowError):
        return False
    return bool(_CALLS.intersection(names))


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def _saved_by_torch() -> bytes:
    file = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, file)
    return file.getvalue()


PLANTED = {
    "a zip of torch": _saved_by_torch(),
    **{f"pickle {protocol}": pickle.dumps(_Evil(), protocol) for protocol in (0, 2, 4, 5)},
    "a pickle within weights": np.random.default_rng(0).bytes(4000) + pickle.dumps(_Evil(), 4) + b"\0" * 100,
}


@pytest.mark.parametrize("content", PLANTED.values(), ids=PLANTED)
def test_the_scanner_finds_a_pickle_by_what_it_is(content: bytes) -> None:
    assert pickles(content)


@pytest.mark.requirement("E78")
def test_nothing_that_a_job_leaves_holds_a_pickle(left: Path) -> None:
    files = [path for path in left.rglob("*") if path.is_file()]

    assert len(files) > 20
    assert [path for path in files if pickles(path.read_bytes())] == []


@pytest.mark.requirement("E78")
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_one_changed_byte_anywhere_is_noticed(left: Path, data: st.DataObject) -> None:
    folder = left / data.draw(st.sampled_from(SEALED))
    digest = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    path = data.draw(st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file())))
    content = path.read_bytes()
    place, other = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    path.write_bytes(content[:place] + bytes([content[place] ^ other]) + content[place + 1 :])
    try:
        with pytest.raises(Incomplete):
            verify(folder, digest=digest if path.name == MANIFEST else None)
    finally:
        path.write_bytes(content)


@pytest.mark.requirement("E78")
def test_every_file_of_a_sealed_folder_is_in_its_manifest(left: Path) -> None:
    for name in SEALED:
        files = {path.relative_to(left / name).as_posix() for path in (left / name).rglob("*") if path.is_file()}
        assert set(verify(left / name)["files"]) | {MANIFEST} == files
