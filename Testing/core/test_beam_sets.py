"""Training cases for other beams: drawn by seed, stored as prepared cases, added to by a longer run."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dose_prediction.case import Arc, Beam, CaseError, static_fields
from dose_prediction.model.condition import BEAM_ANGLES, CHANNELS, DOSE_SCALE_GY, TOKEN_KINDS
from dose_prediction.model.diffusion import RESIDUAL_SCALE_GY
from dose_prediction.openkbp import read_npz, read_reference
from dose_prediction.region import onto_region, planning_region
from dose_prediction.training import beam_sets
from dose_prediction.training.dataset import PreparedCases
from dose_prediction.training.random_beams import FEWEST_FIELDS, LEAST_APART_DEG, MOST_COUCH_DEG, MOST_FIELDS, random_beams
from small_patient import write_patient


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patients")
    for number in (1, 2):
        write_patient(folder / f"pt_{number}.npz", number)
    return folder


def made(data: Path, output: Path, count: int) -> list[Path]:
    assert beam_sets.make_beam_sets(data, output, count) == []
    return [variant.file for variant in beam_sets.variants_of(data, output, count)]


def test_the_first_files_hold_every_case_once_and_a_longer_run_only_adds(data: Path, tmp_path: Path) -> None:
    first = made(data, tmp_path, 1)
    assert [file.name for file in first] == ["pt_1_beams_0.npz", "pt_2_beams_0.npz"]
    kept = first[0].stat().st_mtime_ns
    first[1].unlink()
    both = made(data, tmp_path, 2)
    assert both[:2] == first
    assert sorted(tmp_path.glob("*")) == sorted(both)
    assert first[0].stat().st_mtime_ns == kept
    cases = PreparedCases(both)
    assert not np.array_equal(cases[0].tokens, cases[2].tokens)


def test_a_file_holds_the_case_with_its_beams_and_the_plan_for_them(data: Path, tmp_path: Path) -> None:
    (stored,) = PreparedCases(made(data, tmp_path, 1)[:1])
    variant = beam_sets.variants_of(data, tmp_path, 1)[0]
    beams = random_beams(beam_sets.seeded(variant))
    case = read_npz(variant.source).with_beams(beams)
    region = planning_region(case)
    tokens = stored.tokens[stored.tokens[:, TOKEN_KINDS.index("beam")] > 0.5]
    gantry_deg = np.rad2deg(np.arctan2(tokens[:, BEAM_ANGLES], tokens[:, BEAM_ANGLES + 1])) % 360
    assert gantry_deg == pytest.approx([beam.gantry_deg for beam in static_fields(beams)], abs=0.01)
    assert np.array_equal(stored.body, region.body)
    prior = stored.volumes[CHANNELS.index("prior")].astype(np.float32) * DOSE_SCALE_GY
    plan = prior + stored.residual.astype(np.float32) * RESIDUAL_SCALE_GY
    reference = onto_region(read_reference(variant.source).dose_gy, case, region)
    target = region.prescription_map_gy == 70
    assert np.abs(plan - reference)[region.body].mean() < np.abs(prior - reference)[region.body].mean()
    assert plan[target].mean() == pytest.approx(reference[target].mean(), abs=2.0)


def test_a_damaged_case_is_named_and_the_others_are_made(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "cases"
    shutil.copytree(data, folder)
    (folder / "pt_1.npz").write_bytes(b"PK no more")
    assert beam_sets.main(["--data", str(folder), "--output", str(tmp_path / "out")]) == 1
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["pt_2_beams_0.npz"]
    assert "pt_1_beams_0.npz" in capsys.readouterr().err


def test_a_folder_without_cases_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=f"No OpenKBP case in {tmp_path}"):
        beam_sets.main(["--data", str(tmp_path), "--output", str(tmp_path / "out")])


def test_beam_sets_are_of_every_kind_and_within_their_bounds() -> None:
    drawn = [random_beams(np.random.default_rng(seed)) for seed in range(400)]
    arcs = [beams for beams in drawn if isinstance(beams[0], Arc)]
    fields = [beams for beams in drawn if all(isinstance(beam, Beam) for beam in beams)]
    assert len(arcs) + len(fields) == len(drawn)
    assert {len(beams) for beams in arcs} == {1, 2}
    assert {len(beams) for beams in fields} == set(range(FEWEST_FIELDS, MOST_FIELDS + 1))
    turned = [beams for beams in fields if any(beam.couch_deg for beam in beams)]
    assert 0.1 < len(turned) / len(drawn) < 0.3
    for beams in fields:
        angles = sorted(beam.gantry_deg for beam in beams)
        assert all(b - a > LEAST_APART_DEG - 1e-6 for a, b in pairwise([*angles, angles[0] + 360]))
        assert all(min(beam.couch_deg, 360 - beam.couch_deg) <= MOST_COUCH_DEG for beam in beams)


def test_the_same_seed_draws_the_same_beams() -> None:
    assert random_beams(np.random.default_rng(7)) == random_beams(np.random.default_rng(7))
