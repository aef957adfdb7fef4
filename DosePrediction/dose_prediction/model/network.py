"""The whole network: CT autoencoder, condition encoder, denoiser and beam planners, built from one small configuration."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from dose_prediction.model.autoencoder import CTAutoencoder
from dose_prediction.model.beam_planner import BeamPlanner
from dose_prediction.model.condition_encoder import Condition, ConditionEncoder
from dose_prediction.model.denoiser import Denoiser
from dose_prediction.model.diffusion import Network, NoiseLevels

# Layers by which numbers come in or go out.
END_LAYERS = frozenset({"stem", "moments_in", "plan_in", "latent_in", "noise_in", "out"})
END_LAYERS |= {"messages", "taken_in", "direction", "change", "correction", "names", "told"}  # of a planner

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; saved in a released model's card."""

    widths: tuple[int, ...] = (32, 64, 128, 192)  # channels at 1/2, 1/4, 1/8 and 1/16 of the resolution
    encoder_blocks: tuple[int, ...] = (1, 2, 2, 1)
    denoiser_blocks: tuple[int, ...] = (1, 2, 2, 1)
    context: int = 96
    latent: int = 32
    autoencoder_widths: tuple[int, ...] = (16, 32, 64, 96)
    beam_moments: bool = True  # whether it knows which dose comes from which side
    planner_rounds: tuple[int, ...] = (4, 2)  # of each beam planner; the plan is the mean of theirs
    planner_volume_widths: tuple[int, ...] = (32, 64, 96)
    planner_map_widths: tuple[int, ...] = (64, 96)
    planner_share: float = 0.5  # of the expected dose of nine fields or more; the rest is the denoiser's

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NetworkConfig:
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"Network configuration has the unknown entry {unknown[0]!r}; known are {', '.join(sorted(known))}.")
        for field in fields(cls):
            if isinstance(field.default, tuple) and not isinstance(value := values.get(field.name, ()), list | tuple):
                raise ValueError(f"{field.name} is {value!r} where a list belongs, as in models of an earlier version: train anew")
        sizes: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return cls(**sizes)


class ADDiffDose(nn.Module):
    """CT autoencoder, condition encoder, denoiser and beam planners together."""

    def __init__(self, config: NetworkConfig, levels: NoiseLevels | None = None) -> None:
        super().__init__()
        self.config = config
        self.levels = levels or NoiseLevels()
        self.autoencoder = CTAutoencoder(config.autoencoder_widths, config.latent)
        self.condition_encoder = ConditionEncoder(config.widths, config.encoder_blocks, config.context, config.latent, config.beam_moments)
        self.denoiser = Denoiser(config.widths, config.denoiser_blocks, config.context, config.beam_moments)
        self.planners = nn.ModuleList(
            BeamPlanner(rounds, config.planner_volume_widths, config.planner_map_widths) for rounds in config.planner_rounds
        )

    def on(self, device: torch.device) -> ADDiffDose:
        """The network itself, on `device`, its kernels with channels last in memory, as is fastest."""
        self.to(device)
        for parameter in self.parameters():
            if parameter.ndim in CHANNELS_LAST:
                parameter.data = parameter.data.contiguous(memory_format=CHANNELS_LAST[parameter.ndim])
        return self

    def condition(self, volumes: Tensor, tokens: Tensor) -> Condition:
        """Encode a case once: `volumes` (batch, channels, z, y, x), axes multiples of 16; `tokens` (batch, n, TOKEN_SIZE)."""
        with torch.no_grad():  # the autoencoder is trained first, on its own, and then frozen
            latent, _ = self.autoencoder.encode(volumes[:, :1])
        return self.condition_encoder(volumes, latent, tokens)

    def hidden_and_other_parameters(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """The matrices and kernels of hidden layers; and the rest, vectors and the layers that numbers come in or go out by.

        Without the autoencoder's, which is trained on its own.
        """
        hidden: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in self.named_parameters():
            part, *layers = name.split(".")
            if part != "autoencoder":
                is_end = bool(END_LAYERS.intersection(layers if part == "planners" else layers[:1]))
                (others if is_end or parameter.ndim < 2 else hidden).append(parameter)
        return hidden, others

    def bound(self, condition: Condition) -> Network:
        """The denoiser with its condition, as `diffusion` wants it."""
        return lambda noisy, code: self.denoiser(noisy, code, condition)
