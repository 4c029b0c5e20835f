import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors import safe_open
from tokenizers import Tokenizer

from trainer.contract.recipe import Recipe
from trainer.model.adapter import Adapted
from trainer.model.base import load
from trainer.model.gguf import import_smollm2
from trainer.recipes import FOLDER

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smollm2")
    import_smollm2(folder)
    return folder


def test_the_digest_is_the_catalogues(tmp_path: Path) -> None:
    platform = yaml.safe_load((Path(__file__).parents[2] / "platform.yaml").read_text())

    assert import_smollm2(tmp_path / "base") == platform["catalogue"]["smollm2-135m"]["digest"]


def test_text_survives_the_tokenizer(smollm2: Path) -> None:
    tokenizer = Tokenizer.from_file(str(smollm2 / "tokenizer.json"))
    text = "naïve 日本語 😀 1234\n\n  <|im_start|>user\nx<|im_end|>\n"

    ids = tokenizer.encode(text).ids

    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert ids.count(1) == ids.count(2) == 1


@pytest.mark.requirement("C61", "E85")
def test_the_adapter_of_the_shipped_recipe_is_small(smollm2: Path, tmp_path: Path) -> None:
    recipe = Recipe.model_validate(yaml.safe_load((FOLDER / "smollm2-135m-cpu.yaml").read_text()))
    model = Adapted(load(smollm2, precision="bf16"), recipe, seed=0)

    model.save(tmp_path / "adapter", {"baseDigest": "0" * 64})

    trainable = sum(weight.numel() for weight in model.parameters.values())
    assert trainable < 0.04 * model.total_parameters
    assert (tmp_path / "adapter/adapter_model.safetensors").stat().st_size < 20_000_000
    with safe_open(tmp_path / "adapter/adapter_model.safetensors", framework="pt") as file:
        assert len(file.keys()) == 2 * 7 * 30


def test_two_processes_train_the_same_adapter(smollm2: Path, tmp_path: Path) -> None:
    rows = [{"prompt": f"Count {number}", "completion": f"It is {number} and {number + 1}."} for number in range(80)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"base": str(smollm2), "data": str(data), "hyperparameters": {"maxSteps": 2}}))
    digests = []
    for name in ("one", "two"):
        command = [sys.executable, "-m", "tenon", "train", str(spec), "--out", str(tmp_path / name), "--json"]
        done = subprocess.run(command, check=True, capture_output=True, timeout=600)
        digests.append(json.loads(done.stdout)["adapterDigest"])

    assert digests[0] == digests[1]
