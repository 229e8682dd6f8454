"""How messages of MessagePack-RPC are made."""

from __future__ import annotations

import msgpack

REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2
NO_METHOD, WRONG_ARGUMENTS = 1, 2  # errors that are no texts


def packer(bins: bool = False) -> msgpack.Packer:
    """Return what packs values: for old peers, to whom texts and bytes are one, or with `bins` kept apart."""
    return msgpack.Packer(use_bin_type=bins, unicode_errors="surrogateescape")


def error_text(error: BaseException) -> str:
    """Return what a client is told of an error."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text or type(error).__name__
