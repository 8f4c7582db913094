#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints a stream of length-delimited messages as JSON lines, with no code of tcpwhy's own.

Usage: decode-with-protoc.py [MESSAGE...] < STREAM

The first message is of the first type named, and so on; the last type repeats (default: Event).
`decode-with-protoc.py Header Event < x.tcpwhy` reads a recording.
"""

import inspect
import json
import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

PROTO = pathlib.Path(__file__).parent.parent / "proto"
FILES = ["tcpwhy/v1/event.proto", "tcpwhy/v1/recording.proto"]


def load_types():
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(
            ["protoc", "-I", PROTO, "--include_imports", "-o", out.name, *FILES], check=True
        )
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return lambda name: class_of(pool, pool.FindMessageTypeByName(f"tcpwhy.v1.{name}"))


def class_of(pool, descriptor):
    # Only the one is there before protobuf 4.22, only the other from 5 on.
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


def with_defaults():
    """How fields that are zero are asked for: renamed in protobuf 5."""
    name = "always_print_fields_with_no_presence"
    parameters = inspect.signature(json_format.MessageToDict).parameters
    return {name if name in parameters else "including_default_value_fields": True}


def read_varint(stream):
    value = shift = 0
    while byte := stream.read(1):
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return value
    if shift:
        raise EOFError("the stream ends inside a length")
    return None


def main():
    names = sys.argv[1:] or ["Event"]
    types = [load_types()(name) for name in names]
    stream = sys.stdin.buffer
    index = 0
    while (length := read_varint(stream)) is not None:
        data = stream.read(length)
        if len(data) < length:
            raise EOFError("the stream ends inside a message")
        message = types[min(index, len(types) - 1)].FromString(data)
        print(json.dumps(json_format.MessageToDict(
            message, **with_defaults(), preserving_proto_field_name=True
        )))
        index += 1


main()
