import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from trainer.attempt import AttemptFolder
from trainer.contract.bucket import ADAPTER, CARD, MANIFEST, REPORT
from trainer.contract.recipe import Recipe
from trainer.contract.report import Evaluation, Interval, Score, Usage
from trainer.merge import merge
from trainer.model.adapter import Adapted
from trainer.model.base import load
from trainer.model.gguf import import_gguf, import_smollm2
from trainer.outcomes import BadInput
from trainer.pipeline import run_step
from trainer.publishing import exports
from trainer.publishing.card import Making, card
from trainer.publishing.checking import check
from trainer.publishing.executable import may_run
from trainer.publishing.gguf_export import write_gguf
from trainer.publishing.manifest import seal
from trainer.settings import Origin, Settings
from trainer.sinks import Sinks
from trainer.tests import published, toy
from trainer.tests.conftest import MakeSettings

RECIPE = Recipe.model_validate({"rank": 4, "alpha": 8, "gpusPerNode": 0})


def card_of(tmp_path: Path, **changes: Any) -> str:
    made = published.made(tmp_path, **changes)
    return card(Making(made.settings.job, made.recipe, made.report, made.base_digest, Origin(), "none"))


def test_a_card_says_what_is_not_known(tmp_path: Path) -> None:
    text = card_of(tmp_path, licences={"base": "llama3.1"}, licences_to_read=("base",))

    assert "licence of its base, `llama3.1`, has conditions" in text
    assert "licence of its data is not stated" in text
    assert "no interval measured" in text
    assert "CO2 not computed" in text


def test_a_card_gives_figures_with_their_intervals(tmp_path: Path) -> None:
    before, after = (Interval(value=value, low=value - 0.1, high=value + 0.1) for value in (2.0, 1.0))
    score = Score(before=before, after=after, rows=10)
    text = card_of(tmp_path, evaluation=Evaluation(loss=score, scores={"bleu": score}))

    assert "- bleu: 2.0000 [1.9000, 2.1000], then 1.0000 [0.9000, 1.1000], over 10 rows" in text


def test_a_card_marks_what_is_not_for_commercial_use(tmp_path: Path) -> None:
    assert "forbids commercial use" in card_of(tmp_path, non_commercial=True, usage=Usage(co2_grams=3))


def test_text_of_a_job_is_no_markup_in_a_card(tmp_path: Path) -> None:
    made = published.made(tmp_path)
    job = made.settings.job.model_copy(update={"data": "x` **bold**\n# Title <script>"})
    text = card(Making(job, made.recipe, made.report, made.base_digest, Origin(), "none"))

    assert "`x' **bold** # Title <script>`" in text


def test_merged_weights_that_answer_otherwise_than_base_and_adapter_are_refused(base: Path, tmp_path: Path) -> None:
    rows = [list(range(3, 40))]
    adapter = adapter_of(base, tmp_path / "adapter")
    merged = merge(base, adapter, tmp_path / "merged")

    assert exports.checked(base, adapter, merged, recipe=RECIPE, rows=rows)["logitDifference"] < 1e-4
    with pytest.raises(BadInput, match="exports: merged weights change the logits"):
        exports.checked(base, adapter, base, recipe=RECIPE, rows=rows)


def adapter_of(base: Path, folder: Path) -> Path:
    """An adapter that changes the toy's answers."""
    model = Adapted(load(base, precision="fp32"), RECIPE, seed=1)
    torch.manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters.values():
            weight.normal_(std=0.2)
    model.save(folder, {"baseDigest": "0" * 64})
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_gguf_file_gives_the_same_model_back(base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    write_gguf(base, tmp_path / "toy.gguf", name="toy")
    read = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="toy.gguf", dtype=torch.float32)

    wanted = load(base, precision="fp32").state_dict()
    for name, weight in read.state_dict().items():
        torch.testing.assert_close(weight, wanted[name].half().float(), rtol=0, atol=0, msg=name)


def test_a_gguf_file_keeps_words_controls_and_template(base: Path, tmp_path: Path) -> None:
    import gguf

    write_gguf(base, tmp_path / "toy.gguf", name="toy")
    fields = gguf.GGUFReader(tmp_path / "toy.gguf").fields

    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    assert [tokens[number] for number, kind in enumerate(kinds) if kind == 3] == toy.CONTROLS
    assert fields["tokenizer.chat_template"].contents() == toy.TEMPLATE
    assert tokens[fields["tokenizer.ggml.eos_token_id"].contents()] == "<|im_end|>"


BAD_MODELS = {
    "architecture": ({"architectures": ["GPT2LMHeadModel"]}, "is GPT2LMHeadModel; leave gguf out"),
    "positions": ({"rope_scaling": {"rope_type": "llama3"}}, "scaled positions"),
    "biases": ({"attention_bias": True}, "biases"),
}


