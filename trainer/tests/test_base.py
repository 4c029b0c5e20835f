import json
import shutil
from pathlib import Path

import pytest
import yaml

from trainer import storage
from trainer.contract.checks import Checks
from trainer.contract.job import TrainingJob
from trainer.contract.recipe import Hyperparameters
from trainer.contract.report import Report
from trainer.model import base as base_model
from trainer.model.shape import refuse_short_context
from trainer.model.source import fetched
from trainer.outcomes import BadInput
from trainer.pipeline import run_step
from trainer.publishing.manifest import seal
from trainer.recipes import recipe_named
from trainer.sinks import Sinks
from trainer.tests import toy
from trainer.tests.conftest import MakeSettings

# Where the tests run there is no GPU, and the toy has fewer tokens: all else is the recipe's.
OF_THE_MACHINE = {"gpus_per_node": 0, "gpu_memory_fraction": None, "width": 96, "warmup_steps": 2, "batch_rows": 4}


@pytest.mark.parametrize("length", [1 << 40, (16 << 20) + 1, 10_000])
def test_a_safetensors_file_that_states_an_overlong_header_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")

    with pytest.raises(BadInput, match=f"states a header of {length} bytes"):
        base_model.refuse_code(tmp_path)


def test_a_base_model_with_one_changed_byte_is_refused(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(base, folder)
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)

    with pytest.raises(
        BadInput, match=r"base model: .*model\.safetensors: has sha256 .*name a folder of the catalogue"
    ):
        base_model.fetch(TrainingJob(base=str(folder), data="rows.jsonl"), tmp_path)


def test_another_base_model_than_the_job_names_is_refused(base: Path, tmp_path: Path) -> None:
    wanted = TrainingJob(base=str(base), base_digest="0" * 64, data="rows.jsonl")

    with pytest.raises(BadInput, match=r"expected 0000.*it is another folder"):
        base_model.fetch(wanted, tmp_path)
    assert base_model.fetch(wanted.model_copy(update={"base_digest": base_model.digest(base)}), tmp_path) == base


@pytest.mark.parametrize(
    ("content", "said"), [("{", "cannot be read"), ("[]", "holds no mapping"), (None, "cannot be read")]
)
def test_a_base_model_without_a_configuration_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)

    with pytest.raises(BadInput, match=f"{said}.*use a base model of the catalogue"):
        refuse_short_context(tmp_path, 512)


@pytest.mark.requirement("C49")
def test_the_qlora_recipe_of_a_t4_tunes_a_small_model_on_alpaca_rows(
    make_settings: MakeSettings, recipes: Path, tmp_path: Path
) -> None:
    recipe = recipe_named("tinyllama-qlora-t4").model_copy(update=OF_THE_MACHINE)
    text = yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True, exclude_none=True))
    (recipes / "tiny-qlora.yaml").write_text(text)
    pairs = [tuple(turn["content"] for turn in row["messages"]) for row in toy.rows(24)]
    rows = [{"instruction": question, "input": "", "output": answer} for question, answer in pairs]
    data = toy.write_rows(tmp_path / "alpaca.jsonl", rows)
    settings = make_settings(
        recipe="tiny-qlora",
        data=str(data),
        evaluation=None,
        checks=Checks(generations=0),
        hyperparameters=Hyperparameters(epochs=4, learning_rate=0.02),
    )

    for step in ("prepare", "train", "evaluate"):
        run_step(step, settings, Sinks())

    report = Report.model_validate(json.loads((Path(settings.attempt_url) / "report.json").read_text()))
    assert recipe.method == "qlora"
    assert recipe.precision == "fp16"
    assert report.loss_after is not None
    assert report.loss_before is not None
    assert report.loss_after < 0.97 * report.loss_before


def test_a_base_model_that_hides_a_pickle_below_a_folder_is_refused(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hidden"
    shutil.copytree(base, folder)
    (folder / "original").mkdir()
    (folder / "original/consolidated.pth").write_bytes(b"")
    seal(folder)

    with pytest.raises(BadInput, match=r"consolidated\.pth: may run code"):
        base_model.fetch(TrainingJob(base=str(folder), data="rows.jsonl"), tmp_path)


@pytest.mark.parametrize("name", ["chat_template.jinja", "original/generation_config.json"])
def test_a_file_that_the_manifest_of_a_base_model_does_not_list_is_refused_by_every_step(
    base: Path, tmp_path: Path, make_settings: MakeSettings, name: str
) -> None:
    folder = tmp_path / "more"
    shutil.copytree(base, folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{{ messages[0].content }}")
    settings = make_settings(base=str(folder), base_digest=base_model.digest(base))

    with pytest.raises(BadInput, match=f"{name}: is not in the manifest"):
        base_model.fetch(settings.job, tmp_path)
    with pytest.raises(BadInput, match=f"{name}: is not in the manifest"):
        run_step("prepare", settings, Sinks())


def test_what_another_base_model_left_in_the_copy_is_not_used(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "Bucket", lambda name: storage._Disk())  # noqa: ARG005 - a bucket on this disk
    job = TrainingJob(base=f"s3://models/{base}", data="rows.jsonl")
    copy = fetched(job, tmp_path)
    (copy / "chat_template.jinja").write_text("{{ messages[0].content }}")

    assert fetched(job, tmp_path, only=["tokenizer.json"]) == copy
    assert not (copy / "chat_template.jinja").exists()


def test_a_base_model_that_is_an_adapter_of_another_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}')

    with pytest.raises(BadInput, match="makes the library load another model"):
        base_model.refuse_code(tmp_path)
