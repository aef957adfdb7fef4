"""A model's files are checked before they are taken, without torch and without unpickling."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from dose_prediction.case import CaseError
from dose_prediction.model_files import CARD_FILE, WEIGHTS_FILE, read_model_card, tensor_shapes
from dose_prediction.resources import resource_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(resource_path("Models"), tmp_path / "model"))


def change_card(folder: Path, **entries: object) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, **entries}))


def test_the_released_model_passes_and_its_shapes_are_those_that_safetensors_reads(folder):
    assert read_model_card(folder)["name"] == "ADDiff-Dose"
    expected = {name: tuple(tensor.shape) for name, tensor in load_file(folder / WEIGHTS_FILE).items()}
    assert tensor_shapes(folder / WEIGHTS_FILE) == expected


@pytest.mark.parametrize("name", [CARD_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CaseError, match=f"holds no {name}"):
        read_model_card(folder)


def test_altered_weights_are_found_by_their_digest(folder):
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(content)
    with pytest.raises(CaseError, match="not the file that its card describes"):
        read_model_card(folder)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def test_a_pickle_in_place_of_weights_is_refused_unopened(folder):
    content = pickle.dumps(Trap())
    (folder / WEIGHTS_FILE).write_bytes(content)
    change_card(folder, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(CaseError, match="no safetensors file or a damaged one"):
        read_model_card(folder)


def test_a_card_without_its_network_is_of_another_program(folder):
    (folder / CARD_FILE).write_text(json.dumps({"version": "1", "sha256": ""}))
    with pytest.raises(CaseError, match="says nothing of network, noise_levels"):
        read_model_card(folder)
