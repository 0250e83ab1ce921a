"""Training sets: h5py reads what was written, and every number is one of the log as PyPI's mcap reads it.

Usage: test_export.py BUILD_FOLDER
"""
import json
import os
import resource

import h5py
import numpy as np
from mcap.reader import make_reader
from mcap.writer import Writer
from mcap_protobuf.decoder import DecoderFactory
from program import (FAILED, JACO, REACH, content, contents, finish, logged, main, recorded, run, run_json,
                     said, start)

SECONDS = 6.5  # two goals of 2.5 s and a part of a third
# Of scenes/reach.yaml: the first observations are the joints' positions minus these.
CENTER = np.array([0.0, 0.35, 1.25, 0.75, 0.0, 0.0])

def frames_and_steps(path):
    """(frames by sequence, steps in order)."""
    return {m.sequence: m for m in logged(path, "/robot/sensors")}, logged(path, "/policy/step")


def rewritten(path, out, about=(), without=()):
    """A copy by PyPI's writer, with other metadata, and without frames of some sequences."""
    with open(path, "rb") as source, open(out, "wb") as target:
        reader, writer = make_reader(source, decoder_factories=[DecoderFactory()]), Writer(target)
        writer.start()
        (metadata,) = reader.iter_metadata()
        writer.add_metadata(metadata.name, {**metadata.metadata, **dict(about)})
        channels = {}
        for schema, channel, message, content_ in reader.iter_decoded_messages():
            if channel.topic == "/robot/sensors" and content_.sequence in without:
                continue
            if channel.id not in channels:
                there = writer.register_schema(schema.name, schema.encoding, schema.data)
                channels[channel.id] = writer.register_channel(channel.topic, channel.message_encoding,
                                                               there)
            writer.add_message(channels[channel.id], message.log_time, message.data,
                               message.publish_time, message.sequence)
        writer.finish()
    return out


def expected(path):
    """The demonstrations of a log: lists of (step, frame, frame after it, step after it or None)."""
    frames, steps = frames_and_steps(path)
    by_frame = {step.frame: step for step in steps}
    demos = {}
    for step in steps:
        now, then = frames.get(step.frame), frames.get(step.frame + 1)
        if now and then and now.resets == then.resets:
            demos.setdefault(now.resets, []).append((step, now, then, by_frame.get(step.frame + 1)))
    return list(demos.values()), len(steps)


def vector(frame, name):
    (found,) = [v.value for v in frame.vectors if v.name == name]
    return list(found)


def equal(dataset, values, kind):
    values = np.array(values, kind)
    assert dataset.dtype == values.dtype and dataset.shape == values.shape, (dataset, values.shape)
    assert np.array_equal(dataset[()], values), (dataset, np.abs(dataset[()] - values).max())


def check_observations(group, frames):
    equal(group["joint_position"], [list(f.position) for f in frames], np.float64)
    equal(group["joint_velocity"], [list(f.velocity) for f in frames], np.float64)
    for point in ("tool", "target"):
        equal(group[f"point_{point}"], [vector(f, point) for f in frames], np.float64)
    assert set(group) == {"joint_position", "joint_velocity", "point_tool", "point_target",
                          "observation"}


def check_demo(demo, samples):
    steps, now, then, after = zip(*samples)
    n = len(samples)
    assert demo.attrs["num_samples"] == n
    assert set(demo) == {"actions", "rewards", "dones", "states", "obs", "next_obs"}
    equal(demo["actions"], [np.clip(s.action, -1, 1) for s in steps], np.float32)
    equal(demo["dones"], [0] * (n - 1) + [1], np.int64)
    equal(demo["states"], [[*f.position, *f.velocity, *vector(f, "tool"), *vector(f, "target")]
                           for f in now], np.float64)
    check_observations(demo["obs"], now)
    check_observations(demo["next_obs"], then)
    equal(demo["obs/observation"], [list(s.observation) for s in steps], np.float32)
    # What came of an action is logged with the decision after it; the rest the observer computes.
    known = [i for i in range(n) if after[i]]
    assert len(known) >= n - 2
    rewards, seen = demo["rewards"][()], demo["next_obs/observation"][()]
    assert rewards.dtype == np.float32 and rewards.shape == (n,) and seen.shape[0] == n
    for i in known:
        assert rewards[i] == np.float32(after[i].reward), (i, rewards[i], after[i].reward)
        assert np.array_equal(seen[i], np.array(after[i].observation, np.float32)), i
    for i in set(range(n)) - set(known):
        assert np.isfinite(rewards[i]) and -5 < rewards[i] < 2
        assert np.allclose(seen[i][:6], np.array(then[i].position) - CENTER, atol=1e-5)


def check_set(path, logs):
    with h5py.File(path, "r", swmr=True, libver="latest") as file:  # as robomimic opens it
        data, demos = file["data"], [demo for log in logs for demo in expected(log)[0]]
        assert set(data) == {f"demo_{i}" for i in range(len(demos))}
        for i, samples in enumerate(demos):
            check_demo(data[f"demo_{i}"], samples)
        assert data.attrs["total"] == sum(map(len, demos))
        about = json.loads(data.attrs["env_args"])
        assert set(about) == {"env_name", "type", "env_kwargs"} and about["env_name"] == "reach"
        assert about["env_kwargs"]["arm"] == "reach_arm" and len(about["env_kwargs"]["joints"]) == 6
        assert sum(g["size"] for g in about["env_kwargs"]["observation"]) == \
            data["demo_0/obs/observation"].shape[1]
        return len(demos), int(data.attrs["total"])


