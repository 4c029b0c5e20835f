"""Chat template families: a template in each family's documented form, and a tokenizer that knows its tokens."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer

from trainer.data.masks import ChatTokenizer

BAR = "\uff5c"  # a full-width bar, which DeepSeek parts its tokens with
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Family:
    """stops: further tokens that generation_config.json states. tokens: special ones beside begin, end and stops."""

    end: str
    tokens: tuple[str, ...] = ()
    begin: str | None = None
    stops: tuple[str, ...] = ()
    has_system: bool = True

    @property
    def special(self) -> list[str]:
        begin = [] if self.begin is None else [self.begin]
        return [*begin, self.end, *self.stops, *self.tokens]


FAMILIES = {
    "chatml": Family("<|im_end|>", ("<|im_start|>",)),
    "llama-2": Family("</s>", begin="<s>"),
    "llama-3": Family("<|eot_id|>", ("<|start_header_id|>", "<|end_header_id|>"), begin="<|begin_of_text|>"),
    "gemma": Family("<eos>", ("<start_of_turn>",), begin="<bos>", stops=("<end_of_turn>",), has_system=False),
    "mistral": Family(
        "</s>", ("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CALLS]"), begin="<s>"
    ),
    "phi-3": Family("<|endoftext|>", ("<|user|>", "<|assistant|>", "<|system|>"), stops=("<|end|>",)),
    "qwen-tools": Family("<|im_end|>", ("<|im_start|>", "<tool_call>", "</tool_call>"), stops=("<|endoftext|>",)),
    "zephyr": Family("</s>", begin="<s>"),
    "deepseek": Family(
        f"<{BAR}end▁of▁sentence{BAR}>",
        (f"<{BAR}User{BAR}>", f"<{BAR}Assistant{BAR}>"),
        begin=f"<{BAR}begin▁of▁sentence{BAR}>",
    ),
}
WITH_TOOLS = ("mistral", "qwen-tools")


def tokenizer_of(template: str, family: Family, *, base: Path, folder: Path) -> ChatTokenizer:
    """The toy's tokenizer with a family's tokens and a template; pad is the end of a turn, as in many models."""
    shutil.copytree(base, folder)
    made = Tokenizer.from_file(str(base / "tokenizer.json"))
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in family.special])
    made.save(str(folder / "tokenizer.json"))
    config = {"eos_token": family.end, "pad_token": family.end, "bos_token": family.begin, "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    ends = [made.token_to_id(token) for token in (family.end, *family.stops)]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    (folder / "chat_template.jinja").write_text((TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8"))
    return ChatTokenizer(folder)
