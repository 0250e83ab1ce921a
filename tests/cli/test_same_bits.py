"""The same seed gives the same bits, whatever the number of threads; another seed gives others.

Usage: test_same_bits.py BUILD_FOLDER
"""
from program import GAP, REACH, content, main, run, scaled, train, trained

STEPS = scaled(12288, 8192)  # of 64 environments: more than one rollout, so more than one update


def test_training_repeats_on_any_number_of_threads():
    first = content(train("first", "--seed", "7", "--threads", "2", steps=STEPS))
    assert content(train("again", "--seed", "7", "--threads", "2", steps=STEPS)) == first
    for threads in (1, 3, 4):
        policy = train(f"on{threads}", "--seed", "7", "--threads", threads, steps=STEPS)
        assert content(policy) == first, f"{threads} threads give other bits"


def test_another_seed_differs():
    one = content(trained("one"))
    two = content(train("two", "--seed", "2"))
    assert len(one) == len(two) and one != two


def test_adapting_repeats_on_any_number_of_threads():
    policy = trained("old")
    results = []
    for threads in (1, 2, 4):
        out = f"new{threads}"
        run("adapt", policy, "--task", REACH, "--gap", GAP, "--out", out, "--steps", 2048,
            "--set", "envs=8", "--set", "rollout_steps=128", "--episodes", 8, "--threads", threads)
        results.append(content(f"{out}/last.safetensors"))
    assert results[0] == results[1] == results[2]


if __name__ == "__main__":
    main(globals())
