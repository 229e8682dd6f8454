"""Logs for tests, and snapshots that hold records."""

from __future__ import annotations

import asyncio

from hogwild.data import DataError
from hogwild.online.storage.log import open_log


def no_snapshot(path):
    raise AssertionError(f"there should be no snapshot, found {path}")


class Restored:
    """Takes snapshots that `saver` wrote, which hold all records so far."""

    def __init__(self):
        self.records = []

    def __call__(self, path):
        content = path.read_bytes()
        if not content.endswith(b"."):
            raise DataError(path, found="damage", expected="none")
        self.records = [record.encode() for record in content[:-1].decode().split(",") if record]


def saver(records):
    return lambda path: path.write_bytes(b",".join(records) + b".")


async def write(folder, batches, fsync="always", **options):
    """Open, replay, commit each batch, close; return what was replayed."""
    log, restored = open_log(folder, fsync, **options), Restored()
    try:
        found = list(log.replay(restored))
        for batch in batches:
            for record in batch:
                log.append(record)
            await log.commit()
    finally:
        await log.close()
    return restored.records + found


def replayed(folder):
    return asyncio.run(write(folder, []))
