"""Structures, their roles and their masks."""

from __future__ import annotations

import numpy as np
import pytest

from dose_prediction.case import CaseError, Role, RoleKind, Structure


@pytest.mark.parametrize("prescription_gy", [0, -1, 100.1, float("nan"), float("inf")])
def test_prescription_that_nobody_gives_is_refused(prescription_gy: float) -> None:
    with pytest.raises(CaseError, match="Prescription is"):
        Role.target(prescription_gy)


def test_only_a_target_has_a_prescription() -> None:
    with pytest.raises(CaseError, match="only a target"):
        Role(RoleKind.ORGAN, "Heart", 20.0)


def test_every_target_goes_by_the_same_standard_name() -> None:
    assert Role.target(70).standard_name == Role.target().standard_name == "PTV"


def test_mask_cannot_be_written_and_is_no_longer_the_callers() -> None:
    given = np.ones((2, 3, 4), dtype=np.uint8)
    structure = Structure("Heart", Role.organ("Heart"), given)  # type: ignore[arg-type]
    given[:] = 0
    assert structure.mask.dtype == bool
    assert structure.mask.all()
    with pytest.raises(ValueError, match="read-only"):
        structure.mask[0] = False


def test_read_only_view_of_an_array_that_can_be_written_is_copied() -> None:
    given = np.ones((2, 3, 4), dtype=bool)
    view = given[:]
    view.flags.writeable = False
    structure = Structure("Heart", Role.organ("Heart"), view)
    given[:] = False
    assert structure.mask.all()


def test_mask_that_nobody_can_write_is_not_copied() -> None:
    first = Structure("Heart", Role.organ("Heart"), np.ones((2, 3, 4), dtype=bool))
    assert Structure("Heart", Role.ignored(), first.mask).mask is first.mask


def test_mask_that_is_not_a_volume_is_refused() -> None:
    with pytest.raises(CaseError, match="2 dimensions"):
        Structure("Heart", Role.organ("Heart"), np.ones((3, 4), dtype=bool))


def test_structure_without_a_name_is_refused() -> None:
    with pytest.raises(CaseError, match="no name"):
        Structure(" ", Role.ignored(), np.ones((2, 3, 4), dtype=bool))
