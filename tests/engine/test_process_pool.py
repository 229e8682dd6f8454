"""Worker processes: what travels to them and back, what happens when they or their parent are killed."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hogwild.compiled import fetch_add, kernel
from hogwild.engine import process_pool, shared_memory
from hogwild.engine.process_pool import ProcessPool, WorkerDiedError

SECONDS = 240
NUMBERS = npst.boolean_dtypes() | npst.integer_dtypes() | npst.unsigned_integer_dtypes() | npst.floating_dtypes()
SHM = Path("/dev/shm")


class Pair(NamedTuple):
    first: np.ndarray
    second: np.ndarray


@kernel
def count(counter, times):
    for _ in range(times):
        fetch_add(counter, np.uint64(0), np.int64(1))


def segments() -> set[str]:
    return {path.name for path in SHM.iterdir()} if SHM.exists() else set()


def mapped() -> int:
    """Pieces of shared memory that this process has mapped."""
    return Path("/proc/self/maps").read_text().count("memfd:hogwild") if sys.platform == "linux" else 0


def die_once(flag, result):
    """End this process by the signal of ``kill -9``, the first time."""
    if not flag[0]:
        flag[0] = 1
        os.kill(os.getpid(), signal.SIGKILL)
    return result


@pytest.fixture(scope="module")
def pool():
    with ProcessPool(2) as processes:
        yield processes


# ---------------------------------------------------------------------------------------------- what travels


def test_results_come_in_the_order_of_calls_each_from_its_own_process(pool):
    meeting = pool.share(np.zeros(2, np.int64))

    def call(k):
        meeting[k] = 1
        while not meeting.all():  # passes only if both run at once
            pass
        return k, os.getpid()

    results = pool.run(call, [(0,), (1,)])
    assert [k for k, _ in results] == [0, 1]
    assert len({pid for _, pid in results} | {os.getpid()}) == 3
    assert pool.run(lambda: os.getpid(), [(), ()]) == [pid for _, pid in results]  # the same workers again


VIEWS = {
    "whole": lambda a: a,
    "row": lambda a: a[3],
    "slice": lambda a: a[1:5:2, 2:],
    "backwards": lambda a: a[::-1, ::-1],
    "transposed": lambda a: a.T,
    "reshaped": lambda a: a.reshape(3, 16),
    "flat": lambda a: a.reshape(-1),
    "other type": lambda a: a.view(np.int32),
    "one element": lambda a: a[1:2, 1:2],
    "broadcast": lambda a: np.broadcast_to(a[0], (3, 8)),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_views_are_seen_on_both_sides(pool, view):
    shared = pool.share(np.arange(48.0).reshape(6, 8))
    part = view(shared)
    expected = part.copy()

    def double(array):
        if array.flags.writeable:
            array[...] *= 2
        return array, array.strides, array.copy()

    ((back, strides, copied),) = pool.run(double, [(part,)])
    assert strides == part.strides and back.flags.writeable == part.flags.writeable
    assert back.ctypes.data == part.ctypes.data  # the same memory here, not a copy
    np.testing.assert_array_equal(copied, part)
    np.testing.assert_array_equal(part, expected * (2 if part.flags.writeable else 1))
    assert not np.shares_memory(copied, shared)


@settings(max_examples=40, deadline=None)
@given(array=npst.arrays(NUMBERS, npst.array_shapes(min_dims=0, max_dims=3, min_side=0), fill=st.nothing()))
def test_arrays_are_shared_bit_by_bit(pool, array):
    shared = pool.share(array)
    assert shared.tobytes() == array.tobytes()
    assert shared.dtype == array.dtype and shared.shape == array.shape
    assert shared.ctypes.data % 64 == 0 or not shared.size
    assert shared.flags.c_contiguous and shared.flags.writeable
    assert pool.run(lambda a: (a.tobytes(), a.dtype, a.shape), [(shared,)]) == [
        (array.tobytes(), array.dtype, array.shape)
    ]


@pytest.mark.parametrize("size", [10, 1 << 18])  # from an arena, and a block of its own
def test_arrays_inside_of_everything_are_references(pool, size):
    shared = pool.share(np.zeros(size))

    class Holder:
        def __init__(self, array):
            self.array = array

    def write(pair, holder, nested, by_closure=shared):
        pair.first[0] = 1
        pair.second[0] = 2
        holder.array[1] = 3
        nested["deep"][0][0][2] = 4
        shared[3] = by_closure[0] + 4

    own = np.zeros(3)
    pool.run(write, [(Pair(shared, own), Holder(shared), {"deep": [(shared,)]})])
    assert shared[:4].tolist() == [1, 3, 4, 5]
    assert own.tolist() == [0, 0, 0]  # not shared: the worker changed its own copy


def test_what_only_this_process_can_import_travels_by_value(pool):
    """Functions and classes of a test module, a notebook or a script: workers never import the caller's module."""
    flag = pool.share(np.ones(1))
    assert pool.run(die_once, [(flag, Pair(np.ones(2), 3))])[0].second == 3
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        pool.run(lambda: __import__("nowhere_at_all"), [()])


