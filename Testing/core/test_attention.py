"""Attention that cannot harden, and whose gradient survives bfloat16 around it."""

from __future__ import annotations

import torch

from dose_prediction.model.layers import Attention

WIDTH, TOKENS = 48, 40


def attention(sharpness: float) -> Attention:
    torch.manual_seed(2)
    made = Attention(WIDTH, WIDTH)
    with torch.no_grad():
        made.out.weight.copy_(torch.eye(WIDTH))
        made.query.bias.zero_()
        made.key_value.bias.zero_()
        made.query.weight.mul_(sharpness)
    return made


def test_greater_queries_do_not_sharpen_it() -> None:
    x, context = torch.randn(1, TOKENS, WIDTH), torch.randn(1, TOKENS, WIDTH)
    torch.testing.assert_close(attention(1.0)(x, context), attention(100.0)(x, context))


def test_the_gradient_of_its_queries_is_that_of_float32_under_bfloat16() -> None:
    made = attention(30.0)
    x, context, upstream = (torch.randn(1, TOKENS, WIDTH) for _ in range(3))
    context += 5.0  # keys with much in common
    gradients = []
    for enabled in (False, True):
        made.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            (made(x, context).float() * upstream).sum().backward()
        gradients.append(made.query.weight.grad.flatten())
    assert float(torch.nn.functional.cosine_similarity(*gradients, dim=0)) > 0.999
