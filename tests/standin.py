"""A trainer of two layers with the interface of sd-scripts: what the shim needs to be tested in seconds.

Runs in the training environment. Deterministic: batches are a pure function of (seed, step). `--act` makes it
misbehave at a step, `--step_seconds` and `--cache_seconds` make it slow enough to be killed at a chosen moment.
"""

import argparse
import json
import logging
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import (
    load_file,
    save_file,
)  # copied at import, as many trainers do: the shim must be earlier


def setup_parser():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--config_file")
    parser.add_argument("--dataset_config")
    parser.add_argument("--output_dir", default="output")
    parser.add_argument("--output_name", default="last")
    parser.add_argument("--resume")
    parser.add_argument("--skip_until_initial_step", action="store_true")
    parser.add_argument("--max_train_steps", type=int, default=10)
    parser.add_argument("--steps_per_epoch", type=int, default=5)
    parser.add_argument("--save_every_n_steps", type=int)
    parser.add_argument("--save_every_n_epochs", type=int)
    parser.add_argument("--save_state", action="store_true")
    parser.add_argument("--sample_prompts")
    parser.add_argument("--sample_every_n_steps", type=int)
    parser.add_argument("--seed", type=int, default=7)
    # What sd-scripts has no option for comes from the environment: a plan refuses options that it does not know.
    parser.add_argument("--width", type=int, default=int(os.environ.get("STANDIN_WIDTH", "32")))
    parser.add_argument(
        "--step_seconds", type=float, default=float(os.environ.get("STANDIN_STEP_SECONDS", "0"))
    )
    parser.add_argument(
        "--cache_seconds", type=float, default=float(os.environ.get("STANDIN_CACHE_SECONDS", "0"))
    )
    parser.add_argument(
        "--act", default=os.environ.get("STANDIN_ACT", ""), help="STEP:raise, exit0, warn or kill"
    )
    return parser


def read_config_from_file(args, parser):
    if not args.config_file:
        return args
    import tomllib

    values = tomllib.loads(Path(args.config_file).read_text(encoding="utf-8"))
    known = {action.dest for action in parser._actions}
    parser.set_defaults(**{key: value for key, value in values.items() if key in known})
    return parser.parse_args()


