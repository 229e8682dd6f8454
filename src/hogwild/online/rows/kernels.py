"""Compiled loops over rows: products of one row with all, and signatures."""

from __future__ import annotations

import math

import numpy as np

from hogwild.compiled import inlined, kernel


@kernel
def count_columns(starts, lengths, slots, columns):
    """Count the entries of each slot at ``columns[slot + 1]``; then make the counts offsets."""
    for row in range(np.uint64(starts.size)):
        if lengths[row] > 0:
            for entry in range(np.uint64(starts[row]), np.uint64(starts[row] + lengths[row])):
                columns[np.uint64(slots[entry]) + np.uint64(1)] += np.uint64(1)
    for column in range(np.uint64(columns.size - 1)):
        columns[column + np.uint64(1)] += columns[column]


@kernel
def fill_columns(starts, lengths, slots, values, places, column_rows, column_values):
    """Sort entries by slot; `places` holds where each slot begins, and where it ends afterwards."""
    for row in range(np.uint64(starts.size)):
        if lengths[row] > 0:
            for entry in range(np.uint64(starts[row]), np.uint64(starts[row] + lengths[row])):
                slot = np.uint64(slots[entry])
                place = places[slot]
                column_rows[place] = np.uint32(row)
                column_values[place] = values[entry]
                places[slot] = place + np.uint64(1)


@kernel
def add_columns(query_slots, query_values, columns, column_rows, column_values, products):
    """Add a query's products with all rows, one posting list after the other."""
    for k in range(np.uint64(query_slots.size)):
        slot = np.uint64(query_slots[k])
        if slot + np.uint64(1) < np.uint64(columns.size):
            value = query_values[k]
            for place in range(columns[slot], columns[slot + np.uint64(1)]):
                products[np.uint64(column_rows[place])] += value * column_values[place]


@kernel
def add_rows(first, starts, lengths, slots, values, query, products):
    """Add the products of rows from `first` on with a query that is spread over all slots."""
    for row in range(np.uint64(first), np.uint64(starts.size)):
        if lengths[row] > 0:
            total = 0.0
            for entry in range(np.uint64(starts[row]), np.uint64(starts[row] + lengths[row])):
                total += values[entry] * query[np.uint64(slots[entry])]
            products[row] = total


@inlined
def _mixed(state):
    """One number of a random sequence (SplitMix64): the same on every machine."""
    z = np.uint64(state) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@inlined
def _uniform(bits):
    """A number above 0 and up to 1 from 32 random bits."""
    return (np.float64(bits) + 1.0) * (1.0 / 4294967296.0)


@kernel
def sign_planes(indptr, hashes, values, bits, sums, codes):
    """On which side of `bits` random planes each row lies; `sums` is work space.

    A feature's part of the planes' normals comes from its hash alone: Gaussian, two from 64 random bits.
    """
    for row in range(np.uint64(indptr.size - 1)):
        for bit in range(np.uint64(bits)):
            sums[bit] = 0.0
        for entry in range(np.uint64(indptr[row]), np.uint64(indptr[row + np.uint64(1)])):
            for pair in range(np.uint64((bits + 1) // 2)):
                random = _mixed(hashes[entry] + pair * np.uint64(0xD1342543DE82EF95))
                radius = values[entry] * math.sqrt(-2.0 * math.log(_uniform(random >> np.uint64(32))))
                angle = 2.0 * math.pi * _uniform(random & np.uint64(0xFFFFFFFF))
                sums[np.uint64(2) * pair] += radius * math.cos(angle)
                sums[np.uint64(2) * pair + np.uint64(1)] += radius * math.sin(angle)
        for bit in range(np.uint64(bits)):
            if sums[bit] > 0.0:
                codes[row, bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))


@kernel
def sign_minima(indptr, hashes, values, bits, codes):
    """One bit of the feature that comes first in each of `bits` random orders, heavy ones earlier (minwise hashing)."""
    for row in range(np.uint64(indptr.size - 1)):
        for bit in range(np.uint64(bits)):
            least, chosen = math.inf, np.uint64(0)
            for entry in range(np.uint64(indptr[row]), np.uint64(indptr[row + np.uint64(1)])):
                random = _mixed(hashes[entry] + bit * np.uint64(0xD1342543DE82EF95))
                order = -math.log(_uniform(random >> np.uint64(32))) / abs(values[entry])
                if order < least:
                    least, chosen = order, random & np.uint64(1)
            codes[row, bit >> np.uint64(6)] |= chosen << (bit & np.uint64(63))
