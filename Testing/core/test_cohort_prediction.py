"""Predicting a cohort and making training data: in turn or on a Ray cluster, and again after it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dose_prediction.case import CaseError
from dose_prediction.case_files import write_case_folder
from dose_prediction.command_line import main
from dose_prediction.model.bundle import save_bundle
from dose_prediction.model.diffusion import RESIDUAL_SCALE_GY
from dose_prediction.prediction import Prediction
from dose_prediction.training.beam_sets import make_beam_sets
from dose_prediction.training.dataset import PreparedCases, prepare_cases
from dose_prediction.volumes import read_volume
from instant_model import InstantModel
from small_patient import write_patient
from tiny_model import tiny_bundle
from water_case import water_case


class CountingModel(InstantModel):
    """Tells which cases it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def predict(self, case: Any, **options: Any) -> Prediction:
        self.asked.append(case.name)
        return super().predict(case, **options)


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Three cases, the middle one damaged."""
    for name in "abc":
        write_case_folder(tmp_path / "cases" / name, water_case(name))
    (tmp_path / "cases" / "b" / "ct.nrrd").write_bytes(b"NRRD0004\n")
    return tmp_path / "cases"


@pytest.fixture(scope="module")
def two_workers() -> Iterator[None]:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def test_a_second_run_goes_on_where_the_first_stopped(cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict", "--cases", str(cases), "--output", str(tmp_path / "out")]
    first, second, third, fourth = (CountingModel() for _ in range(4))
    assert main(command, first) == 1
    assert first.asked == ["a", "c"]
    (tmp_path / "out" / "c_dose.nrrd").unlink()
    write_case_folder(cases / "b", water_case("b"))
    capsys.readouterr()
    assert main(command, second) == 0
    assert second.asked == ["b", "c"]
    assert "3 of 3 cases" in (said := capsys.readouterr().out) and "1 of them by an earlier run" in said
    assert main([*command, "--seed", "1"], third) == 0
    assert third.asked == ["a", "b", "c"]
    fourth.model_sha256 = "1" * 64
    assert main([*command, "--seed", "1"], fourth) == 0
    assert fourth.asked == ["a", "b", "c"]


def test_a_cluster_predicts_what_one_process_does(cases: Path, tmp_path: Path, two_workers: None, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_bundle()
    save_bundle(tmp_path / "model", model.network, model.card)
    command = ["predict", "--cases", str(cases), "--model", str(tmp_path / "model"), "--output"]
    assert main([*command, str(tmp_path / "here")]) == 1
    assert main([*command, str(tmp_path / "there"), "--ray", "local"]) == 1
    failed = [line for line in capsys.readouterr().err.splitlines() if "failed:" in line]
    assert len(failed) == 2 and all("failed: b:" in line for line in failed), failed
    for name in ("a", "c"):
        here, there = (read_volume(tmp_path / where / f"{name}_dose.nrrd")[0] for where in ("here", "there"))
        assert np.abs(here - there).max() < 0.05  # threads share sums out differently
        provenance = json.loads((tmp_path / "there" / f"{name}_provenance.json").read_text())
        assert provenance["model_sha256"] == json.loads((tmp_path / "here" / f"{name}_provenance.json").read_text())["model_sha256"]


def test_a_cluster_makes_the_training_data_that_one_process_does(tmp_path: Path, two_workers: None) -> None:
    (tmp_path / "data").mkdir()
    for number in (1, 2):
        write_patient(tmp_path / "data" / f"pt_{number}.npz", number)
    (tmp_path / "data" / "pt_3.npz").write_bytes(b"not a case")
    with pytest.raises(CaseError, match=r"1 of 3 cases failed, pt_3.npz first"):
        prepare_cases(tmp_path / "data", tmp_path / "there", ray_address="local")
    (tmp_path / "data" / "pt_3.npz").unlink()
    here, there = (PreparedCases(prepare_cases(tmp_path / "data", tmp_path / folder, workers=1)) for folder in ("here", "there"))
    for ours, theirs in zip(here, there, strict=True):
        assert np.array_equal(ours.tokens, theirs.tokens)
        assert np.abs(ours.residual.astype(np.float32) - theirs.residual.astype(np.float32)).max() * RESIDUAL_SCALE_GY < 0.05
    assert make_beam_sets(tmp_path / "data", tmp_path / "beam_sets", 1, ray_address="local") == []
    assert [file.name for file in sorted((tmp_path / "beam_sets").iterdir())] == ["pt_1_beams_0.npz", "pt_2_beams_0.npz"]
