"""A released model: weights as safetensors and a card as JSON.  Nothing is ever unpickled.

The card names the version, the network's configuration, what it was trained on and for how long, its scores and limits, and the SHA-256 of the
weights, so that an altered or damaged file is found before it predicts anything.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dose_prediction.model.diffusion import NoiseLevels
from dose_prediction.model.network import ADDiffDose, NetworkConfig
from dose_prediction.model.stored_weights import packed, unpacked
from dose_prediction.model.target_dvh import TargetDVHs
from dose_prediction.model_files import CARD_FILE, WEIGHTS_FILE
from dose_prediction.output_files import finish_interrupted, whole_folder
from dose_prediction.resources import resource_path

_TARGET_DVHS = "target_dvhs."  # begins the names of what is stored of them beside the weights


class ModelError(ValueError):
    """A model cannot be used.  The message names the file and what to do about it."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A network ready to predict, its card, and what its training cases tell of the DVHs of targets."""

    network: ADDiffDose
    card: dict[str, Any]
    target_dvhs: TargetDVHs = field(default_factory=TargetDVHs)

    @property
    def version(self) -> str:
        return str(self.card["version"])

    @property
    def sha256(self) -> str:
        return str(self.card["sha256"])


def load_bundle(folder: Path | None = None) -> Bundle:
    """The model in `folder`, or the released one.  Raises ModelError if it is missing, damaged or not the one that its card describes."""
    folder = folder or resource_path("Models")
    finish_interrupted(folder)
    weights, card_file = folder / WEIGHTS_FILE, folder / CARD_FILE
    for file in (weights, card_file):
        if not file.is_file():
            raise ModelError(f"The model file {file} is missing; install the extension again, or choose a folder that holds a model.")
    try:
        card = json.loads(card_file.read_text(encoding="utf-8"))
        promised = str(card["sha256"])
        config = NetworkConfig.from_dict(card["network"])
        levels = NoiseLevels(**card["noise_levels"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The model card {card_file} is damaged ({error}); install the extension again.") from error
    found = file_sha256(weights)
    if found != promised:
        raise ModelError(
            f"The model file {weights} has been altered or damaged: its SHA-256 is {found[:12]}..., its card says {promised[:12]}...; "
            "install the extension again."
        )
    try:
        network = ADDiffDose(config, levels)
        stored = load_file(weights)
        known = {name.removeprefix(_TARGET_DVHS): stored.pop(name) for name in list(stored) if name.startswith(_TARGET_DVHS)}
        network.load_state_dict(unpacked(stored))
        target_dvhs = TargetDVHs.from_tensors(known)
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise ModelError(f"The model file {weights} does not fit its card ({str(error).splitlines()[0]}); install the extension again.") from error
    return Bundle(network.eval().requires_grad_(False), card, target_dvhs)


def save_bundle(folder: Path, network: ADDiffDose, card: dict[str, Any], target_dvhs: TargetDVHs | None = None) -> dict[str, Any]:
    """Write the weights of `network` and `target_dvhs` with their card, both files or neither.

    Returns the card with sizes, noise levels and SHA-256 filled in.
    """
    sizes, levels = network.config.as_dict(), asdict(network.levels)
    known = {_TARGET_DVHS + name: tensor.contiguous() for name, tensor in (target_dvhs or TargetDVHs()).as_tensors().items()}
    with whole_folder(folder) as scratch:
        save_file({**packed(network.state_dict()), **known}, scratch / WEIGHTS_FILE)
        complete = {**card, "network": sizes, "noise_levels": levels, "sha256": file_sha256(scratch / WEIGHTS_FILE)}
        (scratch / CARD_FILE).write_text(json.dumps(complete, indent=2) + "\n", encoding="utf-8")
    return complete


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
