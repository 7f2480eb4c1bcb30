"""What the shim costs: CPU seconds of a rehearsal step with and without it, in the same process, alternating.

vendor/rehearsal/venv/bin/python tests/benchmarks/bench_shim.py [--pairs 80]

One network is built once and stepped, alternately bare and wrapped; the order within each pair changes, so that
warm-up and other programs weigh on both alike. Printed: the ratio of the medians, with the quartiles of the pairs'
ratios, and the shim's own time per step measured alone over many empty steps (which noise does not touch).
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
    parser.add_argument("--pairs", type=int, default=80, help="pairs of steps")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(1)  # as the rehearsal itself does
    with tempfile.TemporaryDirectory() as folder:
        run = RunPaths(folder=Path(folder) / "run")
        run.output.mkdir(parents=True)
        unet = build_unet()
        wrapped, bare = trainer_class(unet), trainer_class(unet)
        hooks_for(run).wrap(wrapped)
        alone = own_seconds(wrapped, bare)
        pairs = measure(wrapped, bare, options)
    step = statistics.median(without for _, without in pairs)
    low, _, high = statistics.quantiles((with_shim / without for with_shim, without in pairs), n=4)
    ratio = statistics.median(with_shim for with_shim, _ in pairs) / step
    print(f"CPU time of a step without the shim: {step * 1000:.1f} ms (median of {options.pairs})")
    print(
        f"ratio with/without:                  {ratio:.4f} (quartiles of the pairs {low:.4f} to {high:.4f})"
    )
    print(f"the shim alone:                      {alone * 1e6:.0f} us a step = {alone / step:.3%} of a step")


def build_unet():
    """The rehearsal's own network, with 200 of its matrices to train."""
    from launcher.trainers.rehearsal import model

    unet = model.build_unet()
    for parameter in trained(unet):
        parameter.requires_grad_(True)
    return unet


def trained(unet):
    return [parameter for parameter in unet.parameters() if parameter.dim() == 2][:200]


def trainer_class(unet):
    """A trainer whose step is like the rehearsal's: forward, backward, AdamW on the same network."""
    import torch

    class Trainer:
        def prepare(self):
            parameters = trained(unet)
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
            config = unet.config
            text = torch.randn(1, 77, config.cross_attention_dim)
            pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
            extra = {"text_embeds": torch.randn(1, pooled), "time_ids": torch.randn(1, 6)}
            output = unet(latents, torch.tensor([500]), text, added_cond_kwargs=extra).sample
            loss = output.square().mean()
            loss.backward()
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
    for number in range(options.pairs):
        seconds = [0.0, 0.0]
        for which in (0, 1) if number % 2 else (1, 0):
            began = time.process_time()  # CPU time: what other programs do meanwhile does not count
            trainers[which].train_loop(args, 1, True)
            seconds[which] = time.process_time() - began
        pairs.append(tuple(seconds))
    return pairs


if __name__ == "__main__":
    main()
