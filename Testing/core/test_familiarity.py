"""What is unlike the training cases is told with the reason; what is like them is not."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dose_prediction.case import Arc, Beam, Grid, PlanCase, Role, Structure, equispaced_beams
from dose_prediction.familiarity import Experience, Familiarity, Features, experience_from_card, features
from dose_prediction.model.bundle import load_bundle
from dose_prediction.model.condition import ORGANS, plan_tokens, volume_channels
from dose_prediction.openkbp import find_cases, read_case
from dose_prediction.phantom import head_and_neck_phantom
from dose_prediction.physics.beam_moments import ORDERS
from dose_prediction.physics.prior import PhysicsPrior
from dose_prediction.region import planning_region
from water_case import water_case

SEED = 4


def features_of(case: PlanCase) -> Features:
    """The features look at no dose, so that none is computed."""
    region = planning_region(case)
    nothing, no_moments = (np.zeros((*leading, *region.grid.shape), np.float32) for leading in ((), (2 * ORDERS,)))
    return features(volume_channels(region, PhysicsPrior(nothing, nothing, no_moments, no_moments, torch.zeros(0))), plan_tokens(region, case.beams))


def doubts(case: PlanCase) -> list[str]:
    """Those of the released model."""
    experience = experience_from_card(load_bundle().card)
    assert experience is not None
    return experience.doubts(features_of(case), sorted(set(planning_region(case).organs) - set(ORGANS)))


def prostate_like() -> PlanCase:
    """An elliptic pelvis of soft tissue with femora, a target of 78 Gy, bladder and rectum."""
    shape = (60, 60, 100)
    grid = Grid(shape, origin_mm=(-200.0, -120.0, -90.0), spacing_mm=(4.0, 4.0, 3.0))
    z, y, x = (axis * step for axis, step in zip(np.indices(shape), (3.0, 4.0, 4.0), strict=True))
    body = ((x - 200) / 180) ** 2 + ((y - 120) / 110) ** 2 <= 1

    def ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
        return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 <= radius**2

    femora = ((np.abs(x - 200) - 95) ** 2 + (y - 120) ** 2 <= 22**2) & body
    ct = np.where(femora, 600.0, np.where(body, 20.0, -1000.0)).astype(np.float32)
    structures = (
        Structure("BODY", Role.external(), body),
        Structure("PTV_78", Role.target(78.0), ball((200, 120, 90), 28)),
        Structure("Bladder", Role.organ("Bladder"), ball((200, 70, 110), 30)),
        Structure("Rectum", Role.organ("Rectum"), ball((200, 165, 90), 18)),
    )
    return PlanCase("Prostate-like", grid, ct, structures, equispaced_beams(7))


def test_a_prostate_is_flagged_for_its_organs_prescription_beams_and_anatomy() -> None:
    told = " ".join(doubts(prostate_like()))
    assert "does not know Bladder, Rectum" in told
    assert "SpinalCord contoured" in told
    assert "prescription of 78 Gy" in told
    assert "Unlike any of the" in told


def test_the_head_and_neck_phantom_is_only_told_of_what_is_unlike() -> None:
    assert not any("prescription" in doubt or "does not know" in doubt for doubt in doubts(head_and_neck_phantom()))


def test_structures_with_the_names_of_others_are_flagged(openkbp_folder: Path) -> None:
    case = read_case(openkbp_folder / "csv_sample" / "pt_203")
    organs = [structure for structure in case.structures if structure in case.organs]
    order = np.roll(np.arange(len(organs)), 1)
    swapped = tuple(replace(organ, mask=organs[other].mask) for organ, other in zip(organs, order, strict=True))
    others = tuple(structure for structure in case.structures if structure not in case.organs)
    assert doubts(case) == []
    told = doubts(replace(case, structures=(*others, *swapped)))
    assert any(organ in doubt for doubt in told for organ in ORGANS)


def test_at_most_three_of_the_validation_cases_are_flagged(openkbp_folder: Path) -> None:
    paths = find_cases(openkbp_folder / "validation")
    flagged = {path.stem: told for path in paths if (told := doubts(read_case(path)))}
    assert len(paths) == 33
    assert len(flagged) <= 3, flagged


def test_each_kind_of_strangeness_has_its_sentence() -> None:
    usual = features_of(water_case())
    training = Familiarity.of([usual, replace(usual, numbers={name: value + 1 for name, value in usual.numbers.items()})])
    training = replace(training, organ_shares={"SpinalCord": 1.0, "Parotid_L": 1.0, "Larynx": 0.5})
    sentences = training.doubts(
        replace(usual, organs=("Parotid_L",), prescriptions_gy=(60.0, 70.0), energies_mv=(10.0,), numbers={**usual.numbers, "number of beams": 40.0}),
        ["Uvula"],
    )
    assert [sentence.split(" ")[0] for sentence in sentences] == ["The", "Nearly", "No", "No", "Unlike"]
    for sentence, part in zip(
        sentences,
        ("know Uvula", "has SpinalCord contoured", "of 60 Gy (trained: 56, 70 Gy)", "of 10 MV", "number of beams 40 (trained: 5 to 6)"),
        strict=True,
    ):
        assert part in sentence
    assert training.doubts(replace(usual, organs=("SpinalCord", "Parotid_L"))) == []


def test_a_case_of_a_simulated_site_is_told_that_its_plans_are_simulated() -> None:
    clinical, prostate, arcs = features_of(water_case()), features_of(prostate_like()), features_of(replace(water_case(), beams=(Arc(181, 179),)))
    experience = Experience(Familiarity.of([clinical]), {"prostate": Familiarity.of([prostate] * 7), "other beams": Familiarity.of([arcs] * 3)})
    assert experience.doubts(clinical) == []
    told = experience.doubts(prostate)
    assert told[0] == "What the model knows of plans like this one (prostate) rests on 7 simulated plans, none clinical."
    assert told[1:] == experience.clinical.doubts(prostate)
    assert "(other beams) rests on 3 simulated plans" in experience.doubts(arcs)[0]
    stranger = replace(prostate, energies_mv=(18.0,))  # like no plan of either kind
    assert experience.doubts(stranger, ["Bladder"]) == experience.clinical.doubts(stranger, ["Bladder"])
    card = {
        "familiarity": asdict(experience.clinical),
        "simulated_familiarity": {kind: asdict(known) for kind, known in experience.simulated.items()},
    }
    restored = experience_from_card(json.loads(json.dumps(card)))
    assert restored is not None and restored.doubts(prostate) == experience.doubts(prostate)


def test_features_tell_sizes_places_and_beams_as_they_are() -> None:
    case = replace(water_case(), beams=(Beam(0), Beam(90), Beam(180, couch_deg=30)))
    found = features_of(case)
    assert found.organs == ("Parotid_L",)
    assert found.prescriptions_gy == (56.0, 70.0) and found.energies_mv == (6.0,)
    expected = {
        "voxel width (mm)": 4.0,
        "slice spacing (mm)": 3.0,
        "number of beams": 3.0,
        "largest angle between neighbouring beams (degrees)": 180.0,
        "largest turn of the couch (degrees)": 30.0,
        "height of the targets (mm)": 24.0,
        "body width at the targets (mm)": 34 * 4.0,
        "Parotid_L (cc)": 8 * 8 * 6 * 0.048,
        "Parotid_L, to the left (mm)": (30.5 - 19.5) * 4,
        "Parotid_L, above the targets (mm)": 0.0,
    }
    for name, value in expected.items():
        assert found.numbers[name] == pytest.approx(value, abs=0.01), name
