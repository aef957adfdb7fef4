"""The real network, so narrow that a test can train it and predict with it in a second."""

from __future__ import annotations

import torch

from dose_prediction.familiarity import Familiarity
from dose_prediction.model.bundle import Bundle
from dose_prediction.model.network import ADDiffDose, NetworkConfig

TINY = NetworkConfig(
    widths=(8, 8, 16, 48),
    encoder_blocks=(1, 0, 1, 1),
    denoiser_blocks=(1, 0, 1, 1),
    context=24,
    latent=8,
    autoencoder_widths=(8, 8, 8, 8),
    planner_rounds=(1,),
    planner_volume_widths=(8, 8, 8),
    planner_map_widths=(8, 8),
)


def tiny_bundle(seed: int = 0, strength: float = 0.05) -> Bundle:
    """An untrained model whose answers are not zero: every weight has some noise."""
    torch.manual_seed(seed)
    network = ADDiffDose(TINY)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(strength * torch.randn_like(parameter))
    familiarity = Familiarity(1, {"number of beams": (5.0, 5.0)}, {}, (56.0, 70.0), (6.0,))
    card = {"version": "test", "sha256": "0" * 64, "familiarity": familiarity.as_dict()}
    return Bundle(network.eval().requires_grad_(False), card)
