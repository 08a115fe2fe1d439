"""The schema of a Terraform provider, asked of its binary by Terraform's own plugin protocol (version 5).

https://github.com/hashicorp/terraform/blob/main/docs/plugin-protocol/tfplugin5.proto; of an attribute
only its name is read, and whether it is a list.
"""

import json
import os
import re
import select
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

COOKIE = {"TF_PLUGIN_MAGIC_COOKIE": "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"}
"""Terraform's handshake; without it a provider prints that it is a plugin and ends."""
START_SECONDS = 60


class ProviderError(Exception):
    """The provider did not start."""


@dataclass(frozen=True)
class Block:
    """Attributes and blocks that a resource, or a block inside one, may have."""

    attributes: frozenset[str]
    blocks: Mapping[str, "Block"]
    lists: frozenset[str] = frozenset()
    """The attributes that are lists or sets of plain values."""


def schema(binary: Path) -> tuple[dict[str, Block], dict[str, Block]]:
    """Return the resources and the data sources of a provider by name (`aws_vpc`)."""
    response = _messages()["Response"]
    with tempfile.TemporaryDirectory() as folder, _provider(binary, Path(folder)) as address:
        channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
        with channel:
            ask = channel.unary_unary("/tfplugin5.Provider/GetSchema", response_deserializer=response.FromString)
            answer = ask(b"", timeout=START_SECONDS)
    return (
        {entry.key: _block(entry.value.block) for entry in answer.resource_entries},
        {entry.key: _block(entry.value.block) for entry in answer.data_source_entries},
    )


@contextmanager
def _provider(binary: Path, folder: Path) -> Iterator[str]:
    """Run the provider and yield the address that it prints: `1|5|unix|/tmp/plugin123|grpc|`.

    `folder` takes its socket and its log. Raises ProviderError if it does not print one in time.
    """
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), "PLUGIN_PROTOCOL_VERSIONS": "5", **COOKIE}
    log = folder / "log"
    with (
        log.open("wb") as errors,
        subprocess.Popen([str(binary)], env=environment, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
            said = process.stdout.readline().decode().strip() if ready else ""
            handshake = re.fullmatch(r"1\|5\|unix\|([^|]+)\|grpc(\|.*)?", said)
            if handshake is None:
                raise ProviderError(f"{binary} printed no handshake but {said!r}; its log: {log.read_text()[-1000:]}")
            yield f"unix:{handshake[1]}"
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


PLAIN_LISTS = [[kind, inside] for kind in ("list", "set") for inside in ("string", "number", "bool")]


def _block(message: Any) -> Block:
    types = {attribute.name: json.loads(attribute.type) for attribute in message.attributes}
    objects = {name: _object(kind) for name, kind in types.items()}
    return Block(
        frozenset(name for name, inside in objects.items() if inside is None),
        {name: inside for name, inside in objects.items() if inside is not None}
        | {nested.type_name: _block(nested.block) for nested in message.block_types},
        frozenset(name for name, kind in types.items() if kind in PLAIN_LISTS),
    )


def _object(kind: Any) -> Block | None:
    """Return what an attribute of objects has inside, `["set", ["object", {...}]]`; None for any other attribute."""
    match kind:
        case ["list" | "set", inside]:
            return _object(inside)
        case ["object", members]:
            return Block(frozenset(members), {})
        case _:
            return None


# Message -> its fields: name, number, type; a `*` repeats, and a capital letter begins another message.
MESSAGES: Mapping[str, tuple[tuple[str, int, str], ...]] = {
    "Attribute": (("name", 1, "string"), ("type", 2, "bytes")),
    "NestedBlock": (("type_name", 1, "string"), ("block", 2, "Block")),
    "Block": (("attributes", 2, "*Attribute"), ("block_types", 3, "*NestedBlock")),
    "Schema": (("block", 2, "Block"),),
    "Entry": (("key", 1, "string"), ("value", 2, "Schema")),
    "Response": (("resource_entries", 2, "*Entry"), ("data_source_entries", 3, "*Entry")),
}
"""The part of the protocol that is read; what else is in an answer is skipped."""


SCALARS = {
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
}


def _messages() -> dict[str, Any]:
    """Return the classes of MESSAGES."""
    field_type = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="slipway/tfplugin5.proto", package="slipway.tfplugin5")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            added = message.field.add(name=field, number=number)
            added.label = field_type.LABEL_REPEATED if kind.startswith("*") else field_type.LABEL_OPTIONAL
            if kind in SCALARS:
                added.type = SCALARS[kind]
            else:
                added.type, added.type_name = field_type.TYPE_MESSAGE, f".{file.package}.{kind.lstrip('*')}"
    file.syntax = "proto3"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{name}")) for name in MESSAGES
    }
