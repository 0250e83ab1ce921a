"""test_ranks.c as jobs of two and of four ranks.

Usage: test_mpirun.py BUILD_FOLDER
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))
from program import BUILD, finish, main  # noqa: E402
from ranks import MPIRUN, skip, start_ranks  # noqa: E402


def check(ranks):
    out, _ = finish(start_ranks(ranks, program=os.path.join(BUILD, "tests", "test_mpi_ranks")))
    assert out.count("Test: test_sums_are_made_in_order ...passed") == ranks, out


def test_two_ranks():
    check(2)


def test_four_ranks():
    check(4)


if __name__ == "__main__":
    if not MPIRUN:
        skip("there is no mpirun")
    main(globals())
