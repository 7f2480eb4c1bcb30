"""Small real taggers: ONNX models of some hundred numbers whose tags depend on the colours of an image."""

import csv
import io
import json
import random

RATINGS = ("general", "sensitive", "questionable", "explicit")
GENERAL = ("1girl", "solo", "long_hair", "^_^", "blue_sky", "tree", "red_theme", "water", "night", "smile", "hat_(style)", "o_o")  # fmt: skip
CHARACTERS = ("hatsune_miku", "kaito_(vocaloid)", "saber")
OTHERS = {"Copyright": ("vocaloid",), "Meta": ("highres",), "Artist": ("somebody",), "Model": ("painted",)}
QUALITY = ("best_quality", "worst_quality")


def make_table_model(folder, *, batch=None, general=GENERAL, outputs=None, seed=1):
    """`model.onnx` and `selected_tags.csv`; `batch` fixes the batch size, `outputs` makes model and table disagree."""
    rows = [(name, 9) for name in RATINGS] + [(name, 0) for name in general] + [(name, 4) for name in CHARACTERS]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["tag_id", "name", "category", "count"])
    writer.writerows((number, name, category, 1000 - number) for number, (name, category) in enumerate(rows))
    (folder / "selected_tags.csv").write_text(text.getvalue(), encoding="utf-8")
    write_network(
        folder / "model.onnx",
        outputs or len(rows),
        shape=[batch or "N", 448, 448, 3],
        axes=[1, 2],
        scale=255.0,
        seed=seed,
        sigmoid=True,
    )
    return folder


def make_mapping_model(folder, *, seed=2):
    """`model_optimized.onnx` and `tag_mapping.json`."""
    entries = [(name, "Rating") for name in RATINGS] + [(name, "General") for name in GENERAL]
    entries += [(name, "Character") for name in CHARACTERS] + [(name, "Quality") for name in QUALITY]
    entries += [(name, category) for category, names in OTHERS.items() for name in names]
    folder.mkdir(parents=True, exist_ok=True)
    table = {str(number): {"tag": name, "category": category} for number, (name, category) in enumerate(entries)}  # fmt: skip
    (folder / "tag_mapping.json").write_text(json.dumps(table), encoding="utf-8")
    write_network(
        folder / "model_optimized.onnx",
        len(entries) + 2,
        shape=["N", 3, 448, 448],
        axes=[2, 3],
        scale=1.0,
        seed=seed,
        sigmoid=False,
    )
    return folder


def write_network(path, outputs, *, shape, axes, scale, seed, sigmoid):
    """The mean colour through one layer."""
    import onnx
    from onnx import TensorProto, helper

    draw = random.Random(seed)
    weights = [draw.uniform(-6, 6) / scale for _ in range(3 * outputs)]
    offsets = [draw.uniform(-2, 2) for _ in range(outputs)]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["product"]),
        helper.make_node("Add", ["product", "offsets"], ["sum"]),
        *([helper.make_node("Sigmoid", ["sum"], ["output"])] if sigmoid else [helper.make_node("Identity", ["sum"], ["output"])]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [shape[0], outputs])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [3, outputs], weights),
            helper.make_tensor("offsets", TensorProto.FLOAT, [outputs], offsets),
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))


def make_images(folder, count, *, size=(64, 48), seed=3):
    """Small images of random colours, with captions for none of them."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    for number in range(count):
        colour = tuple(draw.randrange(256) for _ in range(3))
        Image.new("RGB", size, colour).save(folder / f"{number:04d}.png")
    return folder
