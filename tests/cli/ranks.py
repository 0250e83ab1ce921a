"""mpirun, for tests: starting the program as several ranks, and finding them."""
import os
import shutil
import subprocess
import sys

from program import PROGRAM, begin, environment

# Debian's name, and Ubuntu's; others call another MPI's starter mpirun too.
MPIRUN = shutil.which("mpirun.openmpi") or shutil.which("mpirun")
SKIPPED = 77  # ctest: SKIP_RETURN_CODE


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def start_ranks(ranks, *arguments, options=(), prefix=(), program=PROGRAM):
    """mpirun as a process; more ranks than cores are allowed, and so is root, and who waits lets
    others run.

    options: of mpirun; prefix: a command that runs it."""
    if not MPIRUN:
        skip("there is no mpirun")
    return begin(
        [*prefix, MPIRUN, "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "--mca",
         "mpi_yield_when_idle", "1", *options, "-n", str(ranks), program, *map(str, arguments)],
        # Open MPI leaks; our own leaks show where ranks are threads.
        env={**environment(), "ASAN_OPTIONS": "detect_leaks=0"}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)


def ranks_of(mpirun):
    """The processes that an mpirun started on this machine, by rank."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as file:
                variables = dict(v.split("=", 1) for v in file.read().split("\0") if "=" in v)
        except OSError:
            continue  # it has ended
        if parent == mpirun.pid and "OMPI_COMM_WORLD_RANK" in variables:
            found[int(variables["OMPI_COMM_WORLD_RANK"])] = int(pid)
    return found


def complaints(error):
    """What the program says of an output that mpirun speaks in as well."""
    return [line for line in error.splitlines() if line.startswith("colonnade: ")]