class StandinTrainer:
    def train(self, args):
        pretend_boosts(args)
        self.accelerator = Accelerator(cpu=os.environ.get("STANDIN_GPU") != "1")
        torch.manual_seed(args.seed)
        net = torch.nn.Sequential(
            torch.nn.Linear(8, args.width), torch.nn.Tanh(), torch.nn.Linear(args.width, 8)
        )
        self.load_models(args)
        self.cache_latents(args)
        self.cache_text_encoder_outputs(args)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.max_train_steps)
        self.net, self.optimizer, self.lr_scheduler = self.accelerator.prepare(net, optimizer, scheduler)
        self.step = 0
        self.accelerator.register_save_state_pre_hook(self._write_train_state)
        if args.resume:
            self.accelerator.load_state(args.resume)
            self.step = json.loads((Path(args.resume) / "train_state.json").read_text())["current_step"]
        per_epoch = args.steps_per_epoch
        epochs = -(-args.max_train_steps // per_epoch)
        self.per_epoch = per_epoch
        self.totals = {
            "total_steps": args.max_train_steps,
            "steps_per_epoch": per_epoch,
            "epochs": epochs,
            "images": per_epoch,
        }
        self.train_loop(args)
        if args.save_state:
            self.accelerator.save_state(str(Path(args.output_dir) / f"{args.output_name}-state"))
        self._save_lora(args, args.output_name)

    def _write_train_state(self, _models, _weights, output_dir):
        state = {"current_epoch": max(1, -(-self.step // self.per_epoch)), "current_step": self.step}
        (Path(output_dir) / "train_state.json").write_text(json.dumps(state))

    def load_models(self, args):
        pass

    def cache_latents(self, args):
        for done in range(1, 11):
            time.sleep(args.cache_seconds / 10)
            self.caching_progress("cache_latents", done, 10)

    def cache_text_encoder_outputs(self, _args):
        self.caching_progress("cache_text_encoder_outputs", 1, 1)

    def caching_progress(self, phase, done, total):
        pass

    def record_loss(self, loss, epoch, step):
        pass

    def sample_images(self, _accelerator, args, epoch, global_step):
        if args.sample_every_n_steps and epoch is None and global_step % args.sample_every_n_steps == 0:
            folder = Path(args.output_dir) / "sample"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{args.output_name}_{global_step:06d}_00_{args.seed}.png").write_bytes(b"png")

    def train_loop(self, args):
        while self.step < args.max_train_steps:
            self._one_step(args)
            self.sample_images(self.accelerator, args, None, self.step)
            self._save_after_step(args)
            if self.step % self.per_epoch == 0:
                self.sample_images(self.accelerator, args, self.step // self.per_epoch, self.step)

    def _one_step(self, args):
        generator = torch.Generator().manual_seed(args.seed * 100_003 + self.step)
        batch = torch.randn(16, 8, generator=generator).to(self.accelerator.device)
        loss = torch.nn.functional.mse_loss(self.net(batch), batch.flip(1))
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.lr_scheduler.step()
        self.optimizer.zero_grad()
        self.record_loss(loss.item(), self.step // self.per_epoch, self.step)
        self.step += 1
        act(args.act, self.step)
        time.sleep(args.step_seconds)

    def _save_after_step(self, args):
        if args.save_every_n_steps and self.step % args.save_every_n_steps == 0:
            stem = f"{args.output_name}-step{self.step:08d}"
            self._save_lora(args, stem)
            if args.save_state:
                self.accelerator.save_state(str(Path(args.output_dir) / f"{stem}-state"))
        epoch, rest = divmod(self.step, self.per_epoch)
        if (
            args.save_every_n_epochs
            and not rest
            and epoch % args.save_every_n_epochs == 0
            and self.step < args.max_train_steps
        ):
            self._save_lora(args, f"{args.output_name}-{epoch:06d}")

    def _save_lora(self, args, stem):
        Path(args.output_dir).mkdir(parents=True, exist_ok=True)
        weights = {name: tensor.detach().contiguous() for name, tensor in self.net.state_dict().items()}
        save_file(weights, str(Path(args.output_dir) / f"{stem}.safetensors"), {"ss_steps": str(self.step)})


def pretend_boosts(args):
    """STANDIN_BOOSTED: seconds of a step where the plan switches boosts on; told as the shim tells of real ones."""
    seconds = os.environ.get("STANDIN_BOOSTED")
    if not seconds:
        return
    run = Path(args.config_file).parent
    options = json.loads((run / "plan.json").read_text(encoding="utf-8"))["options"]
    on = {name: item["value"] for name, item in options.items() if name.startswith("launcher.boost")}
    highest = on.pop("launcher.boosts", "off")
    alone = [name.removeprefix("launcher.boost_") for name, value in on.items() if value == "on"]
    if highest == "off" and not alone:
        return
    args.step_seconds = float(seconds)
    args.act = os.environ.get("STANDIN_BOOSTED_ACT", args.act)
    told = [
        {
            "name": name,
            "kind": "exact",
            "used": not alone or name in alone,
            "reason": "switched off" if alone else "",
        }
        for name in ("gradients", "cast")
    ]
    told.append(
        {
            "name": "fp8_matmul",
            "kind": "approximate",
            "used": False,
            "reason": "approximate: only where asked for",
        }
    )
    event = {"v": 1, "t": time.time(), "type": "boosts", "boosts": told, "ops": "torch", "device": "cpu"}
    with (run / "events.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(event) + "\n")


def act(what, step):
    at, _, deed = what.partition(":")
    if not at or step != int(at):
        if deed == "warn":
            logging.getLogger("standin").warning("loss of step %d is odd", step)
        return
    if deed == "raise":
        raise ValueError("the batch of this step is broken")
    if deed == "exit0":
        sys.exit(0)
    if deed == "warn":
        warnings.warn("sampling is slow here", UserWarning, stacklevel=1)
    if deed == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def tensors_equal(first, second):
    one, two = load_file(first), load_file(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