def test_every_number_is_the_logs():
    log = recorded(SECONDS)
    report = run_json("export", "export", log, "--robomimic", "out.hdf5")
    demos, samples = check_set("out.hdf5", [log])
    assert demos >= 3 and samples > 100  # of the fewer periods that a busy machine makes
    assert (report["demos"], report["samples"], report["file"]) == (demos, samples, "out.hdf5")
    assert report["left_out"] == expected(log)[1] - samples


def test_several_logs_and_missing_frames():
    log = recorded(SECONDS)
    frames, steps = frames_and_steps(log)
    (middle,) = [s.frame for s in steps if s.tick == 20]
    holed = rewritten(log, "holed.mcap", without=[middle])
    report = run_json("export", "export", log, holed, "--robomimic", "out.hdf5")
    demos, samples = check_set("out.hdf5", [log, holed])
    whole = expected(log)
    assert (report["demos"], report["samples"]) == (demos, samples) == \
        (2 * len(whole[0]), 2 * sum(map(len, whole[0])) - 2)
    assert report["left_out"] == 2 * (whole[1] - sum(map(len, whole[0]))) + 2
    with h5py.File("out.hdf5", "r") as file:
        logs = [file[f"data/demo_{i}"].attrs["log"] for i in range(demos)]
        goals = [int(file[f"data/demo_{i}"].attrs["goal"]) for i in range(demos)]
        left_out = [int(file[f"data/demo_{i}"].attrs["left_out"]) for i in range(demos)]
    assert logs == [log] * (demos // 2) + [holed] * (demos // 2)
    assert goals[:demos // 2] == goals[demos // 2:] and len(set(goals)) == demos // 2
    assert left_out[demos // 2] == left_out[0] + 2, left_out


def test_success_is_marked():
    """With a task under which every reading is a success, and one under which none is."""
    log = recorded(SECONDS)
    assert run_json("export", "export", log, "--robomimic", "out.hdf5")["successes"] == 0
    with h5py.File("out.hdf5", "r") as file:
        assert "mask" not in file and not any(d.attrs["success"] for d in file["data"].values())
    task = content(REACH).decode().replace("model: ", f"model: {os.path.dirname(REACH)}/")
    success = "success: {from: tool, to: target, below: 0.05, hold: 5"
    assert success in task
    with open("easy.yaml", "w", encoding="utf-8") as file:
        file.write(task.replace(success, "success: {from: tool, to: target, below: 9, hold: 1"))
    run("export", log, "--robomimic", "easy.hdf5", "--task", "easy.yaml")
    with h5py.File("easy.hdf5", "r") as file:
        ended = [name for name, demo in file["data"].items() if demo.attrs["success"]]
        mask = [name.decode("utf-8") for name in np.array(file["mask/successful"][:])]
        assert ended and sorted(mask) == sorted(ended)


def refused(words, *arguments):
    """The export fails with one line and changes nothing, not even a set that is there."""
    with open("out.hdf5", "w", encoding="utf-8") as file:
        file.write("what was there")
    before = contents(".")
    out, error = finish(start("export", *arguments, "--robomimic", "out.hdf5"), FAILED)
    said(error, *words)
    assert out == "" and contents(".") == before


def test_what_cannot_be_exported():
    log = recorded(SECONDS)
    other_arm = rewritten(log, "arm.mcap", {"arm": "other_arm"})
    other_task = rewritten(log, "task.mcap", {"task": "push"})
    lost_task = rewritten(log, "lost.mcap", {"task_file": "/no/such.yaml"})
    refused(["arm.mcap", "'other_arm'", "'reach_arm'"], log, other_arm)
    refused(["task.mcap", "'push'", "'reach'"], log, other_task)
    refused([log, "'reach_arm'", "'jaco'"], log, "--task", JACO)
    refused(["lost.mcap", "/no/such.yaml", "--task"], lost_task)
    refused([REACH, "MCAP"], log, REACH)
    refused(["no.mcap"], log, "no.mcap")
    empty = rewritten(log, "empty.mcap", without=frames_and_steps(log)[0])
    refused(["empty.mcap", "no policy steps"], log, empty)
    _, error = finish(start("export", log, "--robomimic", "no/folder/out.hdf5"), FAILED)
    said(error, "no/folder/out.hdf5")
    assert run_json("export", "export", lost_task, "--task", REACH, "--robomimic", "out.hdf5")["demos"] >= 3


def test_a_full_disk():
    """No file may become larger than some size, as on a disk that has no more room."""
    log = recorded(SECONDS)
    run("export", log, "--robomimic", "out.hdf5")
    whole = os.path.getsize("out.hdf5")
    before = contents(".")
    for room in (0, 1000, whole // 2, whole - 1):
        process = start("export", log, "--robomimic", "out.hdf5", restore_signals=False,
                        preexec_fn=lambda size=room: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
        _, error = finish(process, FAILED)
        said(error, "out.hdf5", "File too large")
        assert contents(".") == before


if __name__ == "__main__":
    main(globals())
