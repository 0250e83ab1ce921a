"""The readers of PyPI's mcap and mcap-protobuf-support read what we write.

Usage: test_mcap_readers.py BUILD_FOLDER
"""
import io
import os
import struct
import subprocess
import sys
import tempfile
import zlib

import PIL.Image
from foxglove_schemas_protobuf import CompressedImage_pb2, FrameTransforms_pb2, JointStates_pb2, Log_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader, SeekingReader
from mcap.records import Message
from mcap.stream_reader import StreamReader
from mcap_protobuf.decoder import DecoderFactory

MESSAGES = 200  # of test_mcap.c
TICKS = 3000    # of test_episode.c
FRAMES = 100    # of test_foxglove.c
PICTURES = 20   # of test_pictures.c


def content(i):
    """The bytes of message i, as in test_mcap.c."""
    return bytes((i * 31 + k * k) & 0xFF for k in range(i * 7 % 61))


def check_messages(reader):
    seen = list(reader.iter_messages())
    assert len(seen) == MESSAGES, len(seen)
    for i, (schema, channel, message) in enumerate(seen):
        assert (schema.name, schema.encoding) == ("test.Message", "protobuf")
        assert (channel.topic, channel.message_encoding) == (("/even", "/odd")[i % 2], "protobuf")
        assert channel.metadata == {}
        assert (message.sequence, message.log_time, message.publish_time) == (i, 1000 + i, 2000 + i)
        assert message.data == content(i)


def check_checksums(path):
    """The checksums that the readers don't verify: of the data section and of the summary."""
    data = open(path, "rb").read()
    assert data[-8:] == data[:8] == b"\x89MCAP0\r\n"
    footer = len(data) - 8 - 20
    summary_start, offset_start, summary_crc = struct.unpack("<QQI", data[footer:-8])
    assert 0 < summary_start < offset_start < footer
    assert summary_crc == zlib.crc32(data[summary_start:len(data) - 12])
    data_end = summary_start - 13
    (data_crc,) = struct.unpack("<I", data[summary_start - 4:summary_start])
    assert data[data_end] == 0x0F and data_crc == zlib.crc32(data[:data_end])


def check_offsets(path):
    """Every SummaryOffset leads to a group of its kind that is as long as it says."""
    data = open(path, "rb").read()
    offset_start = struct.unpack("<Q", data[-20:-12])[0]
    at, groups = offset_start, []
    while data[at] == 0x0E:
        opcode, start, length = struct.unpack("<BQQ", data[at + 9:at + 26])
        groups.append(opcode)
        end = start + length
        while start < end:
            assert data[start] == opcode
            start += 9 + struct.unpack("<Q", data[start + 1:start + 9])[0]
        assert start == end
        at += 26
    assert data[at] == 0x02 and groups == [0x03, 0x04, 0x0B, 0x08, 0x0D], groups


