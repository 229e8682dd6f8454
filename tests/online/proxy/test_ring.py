"""Consistent hashing against a naive twin."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from hogwild.online.proxy.ring import Ring

NODES = st.lists(
    st.builds("{}_{}".format, st.ip_addresses(v=4).map(str), st.integers(1, 65535)), min_size=1, max_size=9, unique=True
)
KEYS = st.text(st.characters(codec="utf-8") | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF))


def md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogateescape")).hexdigest()


def naive(nodes: list[str], key: str) -> list[str]:
    """Walk up from the key's place, over the top to the bottom, and note each server when it is first met."""
    names = [(md5(node if not number else f"{node}_{number}"), node) for node in nodes for number in range(8)]
    above = sorted(pair for pair in names if pair[0] >= md5(key))
    below = sorted(pair for pair in names if pair[0] < md5(key))
    met: list[str] = []
    for _, node in above + below:
        if node not in met:
            met.append(node)
    return met


@given(NODES, KEYS)
def test_a_key_falls_to_the_servers_whose_places_come_next(nodes, key):
    assert Ring(nodes).servers(key) == naive(nodes, key)


@given(NODES, KEYS)
def test_a_server_that_goes_takes_only_its_own_keys(nodes, key):
    first, *rest = Ring(nodes).servers(key)
    for gone in nodes:
        left = [node for node in nodes if node != gone]
        if left:
            assert Ring(left).servers(key)[0] == (first if gone != first else rest[0])


@given(NODES)
def test_a_place_on_the_ring_is_its_servers_own(nodes):
    ring = Ring(nodes)
    for node in nodes:
        assert ring.servers(f"{node}_3")[0] == node


def test_places_are_those_of_the_original():
    """MD5 of "127.0.0.1_9199" by md5sum: proxies of the original find what is written in ZooKeeper."""
    from hogwild.online.group.zookeeper_paths import places

    assert places("127.0.0.1_9199")[0] == hashlib.md5(b"127.0.0.1_9199").hexdigest()
    assert places("127.0.0.1_9199")[7] == hashlib.md5(b"127.0.0.1_9199_7").hexdigest()
    assert len(places("127.0.0.1_9199")) == 8
