"""Runs inside an environment of sd-scripts: what its own code makes of datasets, as one JSON line.

python tests/dataset_probe.py CODE TOKENIZERS < tasks.json > results.json

Tasks are a list of {"do": name, ...}; importing sd-scripts takes many seconds, so one process does them all.
"""

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import random
import sys
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
STRATEGIES = ("library.strategy_base", "library.strategy_sd", "library.strategy_sdxl")


class Upstream:
    """Imported sd-scripts, of either family."""

    def __init__(self, code, tokenizers):
        sys.path[:0] = [str(code), str(ROOT)]
        os.chdir(code)
        self.code, self.tokenizers = Path(code), tokenizers
        self.script = importlib.import_module("sdxl_train_network")
        self.train_util = importlib.import_module("library.train_util")
        self.config_util = importlib.import_module("library.config_util")
        self.is_fork = not hasattr(self.train_util.BaseDataset, "new_cache_latents")
        names = ("train_network", "library.train_util", "library.config_util")
        self.modules = {"sdxl_train_network": self.script}
        self.modules |= {
            name: importlib.import_module(name) for name in (*names, *(() if self.is_fork else STRATEGIES))
        }
        self.made = {}

    def args(self, words=()):
        parser = self.script.setup_parser()
        args = parser.parse_args(
            ["--tokenizer_cache_dir", self.tokenizers, "--pretrained_model_name_or_path", "model", *words]
        )
        self.train_util.prepare_dataset_args(args, True)
        return args

    def sanitize(self, config, masked_loss=False):
        sanitizer = self.config_util.ConfigSanitizer(True, True, masked_loss and not self.is_fork, True)
        return sanitizer.sanitize_user_config(config)

    def group(self, args):
        """The dataset group that a training would have."""
        random.seed(1)
        sanitizer = self.config_util.ConfigSanitizer(True, True, False, True)
        generator = self.config_util.BlueprintGenerator(sanitizer)
        config = self.config_util.load_user_config(args.dataset_config)
        if self.is_fork:
            from library import sdxl_train_util

            self.tokens = self.once("tokens", lambda: sdxl_train_util.load_tokenizers(args))
            blueprint = generator.generate(config, args, tokenizer=self.tokens)
            return self.config_util.generate_dataset_group_by_blueprint(blueprint.dataset_group)
        self.set_strategies(args)
        blueprint = generator.generate(config, args)
        return self.config_util.generate_dataset_group_by_blueprint(blueprint.dataset_group)[0]

    def set_strategies(self, args):
        base, sdxl = self.modules["library.strategy_base"], self.modules["library.strategy_sdxl"]
        trainer = self.script.SdxlNetworkTrainer()
        made = {
            base.TokenizeStrategy: self.once(
                ("tokens", args.max_token_length),
                lambda: sdxl.SdxlTokenizeStrategy(args.max_token_length, args.tokenizer_cache_dir),
            ),
            base.LatentsCachingStrategy: trainer.get_latents_caching_strategy(args),
            base.TextEncodingStrategy: sdxl.SdxlTextEncodingStrategy(),
            base.TextEncoderOutputsCachingStrategy: trainer.get_text_encoder_outputs_caching_strategy(args),
        }
        for kind, strategy in made.items():
            kind._strategy = strategy

    def once(self, key, make):
        """What takes seconds to load is loaded once."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def encoders(self, seed):
        """Two tiny text encoders of the right classes."""
        return self.once(("encoders", seed), lambda: self.make_encoders(seed))

    @staticmethod
    def make_encoders(seed):
        import torch
        from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

        torch.manual_seed(seed)
        config = CLIPTextConfig(
            vocab_size=49408, hidden_size=16, intermediate_size=16, num_hidden_layers=12, num_attention_heads=2,
            projection_dim=16,
        )  # fmt: skip
        return [CLIPTextModel(config).eval(), CLIPTextModelWithProjection(config).eval()]

    def fill_caches(self, group, args, vae, encoders, accelerator):
        if not self.is_fork:
            group.new_cache_latents(vae, accelerator)
            group.new_cache_text_encoder_outputs([*encoders, encoders[1]], accelerator)
            group.set_current_strategies()
            return
        import torch

        group.cache_latents(vae, args.vae_batch_size, args.cache_latents_to_disk, True)
        group.cache_text_encoder_outputs(
            self.tokens, encoders, "cpu", torch.float32, args.cache_text_encoder_outputs_to_disk, True
        )


class Vae:
    """Latents that are the image's brightness in small, and a little chance, as a VAE's are."""

    def __init__(self, scale, breaks=False):
        import torch

        self.dtype, self.device, self.scale, self.breaks = torch.float32, torch.device("cpu"), scale, breaks
        self.count = 0

    def encode(self, images):
        import torch

        self.count += len(images)
        small = torch.nn.functional.avg_pool2d(images.mean(dim=1, keepdim=True), 8).repeat(1, 4, 1, 1)
        latents = small * self.scale + 1e-3 * torch.randn_like(small)
        if self.breaks:
            latents[0, 0, 0, 0] = float("nan")
        return SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda: latents))


class Reporter:
    def __init__(self):
        self.events = []

    def emit(self, kind, **fields):
        self.events.append({"type": kind, **fields})


def do_schema(upstream, task):
    """Whether upstream takes each of some dataset configurations."""
    answers = []
    for config in task["configs"]:
        try:
            upstream.sanitize(config, task.get("masked_loss", False))
        except Exception as error:  # noqa: BLE001  (whatever it raises is the answer)
            answers.append(f"{type(error).__name__}: {error}"[:300])
        else:
            answers.append("")
    return answers


def do_buckets(upstream, task):
    """The bucket of every size, by upstream's own manager."""
    manager = upstream.train_util.BucketManager(
        task["no_upscale"], tuple(task["resolution"]), task["min"], task["max"], task["steps"]
    )
    if not task["no_upscale"]:
        manager.make_buckets()
    return [chosen(manager, size) for size in task["sizes"]]