def check_compression(path, compression):
    with open(path, "rb") as f:
        reader = SeekingReader(f, validate_crcs=True)
        summary = reader.get_summary()
        s = summary.statistics
        assert (s.message_count, s.channel_count, s.schema_count) == (MESSAGES, 2, 1)
        assert (s.metadata_count, s.attachment_count) == (1, 0)
        assert s.chunk_count == len(summary.chunk_indexes) > 3
        assert (s.message_start_time, s.message_end_time) == (1000, 1000 + MESSAGES - 1)
        assert sorted(s.channel_message_counts.values()) == [MESSAGES // 2] * 2
        assert {c.compression for c in summary.chunk_indexes} == {compression}
        check_messages(reader)
        between = reader.iter_messages("/odd", starting_at=1050, ending_before=1060)
        some = [m.sequence for _, _, m in between]
        assert some == [51, 53, 55, 57, 59], some
        back = [m.sequence for _, _, m in reader.iter_messages(reverse=True)]
        assert back == list(reversed(range(MESSAGES)))
        (metadata,) = reader.iter_metadata()
        assert metadata.name == "about" and metadata.metadata == {"task": "reach", "arm": "jaco"}
        assert reader.get_header().library == "colonnade"
    with open(path, "rb") as f:
        check_messages(NonSeekingReader(f, validate_crcs=True))
    check_checksums(path)
    check_offsets(path)


def check_cut(path):
    """A linear reader keeps the whole records of a file that was cut off."""
    data = open(path, "rb").read()
    cut = path + ".cut"
    with open(cut, "wb") as f:
        f.write(data[:len(data) // 2])
    with open(cut, "rb") as f:
        stream, messages = StreamReader(f), []
        try:
            for record in stream.records:
                if isinstance(record, Message):
                    messages.append(record.sequence)
        except (McapError, struct.error, EOFError):
            pass
    assert 0 < len(messages) < MESSAGES and messages == list(range(len(messages))), messages


def check_log(path):
    counts = {"/robot/sensors": 0, "/robot/commands": 0, "/policy/step": 0, "/events": 0, "/tf": 0,
              "/log": 0}
    with open(path, "rb") as f:
        reader = SeekingReader(f, validate_crcs=True, decoder_factories=[DecoderFactory()])
        assert reader.get_summary().statistics.chunk_count > 1
        before = 0
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            assert message.log_time >= before
            before = message.log_time
            i = counts[channel.topic]
            counts[channel.topic] += 1
            if channel.topic == "/robot/sensors":
                assert schema.name == "colonnade.v1.SensorFrame"
                assert decoded.sequence == 100 + i and list(decoded.position) == [i, i + 1 / 10.0]
                assert decoded.vectors[1].name == "target" and decoded.vectors[1].value[0] == i
            elif channel.topic == "/robot/commands":
                assert decoded.sequence == 1 + i and list(decoded.target) == [i, -i]
            elif channel.topic == "/policy/step":
                assert message.sequence == i
                assert decoded.tick == i and list(decoded.observation) == [i, 2, 3]
                assert decoded.success == (i == 2)
            elif channel.topic == "/events":
                assert (decoded.kind, decoded.text) == ("end", "time")
        (metadata,) = reader.iter_metadata()
        assert metadata.name == "colonnade"
        assert metadata.metadata["arm"] == "jaco"
        assert float(metadata.metadata["control_period_s"]) == 0.05
    assert counts == {"/robot/sensors": TICKS, "/robot/commands": TICKS, "/policy/step": TICKS,
                      "/events": 1, "/tf": TICKS, "/log": 1}, counts
    check_checksums(path)


# The messages that Foxglove knows, as the classes of its own package.
FOXGLOVE = {"foxglove.JointStates": JointStates_pb2.JointStates,
            "foxglove.FrameTransforms": FrameTransforms_pb2.FrameTransforms,
            "foxglove.Log": Log_pb2.Log,
            "foxglove.CompressedImage": CompressedImage_pb2.CompressedImage}


def fields_of(descriptor):
    """What makes a message on the wire: names, numbers, types and presence, of all within it too."""
    return {(f.name, f.number, f.type, f.is_repeated, f.has_presence,
             f.message_type and (f.message_type.full_name, frozenset(fields_of(f.message_type))))
            for f in descriptor.fields}


def check_foxglove(path):
    """Foxglove's own classes decode what is for Foxglove, and the schemas in the file are theirs."""
    seen = {name: 0 for name in FOXGLOVE}
    with open(path, "rb") as f:
        reader = SeekingReader(f, validate_crcs=True)
        for schema in reader.get_summary().schemas.values():
            if schema.name in FOXGLOVE:
                check_schema(schema)
        for schema, channel, message in reader.iter_messages():
            if schema.name not in FOXGLOVE:
                continue
            i = seen[schema.name]
            seen[schema.name] += 1
            m = FOXGLOVE[schema.name].FromString(message.data)
            if channel.topic == "/joint_states":
                assert m.timestamp.ToNanoseconds() == message.log_time
                assert [j.name for j in m.joints] == ["elbow", "slide"]
                assert [j.position for j in m.joints] == [i, 0]
                assert [j.velocity for j in m.joints] == ([0, -i] if i % 2 == 0 else [0, 0])
                for j in m.joints:
                    assert j.HasField("position") and not j.HasField("acceleration")
                    assert j.HasField("velocity") == j.HasField("effort") == (i % 2 == 0)
            elif channel.topic == "/tf":
                tool, target = m.transforms
                assert (tool.parent_frame_id, tool.child_frame_id) == ("world", "tool")
                assert (tool.translation.x, tool.translation.y, tool.translation.z) == (i, 2, 3)
                assert target.child_frame_id == "target" and target.translation.z == i
                assert target.rotation.w == 1
                assert target.timestamp.ToNanoseconds() == message.log_time
            else:
                assert channel.topic == "/log", channel.topic
                assert (m.name, m.message, m.level) == ("goal", "seed 3", Log_pb2.Log.INFO)
    assert list(seen.values()) == [FRAMES, FRAMES, 1, 0], seen


def check_pictures(path):
    """Pillow decodes what Foxglove's class says is PNG; frames in the log hold no second copy."""
    count = 0
    with open(path, "rb") as f:
        reader = SeekingReader(f, validate_crcs=True, decoder_factories=[DecoderFactory()])
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            if channel.topic == "/robot/sensors":
                assert len(decoded.images) == 0 and list(decoded.position) == [message.sequence]
                continue
            assert (schema.name, channel.topic) == ("foxglove.CompressedImage", "/camera/wrist")
            check_schema(schema)
            m = CompressedImage_pb2.CompressedImage.FromString(message.data)
            assert (m.format, m.frame_id) == ("png", "wrist")
            assert m.timestamp.ToNanoseconds() == message.log_time
            image = PIL.Image.open(io.BytesIO(m.data))
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (8, 6))
            for x in range(8):
                for y in range(6):
                    assert image.getpixel((x, y)) == (30 * x, 40 * y, message.sequence)
            count += 1
    assert count == PICTURES, count


def check_schema(schema):
    """Our definition of a message is Foxglove's, field by field."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(schema.data).file:
        pool.Add(file)
    ours = fields_of(pool.FindMessageTypeByName(schema.name))
    theirs = fields_of(FOXGLOVE[schema.name].DESCRIPTOR)
    assert ours == theirs, ours ^ theirs


def main():
    with tempfile.TemporaryDirectory() as folder:
        for name in ("test_bridge_mcap", "test_bridge_episode", "test_bridge_foxglove",
                     "test_bridge_pictures"):
            subprocess.run([os.path.join(sys.argv[1], "tests", name)], check=True,
                           env={**os.environ, "CN_SAMPLE": folder}, stdout=subprocess.DEVNULL)
        for name in ("none", "lz4", "zstd"):
            check_compression(os.path.join(folder, name + ".mcap"), name.replace("none", ""))
        check_cut(os.path.join(folder, "zstd.mcap"))
        check_log(os.path.join(folder, "log.mcap"))
        check_foxglove(os.path.join(folder, "foxglove.mcap"))
        check_pictures(os.path.join(folder, "pictures.mcap"))
    print("PyPI's mcap reads every file, mcap-protobuf-support every message, Foxglove's classes theirs")


if __name__ == "__main__":
    main()
