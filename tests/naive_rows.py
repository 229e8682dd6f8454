"""Row learners as one would first write them: dicts of features, all rows gone through, all figures taken anew."""

from __future__ import annotations

import math
from hashlib import blake2b

from hogwild.cluster.mix.mixers import Latest, Tables

MASK = 2**64 - 1


def cosine(one, other):
    norms = math.hypot(*one.values()) * math.hypot(*other.values())
    return sum(value * other.get(key, 0.0) for key, value in one.items()) / norms if norms else 0.0


def distance(one, other):
    return math.hypot(*(one.get(key, 0.0) - other.get(key, 0.0) for key in one.keys() | other.keys()))


def mixed_bits(state):
    """SplitMix64."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def random_of(name, number):
    seed = int.from_bytes(blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")
    return mixed_bits((seed + number * 0xD1342543DE82EF95) & MASK)


def uniform(bits):
    return (bits + 1) / 2**32


def plane_side(row, bit):
    """The sum over features of value times a Gaussian that belongs to feature and bit."""
    total = 0.0
    for name, value in row.items():
        random = random_of(name, bit // 2)
        angle = 2 * math.pi * uniform(random & 0xFFFFFFFF)
        turned = math.sin(angle) if bit % 2 else math.cos(angle)
        total += value * math.sqrt(-2 * math.log(uniform(random >> 32))) * turned
    return total


def planes(row, bits):
    return [plane_side(row, bit) > 0 for bit in range(bits)]


def minima(row, bits):
    """Of each bit, the feature with the smallest exponential variable of rate |value| gives one of its own bits."""
    signature = []
    for bit in range(bits):
        order = {name: -math.log(uniform(random_of(name, bit) >> 32)) / abs(value) for name, value in row.items()}
        chosen = min(order, key=order.__getitem__, default=None)
        signature.append(chosen is not None and bool(random_of(chosen, bit) & 1))
    return signature


def differing(one, other, sign, bits):
    return sum(a != b for a, b in zip(sign(one, bits), sign(other, bits), strict=True))


def similarity(method, one, other, bits=64):
    """The similarity of a query to a row; None where the row is not found."""
    if method == "inverted_index":
        return cosine(one, other) or None
    if method == "inverted_index_euclid":
        return -distance(one, other) if other else None
    if method == "euclid_lsh":
        a, b = math.hypot(*one.values()), math.hypot(*other.values())
        angle = math.pi * differing(one, other, planes, bits) / bits
        return -math.sqrt(max(a * a + b * b - 2 * a * b * math.cos(angle), 0.0))
    return 1 - differing(one, other, planes if method == "lsh" else minima, bits) / bits


def similar(method, query, rows, count=None, bits=64):
    """Names and similarities, the most similar first."""
    found = [(name, similarity(method, query, row, bits)) for name, row in rows.items()]
    return sorted((pair for pair in found if pair[1] is not None), key=lambda pair: (-pair[1], pair[0]))[:count]


def completed(method, query, rows, count=128):
    near = [rows[name] for name, _ in similar(method, query, rows, count) if rows[name]]
    return {key: sum(row.get(key, 0.0) for row in near) / len(near) for row in near for key in row}


class Outliers:
    """Local outlier factors, each figure taken when the original takes it."""

    def __init__(self, near, around):
        self.near, self.around = near, around
        self.rows, self.reach, self.density = {}, {}, {}

    def neighbours(self, query, count, without=None):
        found = sorted((distance(query, row), name) for name, row in self.rows.items() if name != without)
        return found[:count]

    def names_around(self, name):
        return [other for _, other in self.neighbours(self.rows[name], self.around)] if name in self.rows else []

    def put(self, name, row):
        names = {*self.names_around(name), name}
        self.rows[name] = row
        self.renew(names | set(self.names_around(name)))
        return self.score(row, name)

    def remove(self, name):
        names = set(self.names_around(name)) - {name}
        self.rows.pop(name, None)
        self.renew(names)

    def renew(self, names):
        for name in names:
            self.reach[name] = self.neighbours(self.rows[name], self.near)[-1][0]
        densities = {name: self.density_of(self.neighbours(self.rows[name], self.near)) for name in names}
        self.density |= densities

    def density_of(self, neighbours):
        total = sum(max(far, self.reach[name]) for far, name in neighbours)
        return len(neighbours) / total if total else math.inf

    def score(self, query, without=None):
        neighbours = self.neighbours(query, self.near, without)
        if not neighbours:
            return math.inf
        own = self.density_of(neighbours)
        others = sum(self.density[name] for _, name in neighbours) / len(neighbours)
        return 1.0 if math.isinf(own) and math.isinf(others) else others / own


class MixedRows:
    """A table of rows among others, by the plain reference for mixing; its clock is above all that it has seen."""

    def __init__(self, owner):
        self.owner, self.clock = owner, 0
        self.tables = Tables({"rows": Latest()})

    def change(self, name, row):
        self.tables.change("rows", name, ((self.clock, self.owner), row))
        self.clock += 1

    def seen(self):
        stamps = [stamp for stamp, _ in self.tables.view["rows"].values()]
        self.clock = max([self.clock, *(clock + 1 for clock, _ in stamps)])

    def cut(self):
        return self.tables.cut()

    def apply(self, mixed, kept):
        self.tables.apply(mixed, kept)
        self.seen()

    def load(self, full, kept):
        self.tables.load(full, kept)
        self.seen()

    def rows(self):
        return {name: row for name, (_, row) in self.tables.view["rows"].items() if row is not None}

    def versions(self):
        return {name: (*stamp, row is None) for name, (stamp, row) in self.tables.view["rows"].items()}