def test_small_arrays_have_blocks_in_common(pool):
    shared_memory.forget_arena()
    arrays = [pool.share(np.full(100, k)) for k in range(300)]
    held = {shared_memory._find(a.ctypes.data) for a in arrays}
    assert len(held) == 1
    assert [a[0] for a in arrays] == list(range(300))


def test_wrong_use_is_told(pool):
    with pytest.raises(TypeError, match="arrays of Python objects cannot be shared, found dtype object"):
        pool.share(np.array([None]))
    with pytest.raises(ValueError, match="found 3 calls, expected at most 2"):
        pool.run(len, [((),)] * 3)
    with pytest.raises(ValueError, match="n_workers must be at least 1 process, found 0"):
        ProcessPool(0)
    closed = ProcessPool(1)
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        closed.run(len, [((),)])


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("failing", [0, 1])
def test_errors_are_raised_when_all_calls_have_ended(pool, failing):
    ended = pool.share(np.zeros(2))

    def call(k):
        if k == failing:
            raise ZeroDivisionError(f"call {k}")
        ended[k] = 1

    with pytest.raises(ZeroDivisionError, match=f"call {failing}") as caught:
        pool.run(call, [(0,), (1,)])
    assert 'raise ZeroDivisionError(f"call {k}")' in str(caught.value.__cause__)  # where it was raised
    assert ended.sum() == 1
    assert pool.run(abs, [(-1,), (-2,)]) == [1, 2]  # the workers are alive


def test_what_cannot_be_pickled_is_told(pool):
    with pytest.raises(TypeError, match="the result of a worker process cannot be pickled, found"):
        pool.run(lambda: threading.Lock(), [()])

    def fail():
        class OddError(Exception):
            def __reduce__(self):
                raise TypeError("no")

        raise OddError("how odd")

    with pytest.raises(RuntimeError, match="OddError: how odd"):
        pool.run(fail, [()])
    with pytest.raises(TypeError, match="pickle"):
        pool.run(len, [(threading.Lock(),)])
    assert pool.run(abs, [(-1,), (-2,)]) == [1, 2]


def test_the_end_of_the_interpreter_in_a_call_is_an_error_here(pool):
    with pytest.raises(SystemExit):
        pool.run(lambda: sys.exit(3), [()])
    assert pool.run(abs, [(-1,)]) == [1]


# ---------------------------------------------------------------------------------------------- killed workers


def test_a_killed_worker_is_replaced_and_its_call_runs_again():
    told = []
    with ProcessPool(2, on_death=lambda: told.append(True)) as processes:
        pids = processes.run(os.getpid, [(), ()])
        flag = processes.share(np.zeros(1, np.int64))
        with pytest.warns(RuntimeWarning, match=rf"worker process {pids[0]} ended \(SIGKILL\).*runs again"):
            results = processes.run(die_once, [(flag, "again"), (np.ones(1), "other")])
        assert results == ["again", "other"]
        assert processes.deaths == 1 and told == [True]
        after = processes.run(os.getpid, [(), ()])
        assert after[0] != pids[0] and after[1] == pids[1]


def test_a_call_that_is_killed_twice_is_an_error_though_another_waits_for_it():
    with ProcessPool(2) as processes:
        never = processes.share(np.zeros(1))

        def call(k):
            if k == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            while not never[0]:
                time.sleep(0.01)

        with pytest.warns(RuntimeWarning, match="SIGKILL"), pytest.raises(WorkerDiedError, match="out of memory, or"):
            processes.run(call, [(0,), (1,)])
        assert processes.run(abs, [(-1,), (-2,)]) == [1, 2]  # with new workers


