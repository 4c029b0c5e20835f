"""Documents that trainings are measured over: real rows as SmolLM2's tokenizer has them, or such lengths drawn."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trainer.data.masks import ChatTokenizer, Document
from trainer.data.reading import read_rows
from trainer.data.rows import Row, Turn

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "demo/data/train.jsonl"
GSM8K, SEED_TASKS = Path("gsm8k/train.jsonl"), Path("seed-tasks/seed_tasks.jsonl")  # below the folder of data
_OF_GSM8K = 400  # of its 7,473 rows, so that no source is more than half of the mixture


def mixture(base: Path, data: Path | None, *, number: int, width: int) -> tuple[list[Document], dict[str, int]]:
    """Rows that fit a row of the width, drawn from all sources, and how many there were of each to draw from.

    data: a folder with GSM8K and the seed tasks of self-instruct; without it the demo's rows are all there is.
    """
    tokenizer = ChatTokenizer(base)
    sources = {"demo": list(read_rows(DEMO, shown_as=DEMO.name))}
    if data is not None:
        sources["gsm8k"] = list(read_rows(data / GSM8K, shown_as=str(GSM8K)))[:_OF_GSM8K]
        sources["seed-tasks"] = list(_seed_tasks(data / SEED_TASKS))
    found = [one for rows in sources.values() for (one,) in tokenizer.documents(rows) if len(one) <= width]
    order = np.random.default_rng(0).permutation(len(found))[:number]
    return [found[place] for place in order], {name: len(rows) for name, rows in sources.items()}


def drawn(base: Path, *, number: int, width: int) -> list[Document]:
    """Tokens in lengths as instruction data have them: log-normal, 200 on average, one in twenty above 445.

    Few tokens are frequent, as in text, so that there is something to learn. The last three fifths of each document are
    learned, as an answer would be.
    """
    draw, vocabulary = np.random.default_rng(0), json.loads((base / "config.json").read_text())["vocab_size"]
    made = []
    for line in range(1, number + 1):
        length = int(np.clip(draw.lognormal(np.log(200) - 0.18, 0.6), 12, width))
        ids = (draw.zipf(1.3, length) % vocabulary).astype(np.int32)
        made.append(Document(line, ids, np.arange(length) >= 2 * length // 5))
    return made


def _seed_tasks(path: Path) -> Iterator[Row]:
    """One instruction with its first instance each."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        task = json.loads(line)
        instance = task["instances"][0]
        question = "\n\n".join(part for part in (task["instruction"], instance["input"]) if part)
        yield Row(number, (Turn("user", question), Turn("assistant", instance["output"], learned=True)))
