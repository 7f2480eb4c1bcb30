"""Files that are named as a base model."""

import json
import struct

from tests.hostile.case import Case, file_of, folder_of, link_to, pipe_of, socket_of

NAME = "model.safetensors"
U = "model.diffusion_model."
SDXL = {
    f"{U}input_blocks.0.0.weight": (320, 4, 3, 3), f"{U}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048),
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": (768,), "conditioner.embedders.1.model.ln_final.weight": (1280,),
    "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
}  # fmt: skip


def raw(header, *, body=64, length=None):
    header = header if isinstance(header, bytes) else header.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(header) if length is None else length) + header + bytes(body)


def entry(shape="[16]", offsets="[0,32]", dtype='"F16"', more=""):
    return f'{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}{more}}}'


def one(**fields):
    return raw(f'{{"a":{entry(**fields)}}}')


def sdxl(metadata=None, extra=()):
    """A sound checkpoint: the tensors are a hole."""
    table, at = {"__metadata__": metadata} if metadata else {}, 0
    for name, shape in {**SDXL, **dict(extra)}.items():
        count = 2
        for side in shape:
            count *= side
        table[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + count]}
        at += count
    return json.dumps(table).encode(), at


def checkpoint(**options):
    def build(folder):
        header, size = sdxl(options.get("metadata"), options.get("extra", ()))
        path = folder / options.get("name", NAME)
        with path.open("wb") as stream:
            stream.write(struct.pack("<Q", len(header)) + header)
            stream.truncate(8 + len(header) + size - options.get("cut", 0))
        return path

    return build


def hollow(length, size):
    """A length that the file has room for, by a hole that takes none."""

    def build(folder):
        path = folder / NAME
        with path.open("wb") as stream:
            stream.write(struct.pack("<Q", length) + b"{")
            stream.truncate(size)
        return path

    return build


def model(name, build, says, **more):
    return Case(name=name, build=build if callable(build) else file_of(NAME, build), says=says, **more)


DAMAGED = "its header is damaged"
MODELS = (
    model("empty", b"", "it is empty"),
    model("three bytes", b"abc", "not a safetensors file"),
    model("only zeros", file_of(NAME, lambda: bytes(100_000)), "only zeros"),
    model("a web page", b"<!DOCTYPE html><html>log in</html>" * 9, "web page"),
    model("a pickle that would run a program", b"\x80\x04cos\nsystem\n(S'echo hacked'\ntR.", "pickle"),
    model("a zip with a pickle", file_of("model.ckpt", b"PK\x03\x04" + bytes(999)), "pickle"),
    model("a checkpoint of no known form", file_of("model.ckpt", b"\xff" * 999), "pickle"),
    model("length 2^63", raw("{}", length=2**63), "not a safetensors file"),
    model("length -1", raw("{}", length=2**64 - 1), "not a safetensors file"),
    model("length beyond the end", raw("{}", length=10**6), "not a safetensors file"),
    model("10 million tensors", hollow(500_000_000, 600_000_000), "476 MiB"),
    model("half a million tensors", file_of(NAME, lambda: raw("{" + ",".join(f'"{n}":{{"dtype":"U8","shape":[],"data_offsets":[0,0]}}' for n in range(500_000)) + "}")), "far too many"),
    model("30 million numbers", file_of(NAME, lambda: raw('{"a":[' + "1," * 15_000_000 + "1]}")), "far too many"),
    model("32 MB of brackets", file_of(NAME, lambda: raw("[" * (32 << 20))), DAMAGED),
    model("deep objects", file_of(NAME, lambda: raw('{"a":' * 200_000)), DAMAGED),
    model("a name twice", raw(f'{{"a":{entry()},"a":{entry()}}}'), DAMAGED),
    model("overlapping tensors", raw(f'{{"a":{entry()},"b":{entry(offsets="[16,48]")}}}'), DAMAGED),
    model("a gap between tensors", raw(f'{{"a":{entry()},"b":{entry(offsets="[40,72]")}}}', body=72), DAMAGED),
    model("offsets beyond the file", one(shape="[500]", offsets="[0,1000]"), "its end is missing"),
    model("offsets backwards", one(offsets="[32,0]"), DAMAGED),
    model("negative offsets", one(offsets="[-32,0]"), DAMAGED),
    model("a shape of NaN", one(shape="[NaN]"), DAMAGED),
    model("a shape of 1e400", one(shape="[1e400]"), DAMAGED),
    model("a shape of true", one(shape="[true]", offsets="[0,2]"), DAMAGED),
    model("a side of 5,000 digits", one(shape=f"[{'9' * 5000}]"), DAMAGED),
    model("100,000 sides of 4,000 digits", file_of(NAME, lambda: one(shape=f"[{','.join(['9' * 100] * 100_000)}]")), DAMAGED),
    model("a type that is a list", one(dtype='["F16"]'), DAMAGED),
    model("a type of no library", one(dtype='"F3\\u001b[31m"'), "it stores numbers as F3[31m"),
    model("a shape as a text", one(shape='"16"'), DAMAGED),
    model("half a character, escaped", raw(f'{{"\\ud800":{entry()}}}', body=32), DAMAGED),
    model("half a character, raw", raw(f'{{"\ud800":{entry()}}}', body=32), DAMAGED),
    model("a header in UTF-16", raw(f'{{"a":{entry()}}}'.encode("utf-16")), DAMAGED),
    model("a byte order mark", raw(b"\xef\xbb\xbf" + f'{{"a":{entry()}}}'.encode(), body=32), DAMAGED),
    model("metadata that is a list", raw(f'{{"__metadata__":[1],"a":{entry()}}}', body=32), DAMAGED),
    model("metadata that is no text", raw(f'{{"__metadata__":{{"a":1}},"a":{entry()}}}', body=32), DAMAGED),
    model("no tensor", raw("{}"), "no tensor"),
    model("bytes behind the end", raw(f'{{"a":{entry()}}}', body=99), "bytes behind its end"),
    model("names with colours for a terminal", raw(f'{{"\\u001b[31mred\\u0007":{entry()}}}', body=32), "not an SDXL checkpoint"),
    model("a download cut off", checkpoint(cut=1), "interrupted"),
    model("a folder", folder_of(NAME), "it is no file"),
    model("a pipe", pipe_of(NAME), "it is no file"),
    model("a socket", socket_of(NAME), "it is no file"),
    model("an endless device", link_to(NAME, "/dev/zero"), "it is no file"),
    model("a link to itself", link_to(NAME, NAME), "cannot be used"),
    model("a link to nowhere", link_to(NAME, "/nowhere/model.safetensors"), "it is not there"),
    model("a picture of 20 MB in the metadata", checkpoint(metadata={"modelspec.thumbnail": "A" * 20_000_000}), ""),
    model("a metadata title with colours", checkpoint(metadata={"modelspec.title": "\x1b]0;owned\x07"}), ""),
    model("a name of many scripts", checkpoint(name="模型 модель موديل 모델 mödel 🎨 ✓.safetensors"), ""),
)  # fmt: skip
