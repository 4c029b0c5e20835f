"""Writes demo/data/*.jsonl from demo/phrases.yaml: `python demo/author.py [FOLDER]`.

One row per product and fault. What a row says beside them (order, price, date, time, town, wish) is drawn by a hash of
the product and fault, so a changed phrase changes only its own rows and every machine writes the same bytes.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
Phrases = Mapping[str, Any]
Spoken = tuple[str, str]  # as the customer says it, as the desk writes it


def drawn(options: Sequence[Any], *key: str) -> Any:
    """The same option for the same key, on every machine and Python."""
    return options[int.from_bytes(hashlib.sha256("|".join(key).encode()).digest()[:8], "big") % len(options)]


def words(number: int, phrases: Phrases) -> str:
    """A number below 100 as it is said."""
    units, tens = phrases["units"], phrases["tens"]
    if number < len(units):
        return str(units[number])
    return f"{tens[number // 10 - 2]} {units[number % 10] if number % 10 else ''}".rstrip()


def order(phrases: Phrases, *key: str) -> Spoken:
    number = str(drawn(range(10_000_000, 100_000_000), *key, "order"))
    return " ".join(phrases["units"][int(digit)] for digit in number), number


def price(phrases: Phrases, *key: str) -> Spoken:
    euros, cents = drawn(range(11, 99), *key, "euros"), drawn((0, 20, 50, 95), *key, "cents")
    return words(euros, phrases) + (f" {words(cents, phrases)}" if cents else ""), f"{euros}.{cents:02}"


def date(phrases: Phrases, *key: str) -> Spoken:
    ordinals = phrases["ordinals"]
    day, month = drawn(range(1, 29), *key, "day"), drawn(phrases["months"], *key, "month")
    said = ordinals[day - 1] if day <= len(ordinals) else f"twenty {ordinals[day - 21]}"
    return f"the {said} of {month}", f"{day} {month.capitalize()}"


def time(phrases: Phrases, *key: str) -> Spoken:
    half, hour = drawn(("morning", "afternoon"), *key, "half"), drawn(range(1, 12), *key, "hour")
    minute = drawn((0, 5, 10, 15, 20, 30), *key, "minute")
    past = {0: "", 15: "quarter past ", 30: "half past "}.get(minute, f"{words(minute, phrases)} past ")
    written = hour if half == "morning" else hour + 12
    return f"{past}{words(hour, phrases)} in the {half}", f"{written}:{minute:02}"


def row(phrases: Phrases, product: str, kind: Mapping[str, Any], fault: str) -> dict[str, Any]:
    """One conversation in the OpenAI chat form."""
    key = (product, fault)
    town, wish = drawn(phrases["towns"], *key, "town"), drawn((*phrases["wishes"], *kind["parts"] * 4), *key, "wish")
    same = {"product": product, "fault": fault, "town": town, "wish": wish}
    spoken = {form.__name__: form(phrases, *key) for form in (order, price, date, time)}
    shape = drawn(phrases["shapes"], *key, "shape")
    heard = shape.format(**same, **{name: said for name, (said, _) in spoken.items()})
    heard = heard.lower().translate(str.maketrans("", "", ".,?"))
    written = shape.format(**same, **{name: figure for name, (_, figure) in spoken.items()})
    opening, closing = (drawn((*[""] * 5, *phrases[place]), *key, place) for place in ("openings", "closings"))
    contents = {
        "system": phrases["system"],
        "user": " ".join(part for part in (opening, heard, closing) if part),
        "assistant": written,
    }
    return {"messages": [{"role": role, "content": text} for role, text in contents.items()]}


def rows(phrases: Phrases, part: str) -> Iterator[dict[str, Any]]:
    """The rows of `training` or `held-out`, in the order of a hash, so that products mix."""
    pairs = [(product, fault) for product, kind in phrases[part].items() for fault in kind["faults"]]
    for product, fault in sorted(pairs, key=lambda pair: hashlib.sha256("|".join(pair).encode()).digest()):
        yield row(phrases, product, phrases[part][product], fault)


def main(folder: Path) -> None:
    phrases = yaml.safe_load((HERE / "phrases.yaml").read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    for part, name in (("training", "train.jsonl"), ("held-out", "heldout.jsonl")):
        lines = (json.dumps(one, ensure_ascii=False) + "\n" for one in rows(phrases, part))
        (folder / name).write_text("".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "data")
