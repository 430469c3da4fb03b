"""Cores are shared between decoding and the network by what each costs."""

import pytest

from cxr.screening.shares import network_threads


@pytest.mark.parametrize(
    ("gflop", "cores", "threads"),
    [(0.078, 1, 1), (0.078, 2, 1), (0.078, 16, 4), (2.5, 2, 2), (2.5, 16, 15), (0.0, 8, 1)],
)
def test_threads_follow_the_cost_of_the_network(gflop: float, cores: int, threads: int) -> None:
    assert network_threads(gflop, cores) == threads
