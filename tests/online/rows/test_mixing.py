"""Row tables of several servers against the plain reference, and what a group must be able to rely on."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_rows import MixedRows

from hogwild.online.features.vocabulary import Vocabulary
from hogwild.online.rows import mixing, table
from hogwild.online.rows.mixing import RowTable
from hogwild.online.rows.unlearning import Lru, Random
from hogwild.online.state import State

FEATURES = ["a", "b", "ü", "\udcff", "e"]


class Server:
    """A row table, its twin, and what a MIX machine keeps of cuts."""

    def __init__(self, name, unlearner=None, twin=True):
        self.vocabulary = Vocabulary()
        for feature in random.Random(name).sample(FEATURES, len(FEATURES)):  # slots differ from server to server
            self.vocabulary.slot(feature)
        self.table = RowTable(self.vocabulary, name, unlearner=unlearner)
        self.twin = MixedRows(name) if twin else None
        self.kept, self.current = [], True

    def put(self, name, row):
        slots = np.array([self.vocabulary.slot(feature) for feature in row], np.uint32)
        self.table.put(name, slots, np.array(list(row.values()), float))
        self.table.tidy()
        if self.twin:
            self.twin.change(name, row)

    def remove(self, name):
        if self.table.remove(name) and self.twin:
            self.twin.change(name, None)
        self.table.tidy()

    def cut(self):
        self.kept.append((self.table.cut(), self.twin.cut() if self.twin else None))

    def joined(self):
        self.cut()
        cuts, twins = zip(*self.kept, strict=True)
        return self.table.join(list(cuts)), self.twin.tables.join(list(twins)) if self.twin else None

    def take(self, method, value, twin, kept):
        self.kept = kept
        getattr(self.table, method)(value, [cut for cut, _ in kept])
        if self.twin:
            getattr(self.twin, method)(twin, [cut for _, cut in kept])

    def rows(self):
        names = self.vocabulary.names
        entries = {name: self.table.row(name) for name in self.table.live}
        return {
            name: {names[slot]: value for slot, value in zip(*map(np.ndarray.tolist, row), strict=True)}
            for name, row in entries.items()
        }

    def bytes(self):
        return state_bytes(self.table)


def state_bytes(rows):
    state = rows.state()
    return repr(state.about), {key: array.tobytes() for key, array in state.arrays.items()}


def versions(rows):
    arena = rows.arena
    return {
        name: (int(arena.clocks[row]), rows._owner_names[arena.owners[row]], bool(arena.lengths[row] < 0))
        for name, row in [*rows.live.items(), *rows._gone.items()]
    }


def mix(servers, sources, takers):
    """A round: of servers whose version is current, some are heard and some take it; the others become obsolete."""
    current = [server for server in servers if server.current]
    heard = [server for server in current if server in sources] or current[:1]
    diffs = [server.joined() for server in heard]
    fold = current[0].table.fold([diff for diff, _ in diffs])
    twin = current[0].twin.tables.fold([diff for _, diff in diffs]) if current[0].twin else None
    took = [server for server in current if server in takers] or current[:1]
    for server in current:
        kept = [] if server in heard else server.kept
        server.current = server in took
        if server.current:
            server.take("apply", fold, twin, kept)
        else:
            server.kept = kept
    return fold


def fetch(servers, server):
    source = next(other for other in servers if other.current)
    if not server.current:
        server.cut()
        server.take("load", source.table.full(), source.twin.tables.full() if source.twin else None, server.kept)
        server.current = True


def settle(servers):
    for server in servers:
        fetch(servers, server)
    for _ in range(2):
        mix(servers, servers, servers)


ROWS = st.dictionaries(st.sampled_from(FEATURES), st.integers(1, 5).map(float), max_size=4)
SERVER = st.integers(0, 2)
SUBSETS = st.sets(SERVER)
NAMES = st.sampled_from(["x", "y", "z", "\udcfe"])
STEPS = st.one_of(
    st.tuples(st.just("put"), SERVER, NAMES, ROWS),
    st.tuples(st.just("put"), SERVER, NAMES, ROWS),
    st.tuples(st.just("remove"), SERVER, NAMES),
    st.tuples(st.just("cut"), SERVER),
    st.tuples(st.just("mix"), SUBSETS, SUBSETS),
    st.tuples(st.just("mix"), SUBSETS, st.just({0, 1, 2})),
    st.tuples(st.just("fetch"), SERVER),
)


def play(servers, steps):
    for kind, *rest in steps:
        if kind == "mix":
            mix(servers, *([servers[place] for place in sorted(chosen)] for chosen in rest))
        elif kind == "fetch":
            fetch(servers, servers[rest[0]])
        else:
            getattr(servers[rest[0]], kind)(*rest[1:])
        yield


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_rows_mix_as_the_reference_does(steps):
    servers = [Server(name) for name in "ABC"]
    for _ in play(servers, steps):
        for server in servers:
            assert server.rows() == server.twin.rows()
            assert versions(server.table) == server.twin.versions()
    settle(servers)
    assert len({repr(server.bytes()) for server in servers}) == 1
    assert servers[0].rows() == servers[0].twin.rows()


def test_a_change_that_came_to_nothing_is_known_to_all_the_same():
    servers = [Server(name) for name in "ABC"]
    steps = [("put", 0, "x", {}), ("remove", 0, "x"), ("put", 1, "x", {}), ("mix", set(), {1})]
    for _ in play(servers, steps):
        pass
    settle(servers)
    assert len({repr(server.bytes()) for server in servers}) == 1
    assert servers[0].table.known == {"A": 1, "B": 0}


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=40), st.sampled_from([Lru, Random]))
def test_a_group_that_forgets_rows_forgets_the_same(steps, unlearner):
    servers = [Server(name, unlearner(2), twin=False) for name in "ABC"]
    for _ in play(servers, steps):
        for server in servers:
            assert len(server.table.live) <= 2 + 4  # what is mixed in, and what is not yet
    settle(servers)
    assert len({repr(server.bytes()) for server in servers}) == 1
    assert len(servers[0].table) <= 2


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_a_full_model_is_the_master_part_alone(steps):
    servers = [Server(name) for name in "ABC"]
    for _ in play(servers, steps):
        for server in servers:
            if server.current:
                other = Server("D")
                other.take("load", server.table.full(), server.twin.tables.full(), [])
                assert other.rows() == other.twin.rows()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(STEPS, st.tuples(st.just("tell"), SERVER, SERVER)), max_size=30))
def test_changes_are_told_on_until_all_have_them(steps):
    servers = [Server(name, twin=False) for name in "ABC"]

    def tell(source, target):
        told = source.table.since(target.table.summary())
        lacking = {
            name for name, one in versions(source.table).items() if one > versions(target.table).get(name, (-1,))
        }
        assert target.table.merge(told) == len(lacking)
        assert target.table.merge(told) == 0

    for kind, *rest in steps:
        if kind == "tell":
            tell(*(servers[place] for place in rest))
        elif kind in ("put", "remove"):
            getattr(servers[rest[0]], kind)(*rest[1:])
    for _ in range(2):
        for source in servers:
            for target in servers:
                tell(source, target)
    assert len({repr(server.bytes()) for server in servers}) == 1
    assert all(
        len(server.table.since(other.table.summary())["lengths"]) == 0 for server in servers for other in servers
    )


def test_a_cut_that_no_fold_holds_stays_on_top():
    one, other = Server("A"), Server("B")
    other.put("x", {"a": 1.0})
    other.cut()
    mix([one, other], [one], [one, other])
    assert other.rows() == other.twin.rows() == {"x": {"a": 1.0}} and one.rows() == {}
    assert other.table.full()["lengths"].tolist() == []


def test_a_master_part_knows_of_its_own_changes_alone():
    server = Server("A", twin=False)
    server.put("x", {"a": 1.0})
    assert server.table.full()["known"] == {}
    mix([server], [server], [server])
    server.put("x", {"a": 2.0})
    assert server.table.full()["known"] == {"A": 0} and server.table.summary() == {"A": 1}


def test_a_change_travels_once():
    one, other = Server("A"), Server("B")
    one.put("x", {"a": 1.0})
    one.put("y", {"b": 1.0})
    other.table.merge(one.table.since(other.table.summary()))
    one.put("y", {"b": 2.0})
    assert one.table.since(other.table.summary())["lengths"].tolist() == [1]


@pytest.mark.parametrize("unlearner", [None, Lru(3), Random(3)])
def test_a_restored_table_is_the_same_and_goes_on_the_same(unlearner):
    one = Server("A", unlearner, twin=False)
    for number in range(20):
        one.put(f"row {number % 9}", {FEATURES[number % 5]: 1.0 + number})
    one.remove("row 1")
    other = Server("A", unlearner and type(unlearner)(3), twin=False)
    other.table.restore(one.table.state())
    assert other.rows() == one.rows() and other.bytes() == one.bytes()
    assert other.table.cut()["lengths"].tolist() == []
    for number in range(20):
        for server in (one, other):
            server.put(f"new {number}", {"a": 1.0})
    assert other.bytes() == one.bytes()


def test_the_least_recently_changed_row_goes():
    server = Server("A", Lru(2), twin=False)
    for name in ("x", "y", "x", "z"):
        server.put(name, {"a": 1.0})
    assert sorted(server.table.live) == ["x", "z"]


def test_any_row_may_go_at_random():
    survivors = set()
    for seed in range(30):
        server = Server("A", Random(10), twin=False)
        for number in range(40):
            server.put(f"{seed} {number}", {"a": 1.0})
        assert len(server.table) == 10
        survivors |= {int(name.split()[1]) for name in server.table.live}
    assert len(survivors) > 25


def test_memory_is_bounded_by_the_rows(monkeypatch):
    monkeypatch.setattr(table, "REMEMBERED", 50)
    server = Server("A", Lru(10), twin=False)
    for number in range(20_000):
        server.put(str(number), {f"feature {number}": 1.0})
    assert len(server.table) == 10 and len(server.table._gone) <= 50
    assert server.table.arena.size < 2_000 and len(server.vocabulary) < 2_000
    assert len(server.table.cut()["lengths"]) <= 60


def test_removals_of_long_ago_are_forgotten_alike(monkeypatch):
    monkeypatch.setattr(table, "REMEMBERED", 3)
    monkeypatch.setattr(mixing, "REMEMBERED", 3)
    servers = [Server(name, twin=False) for name in "AB"]
    for number in range(10):
        for server in servers:
            server.put(f"{server.table.owner}{number}", {"a": 1.0})
    settle(servers)
    for server in servers:
        for number in range(10):
            server.remove(f"{server.table.owner}{number}")
    settle(servers)
    assert servers[0].bytes() == servers[1].bytes()
    assert len(servers[0].table) == 0 and len(servers[0].table._gone) == 3


def test_a_clear_forgets_rows_and_features():
    server = Server("A", twin=False)
    server.put("x", {"a": 1.0})
    server.table.clear()
    assert len(server.table) == 0 and len(server.vocabulary) == 0 and server.table.cut()["lengths"].tolist() == []
    server.put("x", {"a": 2.0})
    assert server.rows() == {"x": {"a": 2.0}}


def spoilt(key, change):
    def spoil(state):
        return State(state.about, {**state.arrays, key: change(state.arrays[key])})

    return spoil


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda state: State(state.about, {}), "no rows"),
        (lambda state: State({}, state.arrays), "no rows"),
        (lambda state: State({"known": 1, "owner_names": ["A"]}, state.arrays), "no rows"),
        (spoilt("codes", lambda codes: codes + 100), "feature of 3"),
        (spoilt("owners", lambda owners: owners + 1), "owner of 1"),
        (spoilt("lengths", lambda lengths: lengths + 1), "do not fit"),
        (spoilt("lengths", lambda lengths: lengths[1:]), "as many as names"),
        (spoilt("values", lambda values: values * np.nan), "not finite"),
        (spoilt("names", lambda letters: letters[:-1]), "offsets of texts"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(spoil, told):
    server = Server("A", twin=False)
    for name, row in {"x": {"a": 1.0, "b": 2.0}, "y": {"e": 3.0}}.items():
        server.put(name, row)
    before = server.bytes()
    with pytest.raises(ValueError, match=told):
        server.table.restore(spoil(server.table.state()))
    assert server.bytes() == before
