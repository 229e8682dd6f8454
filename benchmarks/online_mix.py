"""What mixing costs in accuracy: 20 Newsgroups on four servers, a quarter each, one pass, by rule and interval.

In process and in lockstep: each server learns as many examples, then all mix. "one server" has learnt all examples,
"unmixed" is the mean of four that never mix.
"""

from __future__ import annotations

import argparse
from itertools import islice
from typing import Any

import numpy as np
from online_streams import Stream, made_up_texts, texts
from tables import console, recorded, say, show

from hogwild.online.driver import Driver, make_driver

RULES = {
    "changed, sum": {"weights": "changed", "covariance": "sum"},
    "changed, minimum": {"weights": "changed", "covariance": "minimum"},
    "changed, mean": {"weights": "changed", "covariance": "mean"},
    "updates, minimum": {"weights": "updates", "covariance": "minimum"},
    "all (Jubatus), minimum": {"weights": "all", "covariance": "minimum"},
}


def learner(stream: Stream, rule: dict[str, str] | None, method: str) -> Driver:
    """A new server."""
    parameter = {} if method in ("perceptron", "PA") else {"regularization_weight": 1.0}
    settings = {"method": method, "parameter": parameter, "converter": stream.converter}
    return make_driver("classifier", settings if rule is None else {**settings, "mixing": rule})


def accuracy(driver: Driver, stream: Stream) -> float:
    """The share of test examples whose label gets the highest score."""
    answers = driver.run("classify", [[datum for _, datum in stream.test]])
    right = [max(s, key=lambda e: e[1])[0] == label for s, (label, _) in zip(answers, stream.test, strict=True)]
    return float(np.mean(right))


def mixed(stream: Stream, servers: int, interval: int | None, rule: dict[str, str] | None, method: str) -> list[float]:
    """Accuracies of all servers after one pass in lockstep."""
    drivers = [learner(stream, rule, method) for _ in range(servers)]
    if interval:
        for driver in drivers:
            driver.parts.full()
    streams = [iter(stream.train[place::servers]) for place in range(servers)]
    while True:
        learnt = 0
        for driver, examples in zip(drivers, streams, strict=True):
            some = list(islice(examples, interval or len(stream.train)))
            learnt += len(some)
            if some:
                driver.run("train", [some])
        if not learnt:
            break
        if interval:
            fold = drivers[0].parts.fold([driver.parts.cut() for driver in drivers])
            for driver in drivers:
                driver.parts.apply(fold, [])
    return [accuracy(driver, stream) for driver in drivers]


@recorded
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="AROW")
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--small", action="store_true", help="made-up texts, one interval")
    options = parser.parse_args()
    stream = made_up_texts(1_000) if options.small else texts()
    alone = mixed(stream, 1, None, None, options.method)[0]
    unmixed = float(np.mean(mixed(stream, options.servers, None, None, options.method)))
    say(f"{stream.name}, {options.method}: one server {alone:.3f}, unmixed {unmixed:.3f}")
    rows: list[dict[str, Any]] = []
    for interval in (64,) if options.small else (64, 128, 256, 512):
        row: dict[str, Any] = {"updates a round": interval}
        for name, rule in RULES.items():
            row[name] = float(np.mean(mixed(stream, options.servers, interval, rule, options.method)))
        rows.append(row)
        console.print(row)
    show(f"{stream.name}, {options.method}, {options.servers} servers: accuracy by mixing rule", rows)


if __name__ == "__main__":
    main()
