"""What structures tell each other: whose cells are whose, and who hears of whom."""

from __future__ import annotations

import pytest
import torch

from dose_prediction.model.condition import CHANNELS, DISTANCE_SCALE_MM, DOSE_SCALE_GY, FIRST_ORGAN, ORGANS
from dose_prediction.model.structure_exchange import NAMES, SHELLS_MM, StructureExchange, structure_shares

FIRST_TARGET = len(ORGANS)
FIRST_SHELL = FIRST_TARGET + 3
SIDE = 16
DISTANCE_MM = 5.0 * (torch.arange(SIDE) - 2) + 1  # along x


@pytest.fixture
def volumes() -> torch.Tensor:
    """A body of 16 x 12 x 16 voxels with two targets (56 and 70 Gy) above each other at low x, and a cord at high x."""
    channels = torch.zeros(1, len(CHANNELS), SIDE, SIDE, SIDE)
    channels[0, CHANNELS.index("body"), :, 2:14] = 1
    channels[0, CHANNELS.index("prescription"), :8, 4:10, :3] = 70 / DOSE_SCALE_GY
    channels[0, CHANNELS.index("prescription"), 8:, 4:10, :3] = 56 / DOSE_SCALE_GY
    channels[0, CHANNELS.index("distance")] = DISTANCE_MM / DISTANCE_SCALE_MM
    channels[0, FIRST_ORGAN + ORGANS.index("SpinalCord"), :, 6:8, 12:14] = 1
    return channels


def told(network: StructureExchange, features: torch.Tensor, volumes: torch.Tensor) -> torch.Tensor:
    shares = structure_shares(volumes)
    with torch.inference_mode():
        added: torch.Tensor = network(features, shares, shares.sum((1, 2, 3)) * 8 * 0.1 / 1000) - features
    return added


def exchange(strength: float = 0.3) -> StructureExchange:
    torch.manual_seed(0)
    network = StructureExchange(4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(strength * torch.randn_like(parameter))
    return network.eval()


def test_targets_and_shells_share_the_body_out(volumes: torch.Tensor) -> None:
    shares = structure_shares(volumes)
    body = torch.nn.functional.avg_pool3d(volumes[:, CHANNELS.index("body")], 2)[0]
    assert torch.equal(shares[FIRST_TARGET:].sum(0), body)


def test_targets_rank_by_their_prescription(volumes: torch.Tensor) -> None:
    shares = structure_shares(volumes)
    high, low, none = shares[FIRST_TARGET:FIRST_SHELL]
    assert high[:4].sum() * 8 == low[4:].sum() * 8 == 8 * 6 * 3
    assert high[4:].sum() == low[:4].sum() == none.sum() == 0


def test_a_fourth_prescription_counts_as_third(volumes: torch.Tensor) -> None:
    for i, prescription_gy in enumerate((54, 50)):
        volumes[0, CHANNELS.index("prescription"), 2 * i : 2 * i + 2, 12:14, 4:6] = prescription_gy / DOSE_SCALE_GY
    assert structure_shares(volumes)[FIRST_TARGET + 2].sum() * 8 == 16


def test_a_shell_begins_where_it_says(volumes: torch.Tensor) -> None:
    shells = structure_shares(volumes)[FIRST_SHELL:]
    in_a_line = shells[:, 0, 1]  # along x, cells of 2 voxels, beside the targets
    distances_mm = DISTANCE_MM.view(-1, 2)
    for shell, begin, end in zip(in_a_line, (-float("inf"), *SHELLS_MM[1:]), (*SHELLS_MM[1:], float("inf")), strict=True):
        expected = ((distances_mm > begin) & (distances_mm <= end)).float().mean(1)
        assert torch.equal(shell, expected)


def test_it_begins_as_nothing(volumes: torch.Tensor) -> None:
    assert told(StructureExchange(4), torch.randn(1, 4, 8, 8, 8), volumes).abs().max() == 0


def test_a_change_in_one_structure_is_heard_in_every_other_evenly(volumes: torch.Tensor) -> None:
    network = exchange()
    features = torch.randn(1, 4, 8, 8, 8)
    changed = features.clone()
    changed[0, :, :4, 2:5, 0] += 3 * torch.randn(4, 1, 1)  # in the target of 70 Gy
    heard = (told(network, changed, volumes) - told(network, features, volumes))[0]
    for cells in (heard[:, :, 3, 6], heard[:, 4:, 2:5, 0]):  # of the cord, and of the other target
        assert cells.abs().max() > 1e-3
        assert torch.allclose(cells, cells.flatten(1)[:, :1].view(4, *(1,) * (cells.ndim - 1)).expand_as(cells), atol=1e-5)
    assert heard[:, :, 0].abs().max() == 0  # beyond the body nobody hears


def test_what_is_not_there_says_nothing(volumes: torch.Tensor) -> None:
    network = exchange()
    features = torch.randn(1, 4, 8, 8, 8)
    before = told(network, features, volumes)
    with torch.no_grad():
        network.names[[i for i, name in enumerate(NAMES) if name in {"Brainstem", "Parotid", "Esophagus", "Larynx", "Bone_Mandible"}]] += 1.0
    assert torch.allclose(told(network, features, volumes), before, atol=1e-6)


def test_left_and_right_are_told_the_same(volumes: torch.Tensor) -> None:
    left = volumes.clone()
    left[0, FIRST_ORGAN + ORGANS.index("Parotid_L"), :, 10:12, 12:14] = 1
    right = volumes.clone()
    right[0, FIRST_ORGAN + ORGANS.index("Parotid_R"), :, 10:12, 12:14] = 1
    features = torch.randn(1, 4, 8, 8, 8)
    network = exchange()
    assert torch.allclose(told(network, features, left), told(network, features, right), atol=1e-6)


def test_a_larger_structure_says_something_else(volumes: torch.Tensor) -> None:
    network, features, shares = exchange(), torch.randn(1, 4, 8, 8, 8), structure_shares(volumes)
    litres = shares.sum((1, 2, 3)) * 8e-4
    with torch.inference_mode():
        small, large = network(features, shares, litres), network(features, shares, 8 * litres)
    assert (small - large).abs().max() > 1e-2
