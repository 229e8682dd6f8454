"""Matrix factorisation: a row of factors for each user and each item; ratings, or what users chose among all items."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hogwild.compiled import inlined, kernel, row_of, strict_inlined
from hogwild.steps.base import DAMPED, register
from hogwild.steps.products import prefetch_row_weights
from hogwild.vectors.pairs import LANES, adapt_pair, adapt_three, dot_difference, dot_pair, move_pair, move_three

LOSSES = ("squared", "absolute", "logistic", "bpr")
SQUARED, ABSOLUTE, LOGISTIC, BPR = range(4)
TRIES = 32  # draws of an item that the user has not chosen, before a row goes without


class MatrixSettings(NamedTuple):
    """Settings of `Matrix`.

    Attributes
    ----------
    large, penalised, averaged, lazy, lazy_intercept : bool
        What engines set or ask for; nothing here is lazy.
    loss : int
        Place in `LOSSES`.
    alpha : float
        L2 penalty of the rows that a step touches.
    biases, non_negative, adagrad : bool
        Whether there are biases; factors stay at or above 0; each coordinate has its own step size.
    n_negatives : int
        Items drawn for each row (``"logistic"``).
    n_users, n_items : int
    mean : float
        Constant part of scores.
    seed : int
        Of the items drawn.
    """

    large: bool
    penalised: bool
    averaged: bool
    lazy: bool
    lazy_intercept: bool
    loss: int
    alpha: float
    biases: bool
    non_negative: bool
    adagrad: bool
    n_negatives: int
    n_users: int
    n_items: int
    mean: float
    seed: int


class Matrix(NamedTuple):
    """``score(u, i) = mean + b_u + b_i + p_u . q_i``; steps touch a user and an item (and those drawn beside it).

    Attributes
    ----------
    factors : ndarray of float32, shape (n_users + n_items, width)
        Users first: bias, factors, zeros up to whole cache lines; with AdaGrad, the sums of squares in the same order.
    seen_bits : ndarray of uint32
        Bit ``u * n_items + i`` for what a user has chosen; empty where that would be too large.
    seen_indptr, seen_items : ndarray of uint64 and uint32
        The same as sorted rows, where `seen_bits` is empty.
    settings : MatrixSettings
    """

    factors: np.ndarray
    seen_bits: np.ndarray
    seen_indptr: np.ndarray
    seen_items: np.ndarray
    settings: MatrixSettings


def padded(n_factors: int) -> int:
    """Floats that bias and factors take."""
    return -(-(n_factors + 1) // LANES) * LANES


# ------------------------------------------------------------------------------------------------ scores


@kernel
def score_pairs(first, second, factors, n, mean, scores):
    """Write the scores of pairs of rows of `factors`; `n` floats of each are bias, factors and zeros."""
    for i in range(np.uint64(first.size)):
        u, v = row_of(factors, np.uint64(first[i])), row_of(factors, np.uint64(second[i]))
        scores[i] = np.float32(mean) + dot_pair(u, v, np.uint64(n))


# ------------------------------------------------------------------------------------------------ losses


@strict_inlined
def rating_loss(kind, y, score):
    """Loss of a score (squared: half the square) and its derivative."""
    error = score - y
    if kind == SQUARED:
        return np.float32(0.5) * error * error, error
    if kind == ABSOLUTE:
        return abs(error), np.float32(1.0) if error > 0 else np.float32(-1.0 if error < 0 else 0.0)
    return logistic_loss(y, score)


@strict_inlined
def logistic_loss(y, score):
    """``log(1 + exp(-y score))`` for y of -1 or 1, and its derivative."""
    margin = y * score
    e = np.exp(-abs(margin))
    share = np.float32(1.0) / (np.float32(1.0) + e)
    value = np.log(np.float32(1.0) + e) - min(margin, np.float32(0.0))
    return value, -y * (e * share if margin > 0 else share)


# ------------------------------------------------------------------------------------------------ updates


@inlined
def _width(row, settings):
    """Floats of a row that are bias, factors and padding."""
    return np.uint64(row.size) >> np.uint64(1) if settings.adagrad else np.uint64(row.size)


@inlined
def _clip(row, n):
    """Set negative factors to 0; the bias is free."""
    for j in range(np.uint64(1), n):
        row[j] = max(row[j], np.float32(0.0))


@inlined
def _update(u, v, n, slope, eta, settings):
    """Step both rows against the gradient ``slope * (v, u) + alpha * (u, v)``, each from the old values."""
    alpha, one = np.float32(settings.alpha), np.float32(settings.biases)
    if settings.adagrad:
        adapt_pair(u, v, n, slope, alpha, eta, one)
    else:
        move_pair(u, v, n, np.float32(1.0) - eta * alpha, eta * slope, one)
    if settings.non_negative:
        _clip(u, n)
        _clip(v, n)


# ------------------------------------------------------------------------------------------------ items drawn


@inlined
def _scramble(z):
    """One number of a sequence by its place (SplitMix64's finaliser): threads share no state."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@inlined
def _is_seen(model, user, item):
    if model.seen_bits.size:
        bit = user * np.uint64(model.settings.n_items) + item
        word = np.uint64(model.seen_bits[bit >> np.uint64(5)])
        return (word >> (bit & np.uint64(31))) & np.uint64(1) != np.uint64(0)
    low, high = model.seen_indptr[user], model.seen_indptr[user + np.uint64(1)]
    while low < high:
        middle = (low + high) >> np.uint64(1)
        if np.uint64(model.seen_items[middle]) < item:
            low = middle + np.uint64(1)
        else:
            high = middle
    return low < model.seen_indptr[user + np.uint64(1)] and np.uint64(model.seen_items[low]) == item


@inlined
def _draw(model, user, key, turn):
    """An item that the user has not chosen; n_items where `TRIES` draws found none."""
    n_items = np.uint64(model.settings.n_items)
    for attempt in range(np.uint64(TRIES)):
        place = key + (turn * np.uint64(TRIES) + attempt + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        item = ((_scramble(place) >> np.uint64(32)) * n_items) >> np.uint64(32)
        if not _is_seen(model, user, item):
            return item
    return n_items


@inlined
def _key(model, i, work):
    """Key of a row's draws: seed, clock (of its chunk's end: another in each epoch) and row."""
    clock = np.uint64(work.running[1])
    return _scramble(np.uint64(model.settings.seed) ^ (clock << np.uint64(24)) ^ (np.uint64(i) + np.uint64(1)))


@inlined
def _rank(rows, i, model, work, eta, weight):
    """Bayesian personalised ranking: the user's item above one that the user has not chosen."""
    settings, user = model.settings, np.uint64(rows.first[i])
    other = _draw(model, user, _key(model, i, work), np.uint64(0))
    if other == np.uint64(settings.n_items):
        return 0.0
    u = row_of(model.factors, user)
    v = row_of(model.factors, np.uint64(rows.second[i]))
    w = row_of(model.factors, other + np.uint64(settings.n_users))
    n = _width(u, settings)
    value, slope = logistic_loss(np.float32(1.0), dot_difference(u, v, w, n))
    slope *= weight
    alpha, one = np.float32(settings.alpha), np.float32(settings.biases)
    if settings.adagrad:
        adapt_three(u, v, w, n, slope, alpha, eta, one)
    else:
        move_three(u, v, w, n, np.float32(1.0) - eta * alpha, eta * slope, one)
    if settings.non_negative:
        _clip(u, n)
        _clip(v, n)
        _clip(w, n)
    return float(value * weight)


@inlined
def _contrast(rows, i, model, work, eta, u, n):
    """Steps on items drawn for the user of row `i`, as not chosen; returns their mean loss."""
    settings, total, user = model.settings, 0.0, np.uint64(rows.first[i])
    key = _key(model, i, work)
    for turn in range(np.uint64(settings.n_negatives)):
        other = _draw(model, user, key, turn)
        if other < np.uint64(settings.n_items):
            w = row_of(model.factors, other + np.uint64(settings.n_users))
            value, slope = logistic_loss(np.float32(-1.0), np.float32(settings.mean) + dot_pair(u, w, n))
            _update(u, w, n, slope, eta, settings)
            total += float(value)
    return total


def _step(rows, i, model, work, k):
    settings, eta = model.settings, np.float32(work.eta[k])
    weight = rows.weights[i] if rows.weights.size else np.float32(1.0)
    if settings.loss == BPR:
        return _rank(rows, i, model, work, eta, weight)
    u, v = row_of(model.factors, np.uint64(rows.first[i])), row_of(model.factors, np.uint64(rows.second[i]))
    n = _width(u, settings)
    value, slope = rating_loss(settings.loss, rows.targets[i], np.float32(settings.mean) + dot_pair(u, v, n))
    _update(u, v, n, slope * weight, eta, settings)
    total = float(value * weight)
    if settings.loss == LOGISTIC and rows.targets[i] > 0:
        total += _contrast(rows, i, model, work, eta, u, n)
    return total


def _prefetch(rows, i, model):
    prefetch_row_weights(rows, i, model.factors)


register(Matrix, step=lambda model: _step, prefetch=_prefetch, merges={"factors": (DAMPED, True)})
