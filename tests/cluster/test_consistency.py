from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hogwild.cluster.consistency import ASP, BSP, SSP, Consistency, resolve_consistency


@given(st.one_of(st.none(), st.integers(0, 20)), st.integers(0, 100), st.integers(0, 100))
def test_admits_up_to_the_bound(staleness, clock, lowest):
    policy = Consistency(staleness)
    assert policy.admits(clock, lowest) == (staleness is None or clock <= lowest + staleness)
    assert policy.admits(clock, lowest) == (lowest >= policy.needs(clock))


def test_names():
    assert resolve_consistency("bsp") == BSP == Consistency(0)
    assert resolve_consistency("asp") == ASP == Consistency(None)
    assert resolve_consistency("ssp") == SSP(4)
    assert resolve_consistency("ssp", 2) == SSP(2)
    assert resolve_consistency(SSP(7)) == SSP(7)
    assert [repr(each) for each in (BSP, ASP, SSP(3))] == ["BSP", "ASP", "SSP(3)"]


@pytest.mark.parametrize(
    ("name", "staleness", "message"),
    [("gsp", None, "bsp, ssp or asp, found 'gsp'"), ("bsp", 3, "staleness belongs to ssp"), ("ssp", -1, "at least 0")],
)
def test_other_names_and_bounds_are_refused(name, staleness, message):
    with pytest.raises(ValueError, match=message):
        resolve_consistency(name, staleness)
