"""Checkpoints that resume to the exact step: weights, their running average and the optimiser's state as safetensors, the rest as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from dose_prediction.case import CaseError
from dose_prediction.model.bundle import Bundle
from dose_prediction.model.network import ADDiffDose
from dose_prediction.output_files import whole_file
from dose_prediction.training.settings import TrainingSettings

STATE_FILE = "checkpoint.safetensors"


@dataclass
class TrainingState:
    """Where a training stands; `history` has one entry a validation.  A training that goes on from a model begins at `first_step`."""

    autoencoder_step: int = 0
    step: int = 0
    first_step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(folder: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, state: TrainingState) -> None:
    """One file, whole or not there: the state travels in its header, so that weights and step never disagree."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    for index, values in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in values.items()}
    with whole_file(folder / STATE_FILE) as unfinished:
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, unfinished, metadata={"state": json.dumps(asdict(state))})


def load_checkpoint(folder: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> TrainingState:
    """Put the checkpoint in `folder` into network, average and optimiser."""
    from safetensors import safe_open

    file = folder / STATE_FILE
    if not file.is_file():
        raise CaseError(f"There is no checkpoint {file} to resume from; train without --resume first.")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
        tensors = load_file(file)
        state = TrainingState(**json.loads(metadata["state"]))
        network.load_state_dict(_part(tensors, "network"))
        average.load_state_dict(_part(tensors, "average"))
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _part(tensors, "optimiser").items():
            index, _, key = name.partition(".")
            # In the memory layout of the parameter, without which sums would be rounded in another order.
            like = parameters[int(index)]
            moments.setdefault(int(index), {})[key] = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
        optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise CaseError(f"The checkpoint {file} is damaged or of another network ({str(error).splitlines()[0]}); train without --resume.") from error
    return state


def start_from_model(model: Bundle, network: ADDiffDose, average: ADDiffDose, settings: TrainingSettings) -> TrainingState:
    """Put the weights of `model` into network and average, and its curve into the state.

    The network may have more blocks than the model: they begin as nothing, and the training as the model ended.
    """
    try:
        unknown = network.load_state_dict(model.network.state_dict(), strict=False).unexpected_keys
    except RuntimeError as error:
        difference = str(error).splitlines()[1].strip()
        raise CaseError(f"The model {model.version} has other widths than the network ({difference}); train without it.") from error
    if unknown:
        raise CaseError(f"The model {model.version} has weights that the network has not, {unknown[0]} first; train a network with more blocks.")
    average.load_state_dict(network.state_dict())
    steps, history, hours = int(model.card["steps"]), list(model.card.get("validation_curve", ())), float(model.card.get("hours", 0))
    return TrainingState(settings.autoencoder_steps, steps, steps, 3600 * hours, history)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}
