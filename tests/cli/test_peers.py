"""What the benchmarks compare with does the same as we do: reach in Python gives the episodes that it gives
here, and PyTorch computes our outputs and our step of Adam. Skipped until ./dev setup --bench was run.

Usage: test_peers.py BUILD_FOLDER
"""
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PYTHON = os.path.join(SOURCE, ".deps", "bench-venv", "bin", "python3")
REACH = os.path.join(SOURCE, "scenes", "reach.yaml")
SKIPPED = 77


def check_reach(build):
    sys.path.insert(0, os.path.join(SOURCE, "bench"))
    import peers
    peers.BUILD = build
    for kind in peers.KINDS:
        for seed in (4, 5):
            observations, rewards = peers.compare_episode(REACH, seed, kind)
            assert max(observations, rewards) <= peers.TOLERANCE, (kind, seed, observations, rewards)


def check_a_difference_is_seen():
    import peers
    import task_peer
    for ramp in ("RAMP_S", "JERK_RAMP_S"):
        ours = getattr(task_peer, ramp)
        setattr(task_peer, ramp, 1.5 * ours)  # a filter that is not ours
        for kind in peers.KINDS:
            observations, _ = peers.compare_episode(REACH, 4, kind)
            assert observations > peers.TOLERANCE, (kind, ramp, observations)
        setattr(task_peer, ramp, ours)


def check_network(build):
    peer = f"'{PYTHON}' '{os.path.join(SOURCE, 'bench', 'net_peer.py')}'"
    done = subprocess.run([os.path.join(build, "colonnade"), "bench", "net", "--rounds", "1", "--seconds",
                           "0.001", "--peer", peer, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert all(result[key] > 0 for key in ("peer_infer_us", "peer_eager_us", "peer_train_us")), result
    assert result["peer"]["inference"] and result["peer"]["training"], result["peer"]


def main():
    if not os.path.exists(PYTHON):
        print("skipped: the peers are not there; ./dev setup --bench fetches them")
        sys.exit(SKIPPED)
    if not sys.prefix.endswith("bench-venv"):
        os.execv(PYTHON, [PYTHON, *sys.argv])
    if not all(importlib.util.find_spec(name) for name in ("torch", "stable_baselines3", "ruckig", "yaml")):
        print("skipped: ./dev setup --bench has not fetched all peers")
        sys.exit(SKIPPED)
    build = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # MuJoCo's Python binding writes its warnings into the working directory
        check_reach(build)
        check_a_difference_is_seen()
        check_network(build)
        os.chdir(SOURCE)


if __name__ == "__main__":
    main()
