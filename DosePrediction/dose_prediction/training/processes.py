"""One training on several processes or GPUs, as `torchrun` starts them; alone without it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed

from dose_prediction.device import choose_device


@dataclass(frozen=True)
class Processes:
    """This process among its equals: its rank, how many there are, and the device that is its own."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """True in the process that writes, validates and shows progress."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def training_processes(device: str) -> Iterator[Processes]:
    """Join the processes that `torchrun` has started (NCCL on GPUs, Gloo on CPUs), one GPU each."""
    count, rank, local = (int(os.environ.get(name, default)) for name, default in (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0")))
    chosen = choose_device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    if count > 1:
        distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(rank, count, chosen)
    finally:
        if count > 1:
            distributed.destroy_process_group()
