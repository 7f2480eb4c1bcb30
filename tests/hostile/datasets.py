"""Files that are named as a dataset (`--data dataset.toml`)."""

import json

from tests.hostile.case import Case, file_of, link_to, pipe_of

TOML, JSON = "set.toml", "set.json"


def case(name, content, says, *, file=TOML, **more):
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    return Case(name=name, build=content if callable(content) else file_of(file, content), says=says, **more)


def subset(line):
    return f"[[datasets]]\n[[datasets.subsets]]\n{line}\n"


def beside(name, make):
    """A dataset that names something odd beside itself."""

    def build(folder):
        made = make(folder)
        path = folder / TOML
        key = "metadata_file" if name == "metadata_file" else "image_dir"
        more = f"image_dir = {json.dumps(str(folder))}\n" if key == "metadata_file" else ""
        path.write_text(subset(f"{more}{key} = {json.dumps(str(made))}"), encoding="utf-8")
        return path

    return build


DATASETS = (
    case("empty", b"", "names no datasets"),
    case("UTF-16", subset("image_dir = 'x'").encode("utf-16"), "UTF-16"),
    case("binary", bytes(range(256)) * 9, "not UTF-8"),
    case("2 MB", file_of(TOML, lambda: b"#" * 2_000_000), "larger"),
    case("deep JSON", '{"datasets":' + "[" * 200_000, "too deeply", file=JSON),
    case("deep objects of JSON", '{"a":' * 100_000, "too deeply", file=JSON),
    case("deep TOML", "datasets = " + "[" * 100_000, "too deeply"),
    case("JSON of NaN", '{"datasets":[{"resolution":NaN,"subsets":[{"image_dir":"x"}]}]}', "whole number", file=JSON),
    case("JSON with a huge number", f'{{"datasets":[{{"resolution":{"9" * 6000},"subsets":[{{"image_dir":"x"}}]}}]}}', "far too many digits", file=JSON),
    case("many deep objects", '{"a":[' + ",".join(['{"a":' * 400 + "1" + "}" * 400] * 400) + "]}", "not part of a dataset file", file=JSON),
    case("a bracket and many blanks", "x = [\n[" + " " * 3000 + "#]x\n]]\n", "not part of a dataset file"),
    case("a number", "3", "no dataset configuration", file=JSON),
    case("2,000 subsets", "[[datasets]]\n" + "[[datasets.subsets]]\nimage_dir='x'\n" * 2000, "too many"),
    case("2,000 datasets", "[[datasets]]\n" * 2000, "too many"),
    case("repeats beyond reason", subset("image_dir = 'x'\nnum_repeats = 99999999999"), "too large"),
    case("resolution of nothing", "[[datasets]]\nresolution = 0\n[[datasets.subsets]]\nimage_dir='x'", "at least 64"),
    case("a tab in a path", subset('image_dir = "C:\\train"'), "control character"),
    case("a zero character in a path", subset('image_dir = "a\\u0000b"'), "control character"),
    case("half a character in a path", '{"datasets":[{"subsets":[{"image_dir":"\\ud800"}]}]}', "control character", file=JSON),
    case("a path of 10,000 characters", subset(f"image_dir = '{'x' * 10_000}'"), "10000 characters"),
    case("a part of 300 characters", subset(f"image_dir = '{'x' * 300}'"), "cannot be looked at"),
    case("a folder that is a pipe", beside("image_dir", pipe_of("pipe")), "not a folder"),
    case("a folder that is a device", beside("image_dir", lambda _: "/dev/zero"), "not a folder"),
    case("a folder that is a link to itself", beside("image_dir", link_to("loop", "loop")), "cannot be looked at"),
    case("metadata that is a pipe", beside("metadata_file", pipe_of("meta.json")), "a pipe or a device"),
    case("metadata without an end", beside("metadata_file", link_to("meta.json", "/dev/zero")), "a pipe or a device"),
    case("deep metadata", beside("metadata_file", file_of("meta.json", b"[" * 300_000)), "too deeply"),
    case("metadata of half a character", beside("metadata_file", file_of("meta.json", b'{"\\ud800.png":{"caption":"\\ud800"}}')), "images are not there"),
    case("a pipe", pipe_of(TOML), "it is a pipe"),
    case("an endless device", link_to(TOML, "/dev/zero"), "a device"),
    case("a link to itself", link_to(TOML, TOML), "leads nowhere"),
)  # fmt: skip
