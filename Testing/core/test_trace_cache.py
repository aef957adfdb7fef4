"""Between two runs only what an edit concerns is traced anew, and the dose is the same as without a cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dose_prediction.case import Beam, PlanCase, Role, Structure
from dose_prediction.physics import pencil_beam
from dose_prediction.physics.prior import trace_beams
from dose_prediction.physics.trace_cache import TraceCache, digest_of
from dose_prediction.region import planning_region
from water_case import water_case

ISOCENTRE_MM = (3.0, -5.0, 1.0)


@pytest.fixture
def traced_angles(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The gantry angle of every beam that is truly traced, in order."""
    angles: list[float] = []
    trace = pencil_beam.trace_beam

    def counted(medium, lung, frame, points_mm):
        angles.append(round(float(np.rad2deg(np.arctan2(-frame.w[0], frame.w[1]))) % 360))
        return trace(medium, lung, frame, points_mm)

    monkeypatch.setattr(pencil_beam, "trace_beam", counted)
    return angles


def coplanar_case(*gantry_deg: float) -> PlanCase:
    case = water_case().with_beams(tuple(Beam(angle) for angle in gantry_deg))
    return replace(case, isocentre_mm=ISOCENTRE_MM)


def run(case: PlanCase, cache: TraceCache | None) -> np.ndarray:
    beams = trace_beams(case, planning_region(case), cache=cache).beams
    return beams.dose(beams.open_beamlets.float()).numpy()


def with_structure(case: PlanCase, name: str, role: Role, mask: np.ndarray) -> PlanCase:
    return replace(case, structures=(*(other for other in case.structures if other.name != name), Structure(name, role, mask)))


def shifted(case: PlanCase, name: str) -> np.ndarray:
    return np.roll(next(structure.mask for structure in case.structures if structure.name == name), 1, axis=2)


def test_a_beam_that_is_added_is_the_only_one_to_be_traced(traced_angles: list[float]) -> None:
    cache = TraceCache()
    run(coplanar_case(10, 75, 200), cache)
    assert traced_angles == [10, 75, 200]
    traced_angles.clear()
    dose = run(coplanar_case(10, 75, 120, 200), cache)
    assert traced_angles == [120]
    assert np.array_equal(dose, run(coplanar_case(10, 75, 120, 200), None))


def test_a_beam_that_is_removed_leaves_nothing_to_trace(traced_angles: list[float]) -> None:
    cache = TraceCache()
    run(coplanar_case(10, 75, 200), cache)
    traced_angles.clear()
    dose = run(coplanar_case(10, 200), cache)
    assert traced_angles == []
    assert np.array_equal(dose, run(coplanar_case(10, 200), None))


def test_an_edited_organ_or_target_leaves_the_traces_as_they_are(traced_angles: list[float]) -> None:
    cache, case = TraceCache(), coplanar_case(10, 75)
    run(case, cache)
    traced_angles.clear()
    organ = with_structure(case, "Parotid_L", Role.organ("Parotid_L"), shifted(case, "Parotid_L"))
    target = with_structure(case, "PTV_5600", Role.target(56.0), shifted(case, "PTV_5600"))
    run(organ, cache)
    dose = run(target, cache)
    assert traced_angles == []
    assert np.array_equal(dose, run(target, None))


@pytest.mark.parametrize("part", ["CT", "body", "isocentre"])
def test_what_the_rays_pass_through_is_traced_anew_when_it_changes(part: str, traced_angles: list[float]) -> None:
    cache, case = TraceCache(), coplanar_case(10, 75)
    run(case, cache)
    traced_angles.clear()
    hollow = case.ct_hu.copy()
    hollow[8:12, 10:16, 25:30] = -800.0
    smaller = next(structure.mask for structure in case.structures if structure.name == "BODY").copy()
    smaller[:, :5] = False
    changed = {
        "CT": replace(case, ct_hu=hollow),
        "body": with_structure(case, "BODY", Role.external(), smaller),
        "isocentre": replace(case, isocentre_mm=(4.0, -5.0, 1.0)),
    }[part]
    dose = run(changed, cache)
    assert traced_angles == [10, 75]
    assert np.array_equal(dose, run(changed, None))


def test_what_was_unused_for_longest_is_let_go_first() -> None:
    cache = TraceCache(at_most_bytes=250)
    for key in ("a", "b", "a", "c"):
        cache.recall(key, lambda: np.zeros(100, np.uint8))
    assert cache.nbytes == 200
    made = []
    for key in ("a", "c", "b"):
        cache.recall(key, lambda key=key: made.append(key) or np.zeros(100, np.uint8))
    assert made == ["b"]


def test_a_value_larger_than_the_cache_is_made_but_not_kept() -> None:
    cache = TraceCache(at_most_bytes=50)
    assert len(cache.recall("a", lambda: np.zeros(100, np.uint8))) == 100
    assert cache.nbytes == 0


def test_digests_tell_shape_type_and_values_apart() -> None:
    arrays = [np.zeros(4, np.float32), np.zeros((2, 2), np.float32), np.zeros(4, np.int32), np.array([0, 0, 0, 1], np.float32)]
    assert len({digest_of(array) for array in arrays}) == 4
    assert digest_of(np.asfortranarray(np.arange(6.0).reshape(2, 3))) == digest_of(np.arange(6.0).reshape(2, 3))
