"""A base model of 0.1 million weights with its own tokenizer and chat template, in the folder form of a real one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

from trainer.publishing.manifest import seal

VOCABULARY = 512
CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# A recipe for this model in memory, as a loop's tests vary it.
PLAIN: Mapping[str, Any] = {
    "gpus_per_node": 0,
    "rank": 4,
    "width": 64,
    "batch_rows": 2,
    "learning_rate": 0.01,
    "warmup_steps": 1,
    "epochs": 20,
}
NOUNS = ("river", "engine", "garden", "letter", "window", "basket", "lantern", "harbour", "violin", "ladder")
VERBS = ("carries", "warms", "hides", "opens", "follows", "mends", "paints", "lifts", "answers", "counts")


def rows(number: int, *, first: int = 0) -> list[dict[str, Any]]:
    """Conversations that are no near-duplicates of one another."""
    made = []
    for index in range(first, first + number):
        one, two = NOUNS[index % 10], NOUNS[(index // 10) % 10]
        verb, count = VERBS[(index * 7 + index // 10) % 10], index * index + 3
        question = f"What does {one} {index} do to {two} {count}?"
        answer = f"The {one} {verb} {two} number {count} {'again ' * (index % 4)}today {index}."
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        made.append({"messages": turns})
    return made


def write_rows(path: Path, documents: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def make_base(folder: Path) -> Path:
    """The same folder, byte for byte, on every call."""
    torch.manual_seed(7)
    folder.mkdir(parents=True)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    _tokenizer().save(str(folder / "tokenizer.json"))
    settings = {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    seal(folder)
    return folder


def _tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, normalized=False, special=True) for token in CONTROLS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([json.dumps(row) for row in rows(60)], trainer)
    return made
