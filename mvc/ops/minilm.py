"""all-MiniLM-L6-v2 in numpy: forward, backward and AdamW, so that the demo trains a real model without a framework.

The model is BERT (J. Devlin et al., 2018) of 6 layers, mean-pooled into sentence embeddings; the objective is the
contrastive one that it was made with: of the shuffled copies of a batch's sentences, find each one's own.
Weights are a dictionary by the names of the model's file; arrays are FP32, tokens are (sentences, length).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Weights = Mapping[str, Floats]
Gradients = dict[str, Floats]
Backward = Callable[[Floats], Floats]
"""Takes the gradient by a step's output, adds those of the weights to the tape, gives the one by its input."""

HEADS = 12
EPSILON = np.float32(1e-12)
TEMPERATURE = np.float32(20)


class Tape:
    """The steps of a forward pass, to be gone back through; only the weights in `wanted` get gradients."""

    def __init__(self, weights: Weights, wanted: frozenset[str]) -> None:
        self.weights = weights
        self.wanted = wanted
        self.gradients: Gradients = {}

    def add(self, name: str, gradient: Floats) -> None:
        if name in self.wanted:
            self.gradients[name] = self.gradients[name] + gradient if name in self.gradients else gradient

    def linear(self, x: Floats, name: str) -> tuple[Floats, Backward]:
        """x @ W.T + b, of (..., in) to (..., out)."""
        weight = self.weights[f"{name}.weight"]
        # One product over all tokens: numpy would else multiply sentence by sentence, four times slower.
        rows = x.reshape(-1, x.shape[-1])

        def back(dy: Floats) -> Floats:
            down = dy.reshape(-1, dy.shape[-1])
            if f"{name}.weight" in self.wanted:
                self.add(f"{name}.weight", down.T @ rows)
                self.add(f"{name}.bias", down.sum(0))
            return (down @ weight).reshape(x.shape)

        y = rows @ weight.T + self.weights[f"{name}.bias"]
        return y.reshape(*x.shape[:-1], -1), back

    def layer_norm(self, x: Floats, name: str) -> tuple[Floats, Backward]:
        gain = self.weights[f"{name}.weight"]
        centred = x - x.mean(-1, keepdims=True)
        scale = 1 / np.sqrt((centred * centred).mean(-1, keepdims=True) + EPSILON)
        unit = centred * scale

        def back(dy: Floats) -> Floats:
            self.add(f"{name}.weight", (dy * unit).sum((0, 1)))
            self.add(f"{name}.bias", dy.sum((0, 1)))
            du = dy * gain
            along = (du * unit).mean(-1, keepdims=True)
            result: Floats = scale * (du - du.mean(-1, keepdims=True) - unit * along)
            return result

        return unit * gain + self.weights[f"{name}.bias"], back

    def attention(self, x: Floats, name: str) -> tuple[Floats, Backward]:
        """Self-attention of sentences that are all of one length (so nothing is masked)."""
        sentences, length, hidden = x.shape
        width = hidden // HEADS

        def split(y: Floats) -> Floats:
            return y.reshape(sentences, length, HEADS, width).swapaxes(1, 2)

        def join(y: Floats) -> Floats:
            return y.swapaxes(1, 2).reshape(sentences, length, hidden)

        (query, back_q), (key, back_k), (value, back_v) = (
            self.linear(x, f"{name}.self.{part}") for part in ("query", "key", "value")
        )
        q, k, v = split(query), split(key), split(value)
        root = np.float32(np.sqrt(width))
        share = softmax(q @ k.swapaxes(-1, -2) / root)

        def back(dy: Floats) -> Floats:
            dc = split(dy)
            dshare = dc @ v.swapaxes(-1, -2)
            dscore = share * (dshare - (dshare * share).sum(-1, keepdims=True)) / root
            return (
                back_q(join(dscore @ k))
                + back_k(join(dscore.swapaxes(-1, -2) @ q))
                + back_v(join(share.swapaxes(-1, -2) @ dc))
            )

        return join(share @ v), back

    def layer(self, x: Floats, name: str) -> tuple[Floats, Backward]:
        """One transformer layer, normalised after each half."""
        context, back_attention = self.attention(x, f"{name}.attention")
        projected, back_projected = self.linear(context, f"{name}.attention.output.dense")
        middle, back_middle = self.layer_norm(projected + x, f"{name}.attention.output.LayerNorm")
        wide, back_wide = self.linear(middle, f"{name}.intermediate.dense")
        active, slope = gelu(wide)
        narrow, back_narrow = self.linear(active, f"{name}.output.dense")
        result, back_result = self.layer_norm(narrow + middle, f"{name}.output.LayerNorm")

        def back(dy: Floats) -> Floats:
            dnarrow = back_result(dy)
            dmiddle = back_middle(dnarrow + back_wide(back_narrow(dnarrow) * slope))
            return dmiddle + back_attention(back_projected(dmiddle))

        return result, back

    def embeddings(self, tokens: NDArray[np.int64]) -> tuple[Floats, Backward]:
        """The first step: its backward gives nothing further down, so returns its argument."""
        names = [f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
        words, positions, types = (self.weights[name] for name in names)
        length = tokens.shape[1]
        y, back_norm = self.layer_norm(words[tokens] + positions[:length] + types[0], "embeddings.LayerNorm")

        def back(dy: Floats) -> Floats:
            if names[0] in self.wanted:
                dx = back_norm(dy)
                by_word, by_position, by_type = np.zeros_like(words), np.zeros_like(positions), np.zeros_like(types)
                np.add.at(by_word, tokens, dx)
                by_position[:length] = dx.sum(0)
                by_type[0] = dx.sum((0, 1))
                for name, gradient in zip(names, (by_word, by_position, by_type), strict=True):
                    self.add(name, gradient)
            return dy

        return y, back


def softmax(x: Floats) -> Floats:
    """Along the last axis."""
    powers = np.exp(x - x.max(-1, keepdims=True))
    result: Floats = powers / powers.sum(-1, keepdims=True)
    return result


def gelu(x: Floats) -> tuple[Floats, Floats]:
    """x times the normal distribution's share below x, and the slope of that.

    The share comes from M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, 7.1.26: within 1.5e-7.
    """
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    bell = np.exp(-z * z)
    tail = bell * t
    poly = np.full_like(t, 1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        poly = poly * t + np.float32(factor)
    below = np.float32(0.5) * (1 + np.sign(x) * (1 - poly * tail))
    return x * below, below + x * bell * np.float32(1 / np.sqrt(2 * np.pi))


def embed(tape: Tape, tokens: NDArray[np.int64], layers: int) -> tuple[Floats, Backward]:
    """Unit sentence embeddings (sentences, hidden) of `tokens`, and the way back through them."""
    x, back_embeddings = tape.embeddings(tokens)
    steps = [back_embeddings]
    for number in range(layers):
        x, back = tape.layer(x, f"encoder.layer.{number}")
        steps.append(back)
    pooled = x.mean(1)
    norm = np.sqrt((pooled * pooled).sum(-1, keepdims=True))
    unit = pooled / norm

    def backward(dy: Floats) -> Floats:
        dpooled = (dy - unit * (dy * unit).sum(-1, keepdims=True)) / norm
        dx = np.repeat(dpooled[:, None, :] / x.shape[1], x.shape[1], axis=1)
        # Below the lowest step that has a wanted weight there is nothing left to learn.
        for step in reversed(steps[lowest(tape.wanted, len(steps)) :]):
            dx = step(dx)
        return dx

    return unit, backward


def lowest(wanted: frozenset[str], none: int) -> int:
    """The first step that has a wanted weight: 0 for the embeddings, n + 1 for layer n; `none` if nothing is wanted."""
    return min((0 if name.startswith("embeddings.") else int(name.split(".")[2]) + 1 for name in wanted), default=none)


def contrast(tape: Tape, one: NDArray[np.int64], two: NDArray[np.int64], layers: int) -> float:
    """The loss of telling which row of `two` belongs to which of `one`; leaves the gradients on the tape."""
    count = len(one)
    units, backward = embed(tape, np.concatenate([one, two]), layers)
    a, b = units[:count], units[count:]
    share = softmax(a @ b.T * TEMPERATURE)
    dscore = (share - np.eye(count, dtype=np.float32)) * (TEMPERATURE / np.float32(count))
    backward(np.concatenate([dscore @ b, dscore.T @ a]))
    return float(-np.log(np.diag(share)).mean())


@dataclass
class AdamW:
    """I. Loshchilov and F. Hutter, Decoupled weight decay regularization, 2017; with torch's defaults.

    `first` and `second` are the running means of the gradients and of their squares, by name.
    """

    rate: float = 2e-5
    decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    steps: int = 0
    first: Gradients = field(default_factory=dict)
    second: Gradients = field(default_factory=dict)

    def step(self, weights: dict[str, Floats], gradients: Gradients) -> None:
        """Move the weights, in place."""
        self.steps += 1
        slow, slower = self.betas
        size = np.float32(self.rate / (1 - slow**self.steps))
        root = np.float32((1 - slower**self.steps) ** 0.5)
        for name, gradient in gradients.items():
            first = self.first.setdefault(name, np.zeros_like(gradient))
            second = self.second.setdefault(name, np.zeros_like(gradient))
            first += np.float32(1 - slow) * (gradient - first)
            second *= np.float32(slower)
            second += np.float32(1 - slower) * gradient * gradient
            weights[name] *= np.float32(1 - self.rate * self.decay)
            weights[name] -= size * first / (np.sqrt(second) / root + np.float32(self.epsilon))


class Sentences:
    """Batches of sentences of random whole words, beside copies of them with the words in another order.

    With `alike`, the sentences of a batch are made of so many different words, and hard to tell apart.
    """

    def __init__(self, vocabulary: Sequence[str], seed: int, *, alike: int | None = None) -> None:
        self._words = np.array([i for i, w in enumerate(vocabulary) if w.isascii() and w.isalpha() and len(w) > 3])
        self._ends = vocabulary.index("[CLS]"), vocabulary.index("[SEP]")
        self._random = np.random.default_rng(seed)
        self._alike = alike

    def batch(self, count: int, words: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Two arrays (count, words + 2) of tokens."""
        pool = self._words if self._alike is None else self._random.choice(self._words, self._alike)
        one = self._random.choice(pool, (count, words))
        two = self._random.permuted(one, axis=1)
        return self._framed(one), self._framed(two)

    def _framed(self, tokens: NDArray[Any]) -> NDArray[Any]:
        first, last = (np.full((len(tokens), 1), end) for end in self._ends)
        return np.concatenate([first, tokens, last], axis=1)


def train(
    weights: dict[str, Floats],
    sentences: Sentences,
    *,
    steps: int,
    layers: int,
    frozen: int = 0,
    rate: float = 2e-5,
    each: Callable[[int, float, AdamW], None] = lambda number, loss, optimizer: None,
) -> None:
    """Fine-tune in place: AdamW steps on all weights but the pooler's; with `frozen`, only on the layers above these.

    `layers` is how many the model has. `each` is called after each step with its number, its loss and the optimizer.
    """
    trained = [f"encoder.layer.{number}." for number in range(frozen, layers)] + ([] if frozen else ["embeddings."])
    wanted = frozenset(name for name in weights if name.startswith(tuple(trained)))
    optimizer = AdamW(rate)
    for number in range(1, steps + 1):
        tape = Tape(weights, wanted)
        loss = contrast(tape, *sentences.batch(16, 12), layers)
        optimizer.step(weights, tape.gradients)
        each(number, loss, optimizer)