@pytest.mark.parametrize(("change", "text"), BAD_MODELS.values(), ids=BAD_MODELS)
def test_a_shape_that_gguf_is_not_written_for_is_refused_by_name(
    base: Path, tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((base / name).read_bytes())
    config = {**json.loads((base / "config.json").read_text()), **change}
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(BadInput, match=text):
        write_gguf(folder, tmp_path / "x.gguf", name="x")


@pytest.fixture
def trained(make_settings: MakeSettings, tmp_path: Path) -> Settings:
    """An evaluated attempt whose version goes to a local folder."""
    told = make_settings(data_licence="CC-BY-NC-4.0", exports=("merged", "gguf"), model="replies")
    for name in ("prepare", "train", "evaluate"):
        run_step(name, told, Sinks())
    return replace(told, version_url=str(tmp_path / "bucket/models/v"))


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft asks transformers by an old name
@pytest.mark.requirement("C49")
def test_a_version_carries_its_forms_and_its_licences(trained: Settings) -> None:
    run_step("publish", trained, Sinks())

    folder = Path(str(trained.version_url))
    found = check(folder, public_key=None)
    manifest = json.loads((folder / MANIFEST).read_text())
    assert found.findings == ()
    assert (manifest["nonCommercial"], manifest["licences"]) == (True, {"data": "CC-BY-NC-4.0"})
    assert manifest["exports"]["merged"]["logitDifference"] <= manifest["exports"]["merged"]["tolerance"]
    assert {"adapter/adapter_model.safetensors", "merged/model.safetensors"} <= manifest["files"].keys()
    assert manifest["exports"]["gguf"]["file"] == "replies-local.gguf"
    assert "forbids commercial use" in (folder / CARD).read_text()
    has_the_form_that_vllm_reads(folder / "adapter")
    loads_in_plain_peft(Path(trained.job.base), folder / "adapter")

    made = [*Path(trained.attempt_url).rglob("*"), *folder.rglob("*")]
    assert [path for path in made if path.is_file() and may_run(path)] == []

    before = (folder / MANIFEST).read_bytes()
    run_step("publish", trained, Sinks())
    assert (folder / MANIFEST).read_bytes() == before


def has_the_form_that_vllm_reads(adapter: Path) -> None:
    """Its file names, its keys of the configuration, and two matrices of one rank for each module."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    tensors = load_file(adapter / "adapter_model.safetensors")
    assert (config["peft_type"], config["bias"], config["lora_alpha"]) == ("LORA", "none", 8)
    ends = {"A": (".lora_A.weight", 0), "B": (".lora_B.weight", 1)}
    for end, axis in ends.values():
        names = [name.removesuffix(end) for name in tensors if name.endswith(end)]
        assert {name.rsplit(".", 1)[1] for name in names} == set(config["target_modules"])
        assert all(name.startswith("base_model.model.model.layers.") for name in names)
        assert {tensors[name + end].shape[axis] for name in names} == {config["r"]}


def loads_in_plain_peft(base: Path, adapter: Path) -> None:
    """The adapter as it is published goes onto the base by peft's own means, and has an effect."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ids = torch.arange(3, 40)[None]
    alone = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with torch.no_grad():
        before = alone(ids).logits
        tuned = PeftModel.from_pretrained(alone, str(adapter))
        assert not torch.allclose(tuned(ids).logits, before, atol=1e-3)


@pytest.fixture
def evaluated(tmp_path: Path, base: Path, make_settings: MakeSettings) -> Settings:
    """An attempt that was evaluated, made without training."""
    told = make_settings()
    attempt = AttemptFolder.of(told)
    adapter_of(base, attempt.local / ADAPTER)
    attempt.write_report(published.report("a" * 64, status="evaluated"))
    return replace(told, version_url=str(tmp_path / "bucket/models/v"))


def test_a_version_of_other_weights_is_never_replaced(evaluated: Settings) -> None:
    there = Path(str(evaluated.version_url))
    there.mkdir(parents=True)
    seal(there, {"adapterDigest": "f" * 64})

    with pytest.raises(BadInput, match="a version is never replaced, so start a new job"):
        run_step("publish", evaluated, Sinks())


def test_a_base_that_is_another_by_now_is_refused(evaluated: Settings) -> None:
    with pytest.raises(BadInput, match="is not the folder that the job was trained on"):
        run_step("publish", evaluated, Sinks())


def test_a_publishing_that_was_killed_after_its_manifest_is_done(evaluated: Settings) -> None:
    there = Path(str(evaluated.version_url))
    there.mkdir(parents=True)
    (there / REPORT).write_text(published.report("a" * 64).model_dump_json(by_alias=True))
    seal(there, {"adapterDigest": "a" * 64})

    run_step("publish", evaluated, Sinks())

    assert AttemptFolder.of(evaluated).report() == published.report("a" * 64)


@pytest.mark.model
def test_smollm2_survives_the_way_to_gguf_and_back(tmp_path: Path) -> None:
    import_smollm2(tmp_path / "base")
    write_gguf(tmp_path / "base", tmp_path / "x.gguf", name="SmolLM2", licence="apache-2.0")
    import_gguf(tmp_path / "x.gguf", tmp_path / "back")

    there, back = (load_file(tmp_path / name / "model.safetensors") for name in ("base", "back"))
    assert there.keys() == back.keys()
    for name, weight in there.items():  # f16 keeps all of bf16's digits; below 6e-5 it has fewer
        torch.testing.assert_close(back[name].float(), weight.float(), rtol=0, atol=1e-7, msg=name)
    ours, theirs = (json.loads((tmp_path / name / "tokenizer.json").read_text()) for name in ("base", "back"))
    assert ours["model"]["merges"] == theirs["model"]["merges"]
    assert ours["added_tokens"] == theirs["added_tokens"]
