"""The variational autoencoder that compresses the CT 16-fold along every axis."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CTAutoencoder(nn.Module):
    """Four halving convolutions to a Gaussian latent, and their mirror image (the paper's LightweightVAE3D, narrower).

    Input and output (batch, 1, z, y, x) of the CT as `condition` scales it, each axis a multiple of 16; latent (batch, latent, z/16, y/16, x/16).
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96), latent: int = 32) -> None:
        super().__init__()
        down: list[nn.Module] = []
        for channels_in, channels_out in zip((1, *widths), widths, strict=False):
            down += [nn.Conv3d(channels_in, channels_out, 4, stride=2, padding=1), nn.GroupNorm(8, channels_out), nn.SiLU()]
        self.encoder = nn.Sequential(*down)
        self.to_latent = nn.Conv3d(widths[-1], 2 * latent, 1)
        up: list[nn.Module] = [nn.Conv3d(latent, widths[-1], 1)]
        for channels_in, channels_out in zip(widths[::-1], widths[-2::-1], strict=False):
            up += [nn.ConvTranspose3d(channels_in, channels_out, 4, stride=2, padding=1), nn.GroupNorm(8, channels_out), nn.SiLU()]
        up.append(nn.ConvTranspose3d(widths[0], 1, 4, stride=2, padding=1))
        self.decoder = nn.Sequential(*up)

    def encode(self, ct: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the latent."""
        mean, log_variance = self.to_latent(self.encoder(ct)).chunk(2, dim=1)
        return mean, log_variance.clamp(-20.0, 10.0)

    def decode(self, latent: Tensor) -> Tensor:
        return self.decoder(latent)

    def forward(self, ct: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """A reconstruction from one draw of the latent, and the KL divergence from a standard normal per latent value."""
        mean, log_variance = self.encode(ct)
        noise = torch.randn(mean.shape, generator=generator).to(mean)
        reconstruction = self.decode(mean + noise * (0.5 * log_variance).exp())
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return reconstruction, divergence
