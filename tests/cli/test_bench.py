"""The benchmarks as commands: they run, with as little work as they take, and their JSON has the keys that
its readers expect. No figure is judged here: timings live in bench/.

Usage: test_bench.py BUILD_FOLDER
"""
import json
import os
import re
import signal
import socket
import sys

from program import FAILED, REACH, USAGE, finish, first_lines, main, run, said, scaled, start

BENCHMARKS = ("train", "net", "gemm", "column", "link", "clock")
TINY = ("--rounds", 2, "--seconds", 0.001)


def bench(*arguments):
    return json.loads(run("bench", *arguments, "--json").splitlines()[-1])


def positive(numbers):
    for key, value in numbers.items():
        assert isinstance(value, (int, float)) and value > 0, (key, value)


def stand_in(answers):
    """A peer of net that answers these requests, and checks what it is given to load."""
    with open("peer.py", "w", encoding="utf-8") as file:
        file.write(f"""import json, sys
answers = {answers!r}
for line in sys.stdin:
    request, argument = line.split(maxsplit=1)
    if request == "load":
        with open(argument.strip(), "rb") as f:
            names = set(json.loads(f.read(int.from_bytes(f.read(8), "little"))))
        assert {{"net/0/layer0.weight", "net/1/adapter1.scale0", "after/net/1/layer2.bias",
                "batch/input", "batch/target", "batch/output", "batch/adam"}} <= names, names
        assert not any(name.startswith("after/net/0") for name in names), names
    print(answers.pop(request) if request == "load" else answers[request], flush=True)
""")
    return f"'{sys.executable}' peer.py"


AGREES = json.dumps({"version": "0", "max_output_error": 1e-6, "max_step_error": 1e-8})


def test_without_a_name_it_lists_the_benchmarks():
    out = run("bench")
    assert out == run("bench", "--help") and out.startswith("Usage: colonnade bench NAME")
    for name in BENCHMARKS:
        assert f"\n  {name} " in out, name


def test_every_benchmark_has_help_with_an_example():
    for name in BENCHMARKS:
        out = run("bench", name, "--help")
        assert out.startswith(f"Usage: colonnade bench {name} "), out
        assert name == "clock" or "\n  --rounds " in out, out
        assert f"\nExample:\n  colonnade bench {name}" in out, out
        assert max(map(len, out.splitlines())) <= 80, out


def test_wrong_usage():
    out, error = finish(start("bench", "speed"), USAGE)
    assert out == "" and error.startswith("colonnade: there is no benchmark 'speed'"), error
    for arguments, words in ((("train",), "TASK is missing"),
                             (("net", "--rounds", "0"), "--rounds 0: expected a whole number from 1"),
                             (("column", "--width", "3"), "--width 3: expected"),
                             (("link", "--rate", "-1"), "--rate -1: expected"),
                             (("clock", "--rate", "0"), "--rate 0: expected"),
                             (("gemm", "x"), "'x' is one argument too many")):
        _, error = finish(start("bench", *arguments), USAGE)
        said(error, words, lines=2)


def test_train():
    result = bench("train", REACH, "--rounds", 2, "--threads", 2, "--set", "envs=8", "--set",
                   "rollout_steps=16", "--set", "epochs=1")
    positive({key: result[key] for key in ("physics_efficiency", "steps_per_second",
                                           "raw_mj_steps_per_second", "threads")})
    assert abs(sum(result["split"].values()) - 1) < 0.05, result["split"]


def test_net_without_a_peer():
    out = run("bench", "net", *TINY, "--json")
    result = json.loads(out.splitlines()[-1])
    assert "no peer was given" in out
    positive({key: result[key] for key in ("infer_us", "train_us")})
    for key in ("peer_infer_us", "peer_eager_us", "peer_train_us", "peer"):
        assert result[key] is None, (key, result[key])
    assert result["ratios"] == {"infer": None, "eager": None, "train": None}


def test_net_with_a_peer():
    peer = stand_in({"load": AGREES, "infer": '{"us": 1e6}', "eager": '{"us": 2e6}', "train": '{"us": 1e9}'})
    result = bench("net", *TINY, "--peer", peer)
    assert (result["peer_infer_us"], result["peer_eager_us"], result["peer_train_us"]) == (1e6, 2e6, 1e9)
    assert result["peer"]["version"] == "0" and result["rounds"] == 2
    positive(result["ratios"])
    assert abs(result["ratios"]["eager"] / result["ratios"]["infer"] - 2) < 1e-6  # nine digits are printed


