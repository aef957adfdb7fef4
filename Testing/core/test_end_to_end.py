"""The command line with the real physics prior and a real, though untrained, network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dose_prediction.case_files import write_case_folder
from dose_prediction.command_line import main
from dose_prediction.model.bundle import WEIGHTS_FILE, save_bundle
from dose_prediction.model.network import ADDiffDose, NetworkConfig
from dose_prediction.volumes import read_volume
from dose_prediction.warm_model import WarmModel
from water_case import water_case


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    save_bundle(folder, ADDiffDose(NetworkConfig()), {"version": "untrained"})
    return folder


@pytest.fixture(scope="module")
def case_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("case")
    write_case_folder(folder, water_case())
    return folder


def predict(case: Path, output: Path, model: Path, *options: str) -> int:
    return main(["predict", str(case), "--output", str(output), "--model", str(model), "--device", "cpu", *options])


def test_the_dose_is_zero_outside_the_body_never_negative_and_the_same_again(case_folder, model_folder, tmp_path):
    for run in ("first", "second"):
        assert predict(case_folder, tmp_path / run, model_folder, "--samples", "1", "--seed", "4") == 0
    doses = [read_volume(tmp_path / run / "Water_cylinder_dose.nrrd")[0] for run in ("first", "second")]
    assert np.array_equal(*doses)
    body = water_case().body
    assert np.isfinite(doses[0]).all() and doses[0].min() >= 0
    assert doses[0][~body].max() == 0 and doses[0][body].max() > 10
    provenance = json.loads((tmp_path / "first" / "Water_cylinder_provenance.json").read_text())
    assert provenance["model_version"] == "untrained" and provenance["seed"] == 4
    assert list(provenance["stage_seconds"])[:2] == ["Preparing the case", "Physics prior"]


@pytest.mark.parametrize("place", [8, 1000, -1])
def test_one_altered_byte_of_the_model_is_found(case_folder, model_folder, tmp_path, capsys, place):
    altered = tmp_path / "altered"
    shutil.copytree(model_folder, altered)
    weights = bytearray((altered / WEIGHTS_FILE).read_bytes())
    weights[place] ^= 1
    (altered / WEIGHTS_FILE).write_bytes(weights)
    assert predict(case_folder, tmp_path / "output", altered) == 2
    assert WEIGHTS_FILE in capsys.readouterr().err
    assert not (tmp_path / "output").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA GPU here")
def test_a_gpu_that_is_not_there_is_not_replaced_in_silence(case_folder, model_folder, tmp_path, capsys):
    assert predict(case_folder, tmp_path / "output", model_folder, "--device", "cuda") == 2
    assert "cuda" in capsys.readouterr().err
    assert not (tmp_path / "output").exists()


def test_a_warm_model_reads_its_files_once(model_folder, tmp_path):
    copied = tmp_path / "model"
    shutil.copytree(model_folder, copied)
    model = WarmModel(copied)
    model.load()
    shutil.rmtree(copied)
    dose = model.predict(water_case(), samples=0, seed=0, device="cpu", on_progress=None, is_cancelled=None).dose_gy
    assert dose.shape == water_case().grid.shape
