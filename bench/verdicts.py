"""`tenon verdicts` on the world of a rendered tree of 50 tenants: seconds to load it, flows per second after that.

The command is a process of its own, with the same line of a world before 1 flow and before many; the difference is
what the flows cost. Each flow is asked on both sides. 5,000 a second are wanted.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from bench.render import copy_inputs, measure, tell, tenon

POLICIES = frozenset({"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy"})
PORTS = (53, 80, 443, 8333, 8000, 6443, 9092, 29500)
Line = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=50)
    parser.add_argument("--flows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        copy_inputs(folder, options.tenants)
        measure(tenon(folder))
        world = world_of(folder / "rendered")
    flows = flows_of(world, options.flows)
    loads = [asked([world, *flows[:1]]) for _ in range(options.rounds)]
    alls = [asked([world, *flows]) for _ in range(options.rounds)]
    load, whole = sorted(loads)[options.rounds // 2], sorted(alls)[options.rounds // 2]
    tell(
        f"{options.tenants} tenants, {len(world['policies'])} policies, {len(world['peers'])} peers: start and load "
        f"{load:.2f} s; {len(flows)} flows {whole - load:.2f} s, {len(flows) / (whole - load):,.0f} flows/s; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    return 0


def world_of(rendered: Path) -> Line:
    """Every policy of the tree, its namespaces, and a pod of each account."""
    bodies = [yaml.load(file.read_text(), yaml.CSafeLoader) for file in sorted(rendered.rglob("*.yaml"))]
    namespaces = {
        each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in bodies if each["kind"] == "Namespace"
    }
    accounts = [each["metadata"] for each in bodies if each["kind"] == "ServiceAccount"]
    peers = {
        f"{each['namespace']}/{each['name']}": {"namespace": each["namespace"], "service_account": each["name"]}
        for each in accounts
    }
    policies = [each for each in bodies if each["kind"] in POLICIES]
    return {"type": "world", "id": "tree", "namespaces": namespaces, "policies": policies, "peers": peers}


def flows_of(world: Line, count: int) -> list[Line]:
    """Pairs of pods and ports, drawn anew for each; always the same ones."""
    draw, names = random.Random(1), sorted(world["peers"])  # noqa: S311 - a sample, no secret
    return [
        {"id": str(number), "from": draw.choice(names), "to": draw.choice(names), "port": draw.choice(PORTS)}
        for number in range(count)
    ]


def asked(lines: list[Line]) -> float:
    """Seconds that the command takes. Raises RuntimeError where a line has no verdict."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    began = time.perf_counter()
    command = [sys.executable, "-m", "tenon", "verdicts"]
    said = subprocess.run(command, input=text, capture_output=True, text=True, check=True)  # noqa: S603
    seconds = time.perf_counter() - began
    if said.stdout.count('"verdict": "') < len(lines) - 1:
        raise RuntimeError(f"{command} left lines without a verdict")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
