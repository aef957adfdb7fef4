"""Folders and files that are named after the patient: what is logged, the provenance and the files that are written hold nothing of these names."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dose_prediction.case import CaseWarning
from dose_prediction.case_files import read_case, write_case
from dose_prediction.command_line import main
from dose_prediction.model.bundle import save_bundle
from dose_prediction.training.loop import train
from dose_prediction.training.settings import TrainingSettings
from private_study import NEEDED, PRIVATE, found_in, private_study
from small_patient import write_patient
from tiny_model import TINY, tiny_bundle

SECRETS = {**NEEDED, **PRIVATE}
NAMED = "Geheim_Gerda ID-471147 19470411"
CORE = Path(__file__).resolve().parents[2] / "DosePrediction"
# A program of the package with every message that any library may log.
PROGRAM = "import logging, sys; logging.basicConfig(level=logging.DEBUG); from dose_prediction.{} import main; sys.exit(main())"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study in the patient's folder, its files named by ID and date as planning systems do."""
    folder = private_study(tmp_path / "studies" / NAMED)
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(path.with_name(f"XX.ID-471147.20250314.{number}.dcm"))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    bundle = tiny_bundle()
    save_bundle(tmp_path / "model", bundle.network, bundle.card)
    return tmp_path / "model"


def started(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM.format(program), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(CORE)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def holding_secrets(folder: Path) -> list[str]:
    """Files in the folder and below, but for DICOM files, whose content tells something of the patient."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".dcm"]
    assert files
    return [path.name for path in files if found_in(path.read_bytes(), SECRETS)]


def test_a_prediction_names_the_folder_in_file_names_alone(study, model, tmp_path):
    """Results are named after the folder that the user chose, so its name stands in the list of what was written."""
    given = ["--model", model, "--device", "cpu", "--beams", "0,90", "--output", tmp_path / "out"]
    with started("command_line", "predict", study, *given) as process:
        printed, logged = process.communicate(timeout=500)
    assert process.returncode == 0, logged
    tables, _, written = printed.partition("Written:")
    assert "different patient IDs" in logged and NAMED.replace(" ", "_") in written
    assert found_in((logged + tables).encode(), SECRETS) == []
    assert holding_secrets(tmp_path / "out") == []
    assert list((tmp_path / "out").glob("*_provenance.json"))


def test_the_panels_process_keeps_the_name_of_its_case_to_itself(study, model, tmp_path):
    """One prediction and one that cannot be made; the case carries the name of the CT in the scene, here the patient's."""
    with pytest.warns(CaseWarning):
        case = read_case(study)
    assert found_in(case.name.encode(), SECRETS)
    write_case(tmp_path / "case.npz", case)
    job = {"command": "predict", "case": str(tmp_path / "case.npz"), "output": str(tmp_path / "out"), "samples": 0, "seed": 0, "device": "cpu"}
    impossible = {**job, "goals": [{"organ": "Larynx", "metric": "mean", "limit_gy": 20}]}
    with started("worker", model) as process:
        assert process.stdin is not None and process.stdout is not None
        said = ""
        for command, end in ((job, "result"), (impossible, "error")):
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
            for line in process.stdout:
                said += line
                if json.loads(line)["event"] == end:
                    break
        rest, logged = process.communicate(timeout=500)
    assert process.returncode == 0, logged
    assert found_in((said + rest + logged).encode(), SECRETS) == []
    assert holding_secrets(tmp_path / "out") == []


def test_training_and_evaluation_keep_the_folder_of_their_cases_to_themselves(tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    for number, kind in ((1, "train"), (2, "train"), (3, "validation")):
        (tmp_path / NAMED / kind).mkdir(parents=True, exist_ok=True)
        write_patient(tmp_path / NAMED / kind / f"pt_{number}.npz", number)
    settings = TrainingSettings(steps=2, autoencoder_steps=1, warm_up=1, checkpoint_every=1, validate_every=1)
    train(tmp_path / NAMED / "train", tmp_path / "out", validation=tmp_path / NAMED / "validation", settings=settings, config=TINY)
    given = ["--reference", str(tmp_path / NAMED / "train"), "--samples", "2", "--model", str(tmp_path / "out")]
    assert main(["evaluate", *given]) == 0
    said = "".join(capfd.readouterr()) + caplog.text
    assert "dose score" in said and "pt_2" in said
    assert found_in(said.encode(), SECRETS) == []
    assert holding_secrets(tmp_path / "out") == []