def test_many_deaths_are_an_error(monkeypatch):
    monkeypatch.setattr(process_pool, "MOST_DEATHS", 2)
    with ProcessPool(1) as processes:
        for expected in (pytest.warns(RuntimeWarning), pytest.raises(WorkerDiedError, match="as 1 before it")):
            with expected:
                processes.run(die_once, [(processes.share(np.zeros(1)), None)])


def test_an_idle_worker_that_is_killed_is_replaced_at_the_next_call():
    with ProcessPool(1) as processes:
        (pid,) = processes.run(os.getpid, [()])
        os.kill(pid, signal.SIGKILL)
        with pytest.warns(RuntimeWarning, match=f"worker process {pid}"):
            assert processes.run(abs, [(-1,)]) == [1]


def test_a_worker_whose_child_holds_its_socket_is_seen_to_be_gone(monkeypatch):
    monkeypatch.setattr(process_pool, "_LOOK", 0.05)
    with ProcessPool(1) as processes:
        child = processes.share(np.zeros(1, np.int64))

        def leave_a_child():
            if not child[0]:
                pid = os.fork()
                if pid == 0:
                    time.sleep(60)
                child[0] = pid
                os.kill(os.getpid(), signal.SIGKILL)
            return "again"

        with pytest.warns(RuntimeWarning, match="SIGKILL"):
            assert processes.run(leave_a_child, [()]) == ["again"]
        os.kill(int(child[0]), signal.SIGKILL)


# ---------------------------------------------------------------------------------------------- memory comes back


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_freed_with_the_last_view_and_nothing_is_left_in_the_system():
    gc.collect()
    shared_memory.forget_arena()
    before, files = mapped(), segments()
    with ProcessPool(1) as processes:
        shared = processes.share(np.zeros(1 << 20))
        view = shared[5:10]
        del shared
        processes.run(lambda a: None, [(view,)])
        (pid,) = processes.run(os.getpid, [()])
        assert mapped() == before + 1
        assert Path(f"/proc/{pid}/maps").read_text().count("memfd:hogwild") == 1
        del view
        gc.collect()
        assert mapped() == before
        processes.run(lambda: None, [()])  # tells the worker; it has unmapped when the next call is answered
        processes.run(lambda: None, [()])
        assert Path(f"/proc/{pid}/maps").read_text().count("memfd:hogwild") == 0
        kept = processes.share(np.ones(1 << 18))
    assert kept.sum() == 1 << 18  # valid after the pool's end
    with pytest.raises(ZeroDivisionError), ProcessPool(1) as processes:
        processes.run(lambda a: 1 / a[0], [(processes.share(np.zeros(1 << 18, np.int64)).tolist()[:1],)])
    del kept
    gc.collect()
    assert mapped() == before
    assert segments() == files


def test_too_little_memory_is_told_with_the_bytes(pool, monkeypatch):
    monkeypatch.setattr(shared_memory, "available_bytes", lambda: 1_500_000)
    with pytest.raises(MemoryError, match=r"for 8,00[0-9,]+ bytes is needed, found 1,500,000 bytes"):
        pool.share(np.zeros(1_000_000))

    def full(descriptor, start, size):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    with pytest.raises(MemoryError, match=r"for 80 bytes is needed, found [0-9,]+ bytes"):
        pool.share(np.zeros(10))


