"""Released models: what is written is read back, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dose_prediction.model.bundle import CARD_FILE, WEIGHTS_FILE, ModelError, file_sha256, load_bundle, save_bundle
from dose_prediction.model.condition import CHANNELS
from dose_prediction.model.diffusion import NoiseLevels
from dose_prediction.model.network import ADDiffDose, NetworkConfig
from dose_prediction.model.stored_weights import packed, unpacked
from tiny_model import TINY, tiny_bundle


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_bundle(tmp_path, tiny_bundle().network, {"version": "7.1"})
    return tmp_path


def test_weights_come_back_to_half_a_step_of_the_63_that_the_largest_of_their_row_takes(saved: Path) -> None:
    loaded = load_bundle(saved)
    assert loaded.version == "7.1"
    for name, tensor in tiny_bundle().network.state_dict().items():
        step = tensor.abs().amax(dim=tuple(range(1, tensor.ndim)), keepdim=True) / 63 if tensor.ndim > 1 else tensor.abs() / 1000
        assert ((loaded.network.state_dict()[name] - tensor).abs() <= 0.501 * step + 1e-7).all(), name


def test_a_model_that_is_read_and_written_again_stays_the_same_to_the_bit(saved: Path, tmp_path: Path) -> None:
    again = save_bundle(tmp_path / "again", load_bundle(saved).network, {"version": "7.1"})
    assert again["sha256"] == load_bundle(saved).sha256


def test_a_file_of_half_precision_weights_is_read_as_it_is(saved: Path) -> None:
    network = tiny_bundle().network
    save_file({name: tensor.half() for name, tensor in network.state_dict().items()}, saved / WEIGHTS_FILE)
    card = json.loads((saved / CARD_FILE).read_text())
    (saved / CARD_FILE).write_text(json.dumps({**card, "sha256": file_sha256(saved / WEIGHTS_FILE)}))
    loaded = load_bundle(saved).network.state_dict()
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded[name], tensor.half().float()), name


def test_weights_without_their_scales_are_refused(saved: Path) -> None:
    stored = load_file(saved / WEIGHTS_FILE)
    save_file({name: tensor for name, tensor in stored.items() if not name.endswith("stem.weight.scale")}, saved / WEIGHTS_FILE)
    card = json.loads((saved / CARD_FILE).read_text())
    (saved / CARD_FILE).write_text(json.dumps({**card, "sha256": file_sha256(saved / WEIGHTS_FILE)}))
    with pytest.raises(ModelError, match="does not fit its card .*stem.weight.scale"):
        load_bundle(saved)


def test_a_weight_takes_seven_bits() -> None:
    weights = {"a": torch.randn(16, 32), "b": torch.randn(3, 5)}
    stored = packed(weights)
    assert stored["a"].nbytes == 16 * 32 * 7 // 8
    assert stored["b"].nbytes == 14  # 105 bits
    assert {name: found.shape for name, found in unpacked(stored).items()} == {name: tensor.shape for name, tensor in weights.items()}


def test_a_row_of_zeros_stays_zero() -> None:
    weights = {"a": torch.tensor([[0.0, 0.0], [1.0, -2.0]])}
    assert torch.equal(unpacked(packed(weights))["a"][0], torch.zeros(2))


def test_one_flipped_bit_is_found(saved: Path) -> None:
    content = bytearray((saved / WEIGHTS_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (saved / WEIGHTS_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="altered or damaged: its SHA-256 is"):
        load_bundle(saved)


def test_a_truncated_file_is_found(saved: Path) -> None:
    content = (saved / WEIGHTS_FILE).read_bytes()
    (saved / WEIGHTS_FILE).write_bytes(content[:-100])
    with pytest.raises(ModelError, match="altered or damaged"):
        load_bundle(saved)


@pytest.mark.parametrize("name", [WEIGHTS_FILE, CARD_FILE])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        load_bundle(saved)


@pytest.mark.parametrize("card", ["", "[]", "{}", '{"sha256": "x", "network": {"nonsense": 1}}'])
def test_a_damaged_card_is_refused(saved: Path, card: str) -> None:
    (saved / CARD_FILE).write_text(card)
    with pytest.raises(ModelError, match="card .* is damaged"):
        load_bundle(saved)


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("context", 48, "does not fit its card"),
        ("planner_rounds", 4, "planner_rounds is 4 where a list belongs, as in models of an earlier version: train anew"),
    ],
)
def test_a_card_of_another_network_than_the_weights_is_refused(saved: Path, entry: str, value: int, message: str) -> None:
    card = json.loads((saved / CARD_FILE).read_text())
    card["network"][entry] = value
    (saved / CARD_FILE).write_text(json.dumps(card))
    with pytest.raises(ModelError, match=message):
        load_bundle(saved)


def test_a_pickle_is_never_opened(saved: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (pytest.fail, ("a pickle was loaded",))

    torch.save({"network": Trap()}, saved / WEIGHTS_FILE)
    with pytest.raises(ModelError):
        load_bundle(saved)


def test_noise_levels_travel_with_the_weights(tmp_path: Path) -> None:
    levels = NoiseLevels(highest=3.0, data=0.7)
    save_bundle(tmp_path, ADDiffDose(TINY, levels), {"version": "7.2"})
    assert load_bundle(tmp_path).network.levels == levels


def test_configuration_survives_json() -> None:
    assert NetworkConfig.from_dict(json.loads(json.dumps(TINY.as_dict()))) == TINY


def test_condition_is_encoded_apart_from_the_denoising(saved: Path) -> None:
    network: ADDiffDose = load_bundle(saved).network
    volumes, tokens = torch.rand(1, len(CHANNELS), 16, 16, 32), torch.rand(1, 5, 21)
    condition = network.condition(volumes, tokens)
    first, second = (network.bound(condition)(torch.zeros(1, 1, 16, 16, 32), torch.tensor([code])) for code in (4.0, -1.0))
    assert first.shape == (1, 1, 16, 16, 32)
    assert not torch.equal(first, second)  # the noise level matters
    other = network.bound(network.condition(volumes, tokens * 0.5))(torch.zeros(1, 1, 16, 16, 32), torch.tensor([4.0]))
    assert not torch.equal(first, other)  # and so does the plan
