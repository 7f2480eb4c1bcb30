"""What the shim costs: CPU seconds of a rehearsal step with and without it, in the same process, alternating.

vendor/rehearsal/venv/bin/python tests/benchmarks/bench_shim.py [--blocks 12] [--steps 10]

One training is built once and then stepped in blocks, alternately bare and wrapped; the order within each pair
changes, so that warm-up and other programs weigh on both alike. Printed: the ratio of the medians over the pairs,
with the spread, and the shim's own time per step measured alone (which noise does not touch).
"""

import argparse
import statistics
import sys
import tempfile
import time
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT))

from launcher.paths import RunPaths  # noqa: E402  (needs the path)
from launcher.shim.hooks import Hooks  # noqa: E402
from launcher.shim.pace import Pace  # noqa: E402
from launcher.shim.phases import Phases  # noqa: E402
from launcher.shim.reporter import Reporter  # noqa: E402
from launcher.shim.samples import Samples  # noqa: E402
from launcher.shim.saving import Saver  # noqa: E402

ALONE_STEPS = 2000


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=12, help="pairs of blocks")
    parser.add_argument("--steps", type=int, default=10, help="steps in a block")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)  # as the rehearsal itself does
    with tempfile.TemporaryDirectory() as folder:
        run = RunPaths(folder=Path(folder) / "run")
        run.output.mkdir(parents=True)
        wrapped, bare = trainer_class(), trainer_class()
        hooks_for(run).wrap(wrapped)
        alone = own_seconds(wrapped, bare)
        pairs = measure(wrapped, bare, options)
    ratios = [with_shim / without for with_shim, without in pairs]
    step = statistics.median(without for _, without in pairs) / options.steps
    low, _, high = statistics.quantiles(ratios, n=4)
    print(
        f"CPU time of a step without the shim: {step * 1000:.1f} ms (median of {options.blocks} blocks of {options.steps})"
    )
    print(f"ratio with/without:    {statistics.median(ratios):.4f} (quartiles {low:.4f} to {high:.4f})")
    print(f"the shim alone:        {alone * 1e6:.0f} us a step = {alone / step:.3%} of a step")


def trainer_class():
    """A trainer whose step is the rehearsal's own: forward, backward, AdamW on the same network."""
    import torch

    from launcher.trainers.rehearsal import model

    class Trainer:
        unet = None

        def prepare(self):
            Trainer.unet = Trainer.unet or model.build_unet()
            parameters = [p for p in Trainer.unet.parameters() if p.dim() == 2][:200]
            self.optimizer = torch.optim.AdamW(parameters, lr=1e-4)
            self.lr_scheduler = torch.optim.lr_scheduler.ConstantLR(self.optimizer)
            self.totals = {"total_steps": 10**9, "steps_per_epoch": 20, "epochs": 10**8, "images": 20}
            self.step = 0

        def train_loop(self, args, steps, compute):
            for _ in range(steps):
                loss = self.compute() if compute else 0.5
                self.record_loss(loss, 0, self.step)
                self.step += 1
                self.sample_images(None, args, None, self.step)

        def compute(self):
            latents = torch.randn(1, 4, 8, 8)
            extra = {"text_embeds": torch.randn(1, 1280), "time_ids": torch.randn(1, 6)}
            config = Trainer.unet.config
            text = torch.randn(1, 77, config.cross_attention_dim)
            pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
            extra["text_embeds"] = torch.randn(1, pooled)
            output = Trainer.unet(latents, torch.tensor([500]), text, added_cond_kwargs=extra).sample
            loss = output.square().mean()
            for group in self.optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.requires_grad_(True)
            loss.backward() if loss.requires_grad else None
            self.optimizer.step()
            self.optimizer.zero_grad()
            return loss.item()

        def record_loss(self, loss, epoch, step):
            pass

        def sample_images(self, accelerator, args, epoch, global_step):
            pass

    return Trainer


def hooks_for(run):
    reporter, pace = Reporter(run.events), Pace()
    hooks = Hooks(run, reporter, pace, Phases(reporter), Samples(run, reporter))
    hooks.saver = Saver(run, reporter, pace, keep=3, on_lora_done=hooks.lora_done)
    return hooks


def own_seconds(wrapped, bare):
    """The shim's time per step with an empty step: many of them, so that it is far above the clock."""
    args = types.SimpleNamespace(save_every_n_steps=None, save_every_n_epochs=None, sample_prompts=None)
    spent = []
    for kind in (wrapped, bare):
        trainer = kind()
        trainer.prepare()
        began = time.perf_counter()
        trainer.train_loop(args, ALONE_STEPS, False)
        spent.append((time.perf_counter() - began) / ALONE_STEPS)
    return spent[0] - spent[1]


def measure(wrapped, bare, options):
    args = types.SimpleNamespace(save_every_n_steps=None, save_every_n_epochs=None, sample_prompts=None)
    trainers = [wrapped(), bare()]
    for trainer in trainers:
        trainer.prepare()
        trainer.train_loop(args, 3, True)  # warm-up
    pairs = []
    for number in range(options.blocks):
        seconds = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            began = time.process_time()  # CPU time: what other programs do meanwhile does not count
            trainers[which].train_loop(args, options.steps, True)
            seconds[which] = time.process_time() - began
        pairs.append(tuple(seconds))
    return pairs


if __name__ == "__main__":
    main()
