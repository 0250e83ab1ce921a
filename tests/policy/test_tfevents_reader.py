"""TensorBoard itself reads the event file that test_policy_tfevents writes.

Usage: test_tfevents_reader.py BUILD_FOLDER
"""
import os
import subprocess
import sys
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main():
    program = os.path.join(sys.argv[1], "tests", "test_policy_tfevents")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program], env={**os.environ, "CN_SAMPLE": folder}, check=True,
                       stdout=subprocess.DEVNULL)
        events = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0})
        events.Reload()
        assert events.file_version == 2.0, events.file_version
        tags = events.Tags()
        assert sorted(tags["scalars"]) == ["train/return", "train/success"], tags
        for tag, scale in (("train/return", 0.25), ("train/success", -1.0)):
            points = [(e.step, e.value) for e in events.Scalars(tag)]
            assert points == [(i * 1000, i * scale) for i in range(100)], (tag, points[:3])
    print("TensorBoard reads both curves")


if __name__ == "__main__":
    main()
