"""What the commands' tests take their time for is made once: the proof of equal trees, a toy base model."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from isolation import proof
from isolation.proof import Proof

import tenon.flow_changes
from tenon.flow_changes import Judged, judged


def digest(folder: Path) -> str:
    """Of the names and bytes of all files below."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        found.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
        found.update(content)
    return found.hexdigest()


@pytest.fixture(scope="session")
def proofs() -> dict[tuple[str, str, tuple[str, ...]], Proof]:
    """By folder, content and chosen tenants."""
    return {}


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a toy base model."""
    from trainer.tests import toy  # imports torch, which most commands do without

    return toy.make_base(tmp_path_factory.mktemp("base") / "toy")


@pytest.fixture(scope="session")
def judgements() -> dict[str, Judged]:
    """By content."""
    return {}


@pytest.fixture
def each_tree_proved_once(
    proofs: dict[tuple[str, str, tuple[str, ...]], Proof], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof of a folder that was proved before, as it is now, is the one from then; refusals are not kept."""
    real = proof.prove

    def prove(folder: Path, *, only: Sequence[str] = ()) -> Proof:
        key = (str(folder), digest(folder), tuple(only))
        if key not in proofs:
            proofs[key] = real(folder, only=only)
        return proofs[key]

    monkeypatch.setattr(proof, "prove", prove)


@pytest.fixture
def each_content_judged_once(judgements: dict[str, Judged], monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for two trees that are compared, wherever they stand."""
    found: Callable[[Path], Judged] = judged

    def once(folder: Path) -> Judged:
        if not folder.is_dir():
            return found(folder)
        key = digest(folder)
        if key not in judgements:
            judgements[key] = found(folder)
        return judgements[key]

    monkeypatch.setattr(tenon.flow_changes, "judged", once)
