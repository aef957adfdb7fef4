"""Choosing the device that the network runs on; never changed silently."""

from __future__ import annotations

import torch

NAMES = ("auto", "cpu", "cuda", "mps")


class DeviceError(ValueError):
    """The device that was asked for cannot be used."""


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" takes a CUDA GPU where there is one, else the CPU."""
    if name not in NAMES:
        raise DeviceError(f"Unknown device {name!r}; choose one of: {', '.join(NAMES)}.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("Device 'cuda' was asked for, but PyTorch finds no CUDA GPU here; choose 'cpu', or install PyTorch with CUDA.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("Device 'mps' was asked for, but PyTorch finds no Apple GPU here; choose 'cpu'.")
    return torch.device(name)


def working_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies it in hardware, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type == "cpu":
        in_hardware = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
        return torch.bfloat16 if in_hardware else torch.float32
    return torch.float32