def test_systems_without_memory_files_share_as_well(pool, monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    files = segments()
    shared_memory.forget_arena()
    shared = pool.share(np.arange(5))
    assert pool.run(lambda a: int(a.sum()), [(shared,)]) == [10]
    assert segments() == files  # it has no name
    shared_memory.forget_arena()


def test_available_memory_is_that_of_this_machine():
    found = shared_memory.available_bytes()
    assert found is None or 1 << 20 < found <= psutil.virtual_memory().total


# ---------------------------------------------------------------------------------------------- counts


def test_indivisible_additions_of_several_processes_lose_nothing():
    with ProcessPool(4) as processes:
        counter = processes.share(np.zeros(8, np.int64))
        processes.run(count, [(counter, 100_000)] * 4)
    assert counter[0] == 400_000


# ---------------------------------------------------------------------------------------------- other processes


def run_script(script: str, **kwargs) -> subprocess.CompletedProcess:
    paths = {"PYTHONPATH": str(Path(process_pool.__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        **kwargs,
    )


def test_a_script_without_a_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import numpy as np
            from hogwild.engine.process_pool import ProcessPool
            print("started")
            SCALE = 2
            def fill(part, value):
                part[:] = SCALE * value
            pool = ProcessPool(2)
            shared = pool.share(np.zeros(4))
            pool.run(fill, [(shared[:2], 1), (shared[2:], 2)])
            print(shared.tolist())
        """)
    )
    ended = run_script(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")
    assert ended.stdout == "started\n[2.0, 2.0, 4.0, 4.0]\n", ended.stderr
    assert ended.stderr == ""


FORK = """
    import os, sys
    import numpy as np
    from hogwild.engine.process_pool import ProcessPool

    pool = ProcessPool(2)
    shared = pool.share(np.zeros(2))
    parents = pool.run(lambda k: os.getpid(), [(0,), (1,)])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            mine = pool.run(lambda k: (shared.__setitem__(k, k + 1), os.getpid())[1], [(0,), (1,)])
            code = 0 if not set(mine) & set(parents) else 2
            pool.close()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert shared.tolist() == [1, 2], shared
    assert pool.run(lambda k: os.getpid(), [(0,), (1,)]) == parents
    sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_pool_made_before_a_fork():
    ended = run_script(FORK)
    assert ended.returncode == 0, ended.stderr


KILLED = """
    import os, signal, sys, time
    import numpy as np
    from hogwild.engine.process_pool import ProcessPool

    pool = ProcessPool(2)
    shared = pool.share(np.zeros(1 << 18))
    pids = pool.run(lambda k: os.getpid(), [(0,), (1,)])
    print(*pids, flush=True)
    if os.fork() == 0:  # a child that lives on must not keep the workers alive
        time.sleep(30)
        os._exit(0)

    def work(k):
        if k == 0:
            os.kill(os.getppid(), signal.SIGKILL)
        while True:  # busy, and in Python
            shared[k] += 1

    pool.run(work, [(0,), (1,)])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_end_with_a_parent_that_is_killed():
    files = segments()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED)],
        env={**os.environ, "PYTHONPATH": str(Path(process_pool.__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        known = [psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)]
        assert process.wait(SECONDS) == -signal.SIGKILL
        _, alive = psutil.wait_procs(known, timeout=60)
        assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
    assert segments() == files


INTERRUPTED = """
    import os, signal, time
    import numpy as np
    from hogwild.engine.process_pool import ProcessPool

    pool = ProcessPool(2)
    ended = pool.share(np.zeros(2))

    def work(k):
        if k == 0:
            os.killpg(0, signal.SIGINT)  # what Ctrl-C does: the parent and all workers
            time.sleep(0.2)
        ended[k] = 1

    try:
        pool.run(work, [(0,), (1,)])
    except KeyboardInterrupt:
        print("interrupted", ended.tolist(), pool.run(abs, [(-1,), (-2,)]))
"""


def test_ctrl_c_waits_for_the_calls_under_way():
    ended = run_script(INTERRUPTED, start_new_session=True)
    assert ended.stdout == "interrupted [1.0, 1.0] [1, 2]\n", ended.stderr


def test_workers_end_with_the_interpreter_the_pool_and_its_last_reference():
    ended = run_script("""
        import gc, os, psutil
        from hogwild.engine.process_pool import ProcessPool
        me = psutil.Process()
        pool = ProcessPool(2)
        with ProcessPool(1) as other:
            assert len(me.children()) == 3
        assert len(me.children()) == 2
        third = ProcessPool(2)
        del third
        gc.collect()
        assert len(me.children()) == 2
        print(*pool.run(os.getpid, [(), ()]))
    """)
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    left = [int(pid) for pid in ended.stdout.split()]
    assert len(left) == 2
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in left)


def test_a_worker_may_have_workers():
    def outer(array):
        from hogwild.engine.process_pool import ProcessPool

        with ProcessPool(1) as inner:
            return inner.run(lambda a: a.__setitem__(0, 7), [(array,)])

    with warnings.catch_warnings(), ProcessPool(1) as processes:
        warnings.simplefilter("error")
        shared = processes.share(np.zeros(3))
        processes.run(outer, [(shared,)])
    assert shared[0] == 7