def chosen(manager, size):
    """Bucket and scaled size; None where it stops, or where a side is nothing and everything after it would."""
    try:
        bucket, resized, _ = manager.select_bucket(*size)
    except (ZeroDivisionError, AssertionError):
        return None
    return [[int(side) for side in one] for one in (bucket, resized)] if min(bucket) > 0 else None


def do_length(upstream, task):
    """How many batches an epoch of a dataset.toml has, and what is in each dataset."""
    args = upstream.args([*task.get("words", ()), "--dataset_config", task["dataset"]])
    group = upstream.group(args)
    captions = {info.absolute_path: info.caption for info in group.image_data.values()}
    return {
        "batches": len(group), "train": group.num_train_images, "reg": group.num_reg_images, "captions": captions,
        "buckets": [
            sorted([list(map(int, reso)), len(keys)] for reso, keys in zip(one.bucket_manager.resos, one.bucket_manager.buckets, strict=True) if keys)
            for one in group.datasets
        ],
    }  # fmt: skip


def do_cache(upstream, task):
    """Fill caches as a training would, and look at what every image would be trained with."""
    import torch

    words = ["--cache_latents", "--cache_text_encoder_outputs", "--network_train_unet_only"]
    if task.get("to_disk", True):
        words += ["--cache_latents_to_disk", "--cache_text_encoder_outputs_to_disk"]
    words += ["--dataset_config", task["dataset"], *task.get("words", ())]
    args = upstream.args(words)
    args.pretrained_model_name_or_path = task.get("model", "model")
    reporter, vae = Reporter(), Vae(task.get("scale", 1.0), task.get("breaks", False))
    encoders = upstream.encoders(task.get("encoders", 0))
    accelerator = SimpleNamespace(
        num_processes=1, process_index=0, device=torch.device("cpu"), wait_for_everyone=lambda: None
    )
    with patched(upstream, task, args, reporter):
        group = upstream.group(args)
        torch.manual_seed(3)
        try:
            upstream.fill_caches(group, args, vae, encoders, accelerator)
        except Exception as error:  # noqa: BLE001  (whatever it raises is the answer)
            return {"error": f"{type(error).__name__}: {error}", "events": reporter.events}
        after = torch.rand(1).item()
        try:
            seen = seen_by_training(upstream, group)
        except Exception as error:  # noqa: BLE001  (whatever it raises is the answer)
            return {"error": f"{type(error).__name__}: {error}", "events": reporter.events}
    return {"seen": seen, "encoded": vae.count, "events": reporter.events, "random": after}


