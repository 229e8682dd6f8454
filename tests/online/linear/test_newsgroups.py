"""Mixing on real text: four servers, a quarter of the stream each, against one that sees everything."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import numpy as np
import pytest

from hogwild.online.features.vocabulary import Rows, Vocabulary
from hogwild.online.linear.classifier import learn, scored
from hogwild.online.linear.classifier_kernel import METHODS
from hogwild.online.linear.model import Model
from hogwild.online.linear.settings import Mixing, Settings

FILE = Path(__file__).parents[4] / "shared" / "data" / "20news-bydate.tar.xz"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FILE.exists(), reason=f"{FILE.name} is not here")]


@pytest.fixture(scope="module")
def posts():
    """Words of each post, each once, with its group."""
    found = {True: [], False: []}
    with tarfile.open(FILE) as archive:
        for member in archive:
            if member.isfile():
                part, group, _ = member.name.split("/")
                words = re.findall(r"\w+", archive.extractfile(member).read().decode("latin-1").lower())
                found["train" in part].append((group, sorted(set(words))))
    order = np.random.RandomState(0).permutation(len(found[True]))
    return [found[True][i] for i in order], found[False]


def rows(model, posts, update):
    slot = model.vocabulary.slot if update else model.vocabulary.find
    slots = [[one for one in map(slot, words) if one >= 0] for _, words in posts]
    flat = np.array([one for row in slots for one in row], np.uint32)
    return Rows(np.cumsum([0, *map(len, slots)]).astype(np.uint64), flat, np.ones(len(flat)))


def accuracy(posts, servers, mixing=None, every=512):
    train, test = posts
    settings = Settings(METHODS.index("AROW"), mixing=mixing or Mixing())
    models = [Model(settings, Vocabulary()) for _ in range(servers)]
    for model in models:
        model.full()
    for start in range(0, len(train), every * servers):
        for place, model in enumerate(models):
            piece = train[start : start + every * servers][place::servers]
            learn(model, rows(model, piece, True), [group for group, _ in piece])
        if servers > 1:
            mixed = models[0].fold([model.cut() for model in models])
            for model in models:
                model.apply(mixed, [])
    known = models[0].known()
    best = scored(models[0], rows(models[0], test, False))[:, [column for _, column in known]].argmax(axis=1)
    return np.mean([known[place][0] == group for place, (group, _) in zip(best, test, strict=True)])


def test_four_servers_are_as_good_as_one(posts):
    one, four = accuracy(posts, 1), accuracy(posts, 4)
    assert four > one > 0.77
    assert accuracy(posts, 4, Mixing(weights="all", covariance="minimum")) < one  # the original's rule
