"""What training does when its folder cannot be written: one error, what was saved stays good, and the
run goes on from it once there is room, to the bits of a run that never met the trouble.

Usage: test_disk.py BUILD_FOLDER
"""
import errno
import os
import resource
import shutil
import signal
import subprocess
import tempfile

from program import (DONE, FAILED, REACH, contents, content, finish, main, run, run_json, said, scaled,
                     start, wait_for)

STEPS = scaled(24000, 8000)
CHECKPOINT_EVERY = 1000
SETTINGS = ["--steps", STEPS, "--set", "envs=16", "--set", "rollout_steps=32", "--set",
            f"checkpoint_every={CHECKPOINT_EVERY}", "--set", "evaluate_every=2000", "--set", "evaluate_episodes=4"]
POLICIES = ("best.safetensors", "last.safetensors")


_whole = []  # the run that never met trouble, once a test file; a temporary folder


def whole(name):
    if not _whole:
        _whole.append(tempfile.TemporaryDirectory(prefix="cn"))
        run("train", REACH, "--out", os.path.join(_whole[0].name, "run"), *SETTINGS)
    return content(os.path.join(_whole[0].name, "run", name))


def saved_steps(out):
    (column,) = run_json("inspect", "inspect", f"{out}/checkpoint.safetensors")["columns"]
    return column["steps"]


def under_way(out, **options):
    """A run that has saved all that a run saves, and has more to save yet; it is stopped, so that it
    cannot come to its end before fails() lets it go on."""
    files = [os.path.join(out, name) for name in (*POLICIES, "checkpoint.safetensors")]
    for _ in range(100):
        process = start("train", REACH, "--out", out, *SETTINGS, **options)
        wait_for(lambda: process.poll() is not None or all(map(os.path.exists, files)), "a checkpoint")
        process.send_signal(signal.SIGSTOP)
        assert process.poll() in (None, DONE), process.communicate()
        if saved_steps(out) <= STEPS - 2 * CHECKPOINT_EVERY:
            return process
        process.kill()  # too late
        process.communicate()
        shutil.rmtree(out)
    raise AssertionError("no run was found at work")


def fails(process):
    """The process goes on, and fails; returns what it says."""
    process.send_signal(signal.SIGCONT)
    return finish(process, FAILED)[1]


def check_survives(process, out, words, make_room):
    """The process fails for the reason in `words`, and nothing is lost. Of a file that it was just
    writing nothing is left, unless the folder lets nobody remove it."""
    error = fails(process)
    said(error, f"{out}/", words)
    left = [path for path in contents(out) if ".writing" in path]
    assert not left or words == os.strerror(errno.EACCES), left
    for name in (*POLICIES, "checkpoint.safetensors"):
        assert run_json("inspect", "inspect", f"{out}/{name}")["kind"] == "policy"
    run("eval", f"{out}/best.safetensors", "--episodes", 1)
    make_room()
    run("train", REACH, "--out", out, "--resume")
    for name in POLICIES:
        assert content(f"{out}/{name}") == whole(name), f"{name} has other bits"


def test_files_that_may_not_grow():
    """The quota of a user, as the system knows it: writes beyond a size fail. What is refused here
    is every policy and checkpoint, and later the events."""
    process = under_way("run", restore_signals=False)  # Python ignores SIGXFSZ: so does the program
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    check_survives(process, "run", os.strerror(errno.EFBIG), lambda: None)


def mounted(folder):
    """Mounts a small disk. @return False where that is not allowed"""
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "colonnade", folder]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def fill(path):
    """Takes all the room that there is."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as full:
            assert full.errno == errno.ENOSPC, full


def test_disk_that_is_full():
    disk = tempfile.mkdtemp(prefix="cn")
    if not mounted(disk):
        os.rmdir(disk)
        print("no disk can be mounted here; test_files_that_may_not_grow stands for it")
        return
    try:
        out = os.path.join(disk, "run")
        process = under_way(out)
        fill(os.path.join(disk, "other"))
        check_survives(process, out, os.strerror(errno.ENOSPC),
                       lambda: os.remove(os.path.join(disk, "other")))
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
        os.rmdir(disk)


def as_anybody():
    """What makes root one whom permissions bind."""
    return ("setpriv", "--bounding-set", "-dac_override", "--") if os.geteuid() == 0 else ()


def test_folder_that_becomes_unwritable():
    process = under_way("run", under=as_anybody())
    os.chmod("run", 0o555)
    check_survives(process, "run", os.strerror(errno.EACCES), lambda: os.chmod("run", 0o755))


def test_folder_that_is_gone():
    """As when a network's disk is lost: the events go on into a file that is nowhere."""
    process = under_way("run")
    os.rename("run", "away")
    error = fails(process)
    said(error, "run/", os.strerror(errno.ENOENT))
    assert not os.path.exists("run")
    shutil.move("away", "run")
    run("train", REACH, "--out", "run", "--resume")


def test_unwritable_from_the_beginning():
    os.mkdir("run", 0o555)
    process = start("train", REACH, "--out", "run", *SETTINGS, under=as_anybody())
    _, error = finish(process, FAILED)
    said(error, "run/", os.strerror(errno.EACCES))
    assert contents("run") == {}


if __name__ == "__main__":
    main(globals())