@contextlib.contextmanager
def patched(upstream, task, args, reporter):
    """The shim's part, for one run; stock without "cache_dir"."""
    if "cache_dir" not in task:
        yield
        return
    from launcher.paths import RunPaths
    from launcher.shim.context import Context
    from launcher.shim.upstream import caches

    os.environ["LAUNCHER_CACHE_DIR"] = task["cache_dir"]
    kept = remember(upstream)
    caches.install(
        Context(
            version="test", code=upstream.code, modules=upstream.modules, args=args, reporter=reporter,
            trainer_class=upstream.script.SdxlNetworkTrainer, run=RunPaths(folder=Path(task["cache_dir"]) / "run"),
            switches={"cache_images": task.get("cache_images", "folder"), "vae_encode": task.get("vae_encode", "rows")},
        )
    )  # fmt: skip
    try:
        yield
    finally:
        for place, name, value in kept:
            setattr(place, name, value)


def remember(upstream):
    names = (
        "new_cache_latents",
        "new_cache_text_encoder_outputs",
        "cache_latents",
        "cache_text_encoder_outputs",
    )
    base = upstream.train_util.BaseDataset
    kept = [(base, name, getattr(base, name)) for name in names if hasattr(base, name)]
    if upstream.is_fork:
        fine = upstream.train_util.FineTuningDataset
        return [*kept, (fine, "image_key_to_npz_file", fine.image_key_to_npz_file)]
    parent = upstream.modules["library.strategy_base"].LatentsCachingStrategy
    return kept + [
        (kind, "cache_suffix", kind.__dict__["cache_suffix"]) for kind in (parent, *parent.__subclasses__())
    ]


def seen_by_training(upstream, group):
    """For every image: mean and shape of its latents, and a hash of its text encoder outputs."""
    seen = {}
    for number, dataset in enumerate(group.datasets):
        for index in range(len(dataset)):
            place = dataset.buckets_indices[index]
            (key,) = dataset.bucket_manager.buckets[place.bucket_index][
                place.batch_index : place.batch_index + 1
            ]
            item = dataset[index]
            texts = (
                [item[f"text_encoder_outputs{n}_list"] for n in (1, 2)]
                if upstream.is_fork
                else item["text_encoder_outputs_list"]
            )
            digest = hashlib.sha256(b"".join(text.float().numpy().tobytes() for text in texts)).hexdigest()
            seen[f"{number}:{Path(key).name}:{Path(key).parent.name}"] = {
                "mean": round(float(item["latents"].abs().mean()), 2),
                "latents": hashlib.sha256(item["latents"].numpy().tobytes()).hexdigest()[:16],
                "shape": list(item["latents"].shape[1:]),
                "text": digest[:16],
                "size": [int(side) for side in item["original_sizes_hw"][0]],
            }
    return seen


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("code")
    parser.add_argument("tokenizers")
    options = parser.parse_args()
    tasks = json.load(sys.stdin)
    answer_to = sys.stdout
    sys.stdout = sys.stderr  # upstream prints
    upstream = Upstream(options.code, options.tokenizers)
    doing = {
        "schema": do_schema,
        "buckets": do_buckets,
        "length": do_length,
        "cache": do_cache,
        "edit": do_edit,
        "list": do_list,
    }
    answers = [doing[task["do"]](upstream, task) for task in tasks]
    json.dump(answers, answer_to)


def do_list(_upstream, task):
    """All files below a folder, with their contents' hashes."""
    root = Path(task["path"])
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def do_edit(_upstream, task):
    """Change a file between two runs."""
    path = Path(task["path"])
    if "text" in task:
        path.write_text(task["text"], encoding="utf-8")
    elif "copy" in task:
        path.write_bytes(Path(task["copy"]).read_bytes())
    elif "cut" in task:
        for file in path.glob(task.get("glob", "*.npz")):
            file.write_bytes(file.read_bytes()[: task["cut"]])


if __name__ == "__main__":
    main()
