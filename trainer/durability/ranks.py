"""The processes of one training and what they agree on. One process alone needs nothing of torch.distributed.

Flags and counters go over gloo even where gradients go over NCCL: asking them costs no wait for the GPU.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from trainer.launch import LOCAL_RANK, LOCAL_WORLD_SIZE, RANK, WORLD_SIZE  # what torchrun sets for each process too
from trainer.outcomes import BadInput, Unavailable

ADDRESS, PORT = "MASTER_ADDR", "MASTER_PORT"

# Until the others have loaded the base model; a step that hangs is ended sooner (watchdog.py).
_PATIENCE = timedelta(hours=2)
_REMEDY = f"start it without {RANK}, or under torchrun, which sets all that a rank needs"


@dataclass(frozen=True)
class Ranks:
    """This process among those of its training. rank: its number, 0 writes the files. world: how many there are.

    local_rank: its number in its pod. nodes: pods. Every method is called by all ranks, or the callers wait for ever;
    each raises Unavailable when another rank has gone.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    nodes: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def most(self, value: int) -> int:
        """The largest of all ranks' values."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.int64)
        with partners():
            distributed.all_reduce(shared, op=distributed.ReduceOp.MAX)
        return int(shared)

    def any(self, flag: bool) -> bool:  # noqa: FBT001 - reads as the builtin does
        """Whether any rank says so."""
        return bool(self.most(int(flag)))

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor, summed over the ranks in place; the same on each of them."""
        if self.world > 1:
            with partners():
                distributed.all_reduce(tensor)
        return tensor

    def broadcast_int(self, value: int) -> int:
        """Rank 0's value."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.int64)
        with partners():
            distributed.broadcast(shared, src=0)
        return int(shared)

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.most(0)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first rank of each pod before its others: what it has fetched, they find."""
        if self.local_rank > 0:
            self.barrier()
        yield
        if self.local_rank == 0:
            self.barrier()


ONE_RANK = Ranks()


@contextmanager
def joined(environment: Mapping[str, str]) -> Iterator[Ranks]:
    """The ranks that the environment names, connected while it lasts; without RANK this process alone.

    Raises BadInput when what it names is none.
    """
    if RANK not in environment:
        yield ONE_RANK
        return
    rank, world = _number(environment, RANK), _number(environment, WORLD_SIZE, least=1)
    local_rank = _number(environment, LOCAL_RANK) if LOCAL_RANK in environment else rank
    local_world = _number(environment, LOCAL_WORLD_SIZE, least=1) if LOCAL_WORLD_SIZE in environment else world
    nodes = max(world // local_world, 1)
    if rank >= world or not environment.get(ADDRESS):
        raise BadInput(f"{RANK} {rank} of {world} at {environment.get(ADDRESS)!r}: is no rank; {_REMEDY}")
    port = _number(environment, PORT, least=1)
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(local_rank)
    with partners():
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            init_method=f"tcp://{environment[ADDRESS]}:{port}",
            rank=rank,
            world_size=world,
            timeout=_PATIENCE,
        )
    yield Ranks(rank, world, local_rank, nodes)
    distributed.destroy_process_group()  # not after a failure: it may wait for a rank that has gone


def _number(environment: Mapping[str, str], name: str, *, least: int = 0) -> int:
    text = environment.get(name, "")
    if not (text.isascii() and text.isdigit() and int(text) >= least):
        raise BadInput(f"{name}: {text!r} is no whole number of at least {least}; {_REMEDY}")
    return int(text)


@contextmanager
def partners() -> Iterator[None]:
    """Around what needs the other ranks. Raises Unavailable when one of them has gone."""
    try:
        yield
    except RuntimeError as error:  # gloo raises it plain; NCCL and the store raise subclasses of it
        if not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        reason = str(error).splitlines()[0].split(". ")[0]
        raise Unavailable(f"another rank of the training has gone ({reason}); the step may be started again") from error
