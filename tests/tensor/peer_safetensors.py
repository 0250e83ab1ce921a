"""The safetensors package on the other side of test_safetensors.c.

peer_safetensors.py write PATH   writes the tensors and metadata that the C test expects
peer_safetensors.py check PATH   exits 0 only if PATH, written by the C test, holds exactly them
"""
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

TENSORS = {
    "flags": np.array([True, False, True]),
    "floats": np.array([[0.0, -1.5, 3.25], [1e-40, 3e38, -0.0]], dtype=np.float32),
    "doubles": np.array([1.0 / 3.0, -2e300]).reshape(1, 2, 1),
    "integers": np.array([-(2**63), 0, 2**63 - 1], dtype=np.int64),
    "wide": np.array(2**64 - 1, dtype=np.uint64),
    "empty": np.zeros((0, 4), dtype=np.float32),
}
METADATA = {"task": 'reach "the" cup', "words": "grüß dich\n", "empty": ""}


def check(path):
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == METADATA, file.metadata()
        assert set(file.keys()) == set(TENSORS), file.keys()
        for name, want in TENSORS.items():
            got = file.get_tensor(name)
            assert got.dtype == want.dtype and got.shape == want.shape, (name, got)
            assert got.tobytes() == want.tobytes(), (name, got)


if __name__ == "__main__":
    verb, path = sys.argv[1:]
    if verb == "write":
        save_file(TENSORS, path, metadata=METADATA)
    elif verb == "check":
        check(path)
    else:
        sys.exit(f"unknown verb '{verb}': write or check")
