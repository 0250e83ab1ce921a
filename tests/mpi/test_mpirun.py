"""test_ranks.c as jobs of two and of four ranks.

Usage: test_mpirun.py BUILD_FOLDER
"""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))
from program import BUILD, FAILED, finish, main  # noqa: E402
from ranks import MPIRUN, skip, start_ranks  # noqa: E402


def check(ranks):
    """mpirun fails if a rank does. What the ranks say it mixes; the files have each by itself."""
    finish(start_ranks(ranks, program=os.path.join(BUILD, "tests", "test_mpi_ranks"),
                       options=("--output-filename", os.path.abspath("said"))))
    files = glob.glob("said/**/stdout", recursive=True)
    assert len(files) == ranks, files
    for path in files:
        with open(path, encoding="utf-8") as file:
            said = file.read()
        assert "Test: test_sums_are_made_in_order ...passed" in said, f"{path}: {said}"


def test_a_rank_that_fails_fails_the_job():
    finish(start_ranks(2, "-c", "exit $OMPI_COMM_WORLD_RANK", program="/bin/sh"), code=FAILED)


def test_two_ranks():
    check(2)


def test_four_ranks():
    check(4)


if __name__ == "__main__":
    if not MPIRUN:
        skip("there is no mpirun")
    main(globals())
