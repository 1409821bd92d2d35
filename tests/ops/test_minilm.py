"""The demo's training: gradients against differences, AdamW against its formula, and that a loss goes down."""

from __future__ import annotations

import numpy as np
import pytest

from mvc.ops.minilm import AdamW, Sentences, Tape, contrast, gelu, train

HIDDEN, WIDE, WORDS, LAYERS = 24, 32, 40, 2
VOCABULARY = ["[CLS]", "[SEP]", *(f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(WORDS - 2))]


def small_model(seed: int = 0) -> dict[str, np.ndarray]:
    """A model of the same shape, in FP64, so that differences are sharp."""
    random = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (WORDS, HIDDEN),
        "embeddings.position_embeddings.weight": (16, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
        "embeddings.LayerNorm.weight": (HIDDEN,),
        "embeddings.LayerNorm.bias": (HIDDEN,),
        "pooler.dense.weight": (HIDDEN, HIDDEN),
    }
    for number in range(LAYERS):
        dense = {f"attention.self.{part}": (HIDDEN, HIDDEN) for part in ("query", "key", "value")}
        dense |= {"attention.output.dense": (HIDDEN, HIDDEN), "intermediate.dense": (WIDE, HIDDEN)}
        dense |= {"output.dense": (HIDDEN, WIDE)}
        for name, shape in dense.items():
            shapes[f"encoder.layer.{number}.{name}.weight"] = shape
            shapes[f"encoder.layer.{number}.{name}.bias"] = shape[:1]
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"encoder.layer.{number}.{name}.weight"] = (HIDDEN,)
            shapes[f"encoder.layer.{number}.{name}.bias"] = (HIDDEN,)
    return {name: random.standard_normal(shape) * 0.3 for name, shape in shapes.items()}


def loss_of(weights: dict[str, np.ndarray], seed: int = 1) -> tuple[float, Tape]:
    tape = Tape(weights, frozenset(weights) - {"pooler.dense.weight"})
    return contrast(tape, *Sentences(VOCABULARY, seed).batch(4, 5), LAYERS), tape


def test_gradients_are_those_of_the_loss() -> None:
    weights = small_model()
    _, tape = loss_of(weights)
    assert set(weights) - set(tape.gradients) == {"pooler.dense.weight"}
    random = np.random.default_rng(2)
    for name, gradient in tape.gradients.items():
        direction = random.standard_normal(gradient.shape)
        near = [loss_of(weights | {name: weights[name] + sign * 1e-5 * direction})[0] for sign in (1, -1)]
        along = float((gradient * direction).sum())
        assert (near[0] - near[1]) / 2e-5 == pytest.approx(along, rel=1e-3, abs=1e-9), name


def test_gelu_is_close_to_its_definition() -> None:
    from math import erf

    x = np.linspace(-6, 6, 101)
    expected = [value * (1 + erf(value / 2**0.5)) / 2 for value in x]
    assert np.allclose(gelu(x)[0], expected, atol=1e-6)


def test_adamw_takes_the_steps_of_its_formula() -> None:
    weights = {"w": np.array([1.0, -2.0], np.float32)}
    optimizer = AdamW(0.1, decay=0.5)
    optimizer.step(weights, {"w": np.array([3.0, -0.001], np.float32)})
    # A first step has the size of the rate whatever the gradient, after the decay.
    assert weights["w"] == pytest.approx([1.0 * 0.95 - 0.1, -2.0 * 0.95 + 0.1], rel=1e-4)
    optimizer.step(weights, {"w": np.array([0.0, 0.0], np.float32)})
    first, second = 0.9 * 0.1 * 3, 0.999 * 0.001 * 9
    expected = 0.85 * 0.95 - 0.1 * (first / (1 - 0.81)) / ((second / (1 - 0.999**2)) ** 0.5)
    assert weights["w"][0] == pytest.approx(expected, rel=1e-4)


def test_training_lowers_the_loss_and_leaves_frozen_layers_alone() -> None:
    weights = {name: array.astype(np.float32) for name, array in small_model().items()}
    before = {name: array.copy() for name, array in weights.items()}
    losses: list[float] = []
    sentences = Sentences(VOCABULARY, 3, alike=6)
    train(
        weights, sentences, steps=12, layers=LAYERS, frozen=1, rate=3e-3, each=lambda _n, loss, _o: losses.append(loss)
    )
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    changed = {name for name in weights if not np.array_equal(weights[name], before[name])}
    assert changed == {name for name in weights if name.startswith("encoder.layer.1.")}


def test_pairs_hold_the_same_words() -> None:
    one, two = Sentences(VOCABULARY, 4).batch(6, 5)
    assert one.shape == two.shape == (6, 7)
    assert (np.sort(one, axis=1) == np.sort(two, axis=1)).all()
    assert (one[:, 0] == 0).all() and (one[:, -1] == 1).all()
