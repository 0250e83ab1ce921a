"""Two ranks on two machines, which are network namespaces: the bits are those of one machine.

Usage: test_mpirun_network.py BUILD_FOLDER
"""
import os
import shutil

from network import ADDRESSES, CABLE, Network, NoNetwork, ip, space
from program import DONE, PATIENCE_S, REACH, checkpointed, content, finish, last_json, main, scaled, wait_for
from ranks import MPIRUN, skip, start_ranks

SETTINGS = ["--threads", "1", "--set", "envs=8", "--set", "rollout_steps=32", "--set",
            "checkpoint_every=900", "--set", "evaluate_every=2000", "--set", "evaluate_episodes=5"]
STEPS = scaled(4096, 2048)


def test_two_machines_learn_the_bits_of_one():
    finish(start_ranks(2, "train", REACH, "--out", "one", "--steps", STEPS, *SETTINGS))
    with Network(os.getcwd()) as network:
        before = network.sent()
        process = start_ranks(2, "train", REACH, "--out", os.path.abspath("two"), "--steps", STEPS,
                              "--json", *SETTINGS, options=network.options, prefix=network.prefix)
        report = last_json(finish(process)[0], "train")
        sent = network.sent() - before
    assert report["steps"] == STEPS, report
    for name in ("last.safetensors", "best.safetensors"):
        assert content(f"one/{name}") == content(f"two/{name}"), name
    parameters = os.path.getsize("two/last.safetensors")  # 4 bytes each, and a little more
    updates = STEPS // (2 * 8 * 32) * 80
    assert sent > 0.5 * updates * parameters, f"only {sent} bytes went over the cable"


def test_a_lost_machine_ends_the_job_and_it_goes_on():
    """Its cable is pulled: no process died and no connection was closed. mpirun notices by keep-alives,
    which wait for minutes unless told otherwise."""
    keep_alive = [word for name in ("time", "intvl", "probes")
                  for word in ("--mca", f"oob_tcp_keepalive_{name}", "2")]
    finish(start_ranks(2, "train", REACH, "--out", "whole", "--steps", 4 * STEPS, *SETTINGS))
    for _ in range(100):
        with Network(os.getcwd()) as network:
            process = start_ranks(2, "train", REACH, "--out", os.path.abspath("lost"), "--steps",
                                  4 * STEPS, *SETTINGS, prefix=network.prefix,
                                  options=[*network.options, *keep_alive])
            wait_for(lambda: process.poll() is not None or checkpointed("lost"),
                     "a checkpoint")
            ip("-n", space(ADDRESSES[1]), "link", "set", CABLE, "down")
            _, error = process.communicate(timeout=PATIENCE_S)
        if process.returncode != DONE:
            break
        shutil.rmtree("lost")  # it had ended already
    assert process.returncode != DONE and ADDRESSES[1] in error, error
    finish(start_ranks(2, "train", REACH, "--out", "lost", "--resume", "--threads", "1"))
    assert content("lost/last.safetensors") == content("whole/last.safetensors")


if __name__ == "__main__":
    if not MPIRUN:
        skip("there is no mpirun")
    try:
        with Network(os.getcwd()):
            pass
    except NoNetwork as reason:
        skip(reason)
    main(globals())