def test_a_peer_that_computes_something_else_is_refused():
    for key, words in (("max_output_error", "outputs differ by 0.1"),
                       ("max_step_error", "weights after a step by 0.1")):
        peer = stand_in({"load": json.dumps({**json.loads(AGREES), key: 0.1})})
        _, error = finish(start("bench", "net", *TINY, "--peer", peer), FAILED)
        said(error, "do not compute the same", words)
    _, error = finish(start("bench", "net", *TINY, "--peer", stand_in({"load": "{}"})), FAILED)
    said(error, "do not compute the same", "nan")


def test_a_peer_that_fails():
    for command, words in (("true", "ended without an answer"), ("echo hello", "answered 'hello'"),
                           ("no-such-program", "ended without an answer")):
        _, error = finish(start("bench", "net", *TINY, "--peer", command), FAILED)
        assert words in error.splitlines()[-1] and command in error.splitlines()[-1], error


def test_gemm():
    result = bench("gemm", *TINY)
    for kind in ("linear", "adapter"):
        assert set(result["acting"][kind]) == {"infer_us", "sgemv_us", "ratio"}
        positive(result["acting"][kind])
    positive({key: result[key] for key in ("update_ms", "products_ms", "bare_ms", "efficiency", "gflops",
                                           "bare_gflops", "rounds")})
    assert result["products_ms"] < result["update_ms"]
    assert result["kernels"]


def test_column():
    result = bench("column", *TINY, "--width", 8)
    assert result["width"] == 8 and result["rounds"] == 2 and result["first"]["ratio"] == 1
    for kind in ("first", "linear", "adapter"):
        positive(result[kind])
    assert result["linear"]["trainable_parameters"] > result["first"]["trainable_parameters"]


def judge_link(result):
    for side in ("raw_us", "ours_us", "logged_us"):
        assert set(result[side]) == {"p50", "p99"} and result[side]["p50"] <= result[side]["p99"], result[side]
        positive(result[side])
    positive({key: result[key] for key in ("p50_ratio", "p99_ratio", "log_p50_ratio", "log_p99_ratio", "exchanges",
                                           "frame_bytes", "command_bytes", "rounds")})
    assert result["rounds"] == 1 and result["lost"] >= 0 and result["log_dropped"] >= 0
    # Six joints: positions, velocities and efforts, eight bytes each; as many targets.
    assert 3 * 6 * 8 < result["frame_bytes"] < 512 and 6 * 8 < result["command_bytes"] < 128, result


LINK = ("link", "--task", REACH, "--rounds", 1, "--seconds", scaled(0.5, 1))


def test_link():
    out = run("bench", *LINK, "--json")
    judge_link(json.loads(out.splitlines()[-1]))
    folder = os.path.dirname(re.search(r"ipc://(/tmp/colonnade-bench-\S+),", out)[1])
    assert not os.path.exists(folder), folder
    judge_link(bench(*LINK, "--rate", 500, "--endpoint", f"ipc://{os.getcwd()}/arm"))
    assert os.listdir() == []


def test_link_over_tcp():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    judge_link(bench(*LINK, "--endpoint", f"tcp://127.0.0.1:{port}"))


def test_link_that_cannot_be():
    for arguments, words in ((("--task", "nowhere.yaml"), "nowhere.yaml"),
                             (("--endpoint", "udp://x"), "udp://x"),
                             (("--endpoint", "tcp://192.0.2.1:5555"), "both sides are on this machine"),
                             (("--endpoint", "ipc:///nowhere/arm"), "ipc:///nowhere/arm")):
        _, error = finish(start("bench", *LINK, *arguments), FAILED)
        said(error, words)


def test_link_is_interrupted():
    process = start("bench", "link", "--task", REACH, "--seconds", 1, "--rounds", 1000)
    first_lines(process, "round 1 of 1000")
    process.send_signal(signal.SIGINT)
    _, error = finish(process, FAILED)
    said(error, "stopped")


def test_clock():
    result = bench("clock", "--rate", 500, "--seconds", 0.2)
    assert set(result["period_us"]) == {"p50", "p99", "p999", "max"} and result["misses"] >= 0
    assert 0 < result["periods"] <= 101 and result["period_us"]["max"] >= 2000, result


if __name__ == "__main__":
    main(globals())
