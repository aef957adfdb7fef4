"""A model's files as far as they can be checked without torch: the entries of the card, the digest and the table of contents of the weights."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from dose_prediction.case import CaseError
from dose_prediction.output_files import finish_interrupted

WEIGHTS_FILE = "addiff_dose.safetensors"
CARD_FILE = "addiff_dose.json"
NEEDED_ENTRIES = ("version", "sha256", "network", "noise_levels")
# Larger than any table of contents of a model here, smaller than what a damaged length can promise.
LARGEST_HEADER_BYTES = 10_000_000


def read_model_card(folder: Path) -> dict[str, Any]:
    """The card of the model in `folder`, its weights found to be those that it describes.

    Digest and table of contents (names, types and shapes) are checked; that they fit the network is found when the model is loaded.  Nothing is
    unpickled.  Raises CaseError naming the file and what is wrong with it.
    """
    finish_interrupted(folder)
    weights, card_file = folder / WEIGHTS_FILE, folder / CARD_FILE
    for file in (card_file, weights):
        if not file.is_file():
            raise CaseError(f"{folder} holds no {file.name}; choose the folder of a model, with {CARD_FILE} and {WEIGHTS_FILE}.")
    try:
        card: dict[str, Any] = json.loads(card_file.read_text(encoding="utf-8"))
        missing = [name for name in NEEDED_ENTRIES if name not in card]
    except (ValueError, TypeError) as error:
        raise CaseError(f"The model card {card_file} is damaged ({error}); copy the model again.") from error
    if missing:
        raise CaseError(f"The model card {card_file} says nothing of {', '.join(missing)}; choose a model of this program.")
    with weights.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != card["sha256"]:
        raise CaseError(f"{weights} is not the file that its card describes (SHA-256 {found[:12]}…, not {str(card['sha256'])[:12]}…); copy it again.")
    if not tensor_shapes(weights):
        raise CaseError(f"{weights} holds no weights; copy the model again.")
    return card


def tensor_shapes(weights: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors of a safetensors file, from its header (format: 8 bytes of length, then JSON).  Raises CaseError if it is damaged."""
    try:
        with weights.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > LARGEST_HEADER_BYTES:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        end = max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
        if end != weights.stat().st_size - 8 - length:
            raise ValueError("its length does not fit its contents")
        return {name: tuple(map(int, entry["shape"])) for name, entry in header.items()}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CaseError(f"{weights} is no safetensors file or a damaged one ({error}); copy the model again.") from error
