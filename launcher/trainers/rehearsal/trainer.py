"""The training as a list of steps; each is a method, so that the shim can wrap it."""

from __future__ import annotations

import logging
import math
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from launcher.errors import InputError
from launcher.trainers.rehearsal import model, sampling, saving
from launcher.trainers.rehearsal.cache import TensorCache, cache_folder
from launcher.trainers.rehearsal.checks import check_options, tell_ignored
from launcher.trainers.rehearsal.compute import make_accelerator
from launcher.trainers.rehearsal.conditioning import Conditioning
from launcher.trainers.rehearsal.config import setup_parser
from launcher.trainers.rehearsal.dataset import Dataset, Item, load_datasets, make_batches
from launcher.trainers.rehearsal.lora import LoraNetwork
from launcher.trainers.rehearsal.loss import begin_micro_step, compute_loss, draw, micro_seed
from launcher.trainers.rehearsal.metadata import training_metadata
from launcher.trainers.rehearsal.optimizer import make_optimizer, make_scheduler
from launcher.trainers.rehearsal.saving import Position

if TYPE_CHECKING:
    import argparse

logger = logging.getLogger(__name__)

DEFAULT_DIM = 4  # kohya's networks.lora, when network_dim is not given


class RehearsalTrainer:
    """Trains one LoRA. One `train` per object; nothing is shared between objects.

    The shim wraps: `load_models`, `cache_latents`, `cache_text_encoder_outputs`, `train_loop` (phases),
    `caching_progress`, `record_loss`, `sample_images` (every optimizer step), `sample_saved`. It reads `totals`,
    `lr_scheduler`, `global_step`.
    """

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.global_step = 0
        self.lr_scheduler: Any = None
        self.accelerator: Any = None
        self.unet: Any = None
        self.network: Any = None
        self._epoch = 1
        self._started = time.time()

    def train(self, args: argparse.Namespace) -> None:
        """From options to the final LoRA file.

        Raises:
            InputError: options, dataset or state cannot be used.
        """
        self._prepare_options(args)
        self.accelerator = self.prepare_accelerator(args)
        datasets = load_datasets(args)
        items, self.batches = make_batches(datasets, args.seed)
        self._set_totals(args, items)
        self.load_models(args)
        self._prepare_conditioning(args)
        self.cache_latents(args, items)
        self.cache_text_encoder_outputs(args, items)
        optimizer, loader, optimizer_name = self._prepare_training(args, items)
        self._resume(args)
        self._metadata = training_metadata(args, datasets, self.totals, optimizer_name, self._started)
        self._tell(datasets)
        self.train_loop(args, loader, optimizer)
        self._finish(args)

    # ---- before the loop

    def _prepare_options(self, args: argparse.Namespace) -> None:
        check_options(args)
        tell_ignored(args, setup_parser().parse_args([]))
        if args.seed is None:
            args.seed = random.SystemRandom().randrange(2**31)
            logger.warning("no seed was given: this training cannot be repeated exactly (seed %d)", args.seed)
        args.output_dir = args.output_dir or "."

    def prepare_accelerator(self, args: argparse.Namespace) -> Any:
        """Raises: InputError, if more than one process was started."""
        return make_accelerator(args.mixed_precision, args.gradient_accumulation_steps)

    def _set_totals(self, args: argparse.Namespace, items: tuple[Item, ...]) -> None:
        per_epoch = math.ceil(len(self.batches) / args.gradient_accumulation_steps)
        if args.max_train_epochs is not None:
            args.max_train_steps = args.max_train_epochs * per_epoch
        self.totals = {
            "total_steps": args.max_train_steps,
            "steps_per_epoch": per_epoch,
            "epochs": math.ceil(args.max_train_steps / per_epoch),
            "images": len(items),
            "batches_per_epoch": len(self.batches),
        }

    def load_models(self, args: argparse.Namespace) -> None:
        """The frozen base; there is nothing to download, its weights come from a fixed seed."""
        self.unet = model.build_unet()
        self.schedule = model.noise_schedule()
        if args.fp8_base or args.fp8_base_unet:
            model.store_as_fp8(self.unet)
        if args.gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.unet.to(self.accelerator.device)

    def _prepare_conditioning(self, args: argparse.Namespace) -> None:
        folder = cache_folder(Path(args.output_dir))
        self.conditioning = Conditioning(
            TensorCache(folder if args.cache_latents_to_disk else None),
            TensorCache(folder if args.cache_text_encoder_outputs_to_disk else None),
        )

    def cache_latents(self, args: argparse.Namespace, items: tuple[Item, ...]) -> None:
        """Every image once through the encoder, so that a damaged one stops the run here and not at night."""
        for done, item in enumerate(items, start=1):
            self.conditioning.latents_of(item)
            self.caching_progress("cache_latents", done, len(items))
        if args.cache_latents_to_disk:
            logger.info("latents are cached in %s", cache_folder(Path(args.output_dir)))

    def cache_text_encoder_outputs(self, args: argparse.Namespace, items: tuple[Item, ...]) -> None:
        """Every caption once through the text encoders, unless captions vary from step to step."""
        if not (args.cache_text_encoder_outputs or args.cache_text_encoder_outputs_to_disk):
            return
        for done, item in enumerate(items, start=1):
            self.conditioning.text_of(item.caption)
            self.caching_progress("cache_text_encoder_outputs", done, len(items))

    def caching_progress(self, phase: str, done: int, total: int) -> None:
        """`done` of `total` items are cached."""
        logger.debug("%s %d/%d", phase, done, total)

    def _prepare_training(self, args: argparse.Namespace, items: tuple[Item, ...]) -> tuple[Any, Any, str]:
        dim = args.network_dim or DEFAULT_DIM
        alpha = args.network_alpha if args.network_alpha is not None else 1.0
        network = LoraNetwork(
            self.unet,
            dim=dim,
            alpha=alpha,
            dropout=args.network_dropout or 0.0,
            seed=micro_seed(args.seed, -1),
        )
        if args.network_weights:
            saving.load_lora(Path(args.network_weights), network)
        optimizer, name = make_optimizer(args, network)
        scheduler = make_scheduler(args, optimizer, self.totals["total_steps"])
        loader = torch.utils.data.DataLoader(
            items, batch_sampler=self.batches, collate_fn=list, num_workers=0
        )  # no workers: Windows would import torch again in each
        self.network, optimizer, loader, self.lr_scheduler = self.accelerator.prepare(
            network, optimizer, loader, scheduler
        )
        self.network.train()
        self.accelerator.register_save_state_pre_hook(self._write_position)
        return optimizer, loader, name

    def _write_position(self, _models: list[Any], _weights: list[Any], folder: str) -> None:
        saving.write_position(Path(folder), Position(epoch=self._epoch, step=self.global_step))

    def _resume(self, args: argparse.Namespace) -> None:
        if not args.resume:
            return
        folder = Path(args.resume)
        at = saving.read_position(folder)
        try:
            self.accelerator.load_state(str(folder))
        except saving.DAMAGED_STATE as error:
            raise InputError(f"the state {folder} cannot be resumed: {error}") from error
        self.global_step, self._epoch = at.step, at.epoch
        logger.info("resumed at step %d of %d", at.step, self.totals["total_steps"])

    def _tell(self, datasets: tuple[Dataset, ...]) -> None:
        logger.info("rehearsal: pixel sizes are divided by 8, the base model is small and random")
        for dataset in datasets:
            for (width, height), count in dataset.bucket_counts().items():
                logger.info("bucket %d x %d: %d images", width, height, count)
        logger.info("%(total_steps)d steps, %(steps_per_epoch)d an epoch, %(epochs)d epochs", self.totals)

    # ---- the loop

    def train_loop(self, args: argparse.Namespace, loader: Any, optimizer: Any) -> None:
        """All epochs from `global_step` on; an epoch that was begun is taken up behind its last finished step."""
        total, per_epoch = self.totals["total_steps"], self.totals["steps_per_epoch"]
        if self.global_step == 0:
            self.sample_images(self.accelerator, args, 0, 0)
        while self.global_step < total:
            epoch, steps_done = divmod(self.global_step, per_epoch)
            self._epoch = epoch + 1
            self._train_epoch(args, loader, optimizer, epoch, steps_done * args.gradient_accumulation_steps)
            if self.global_step % per_epoch == 0:
                self.sample_images(self.accelerator, args, self._epoch, self.global_step)
                self._save_after_epoch(args)

    def _train_epoch(
        self, args: argparse.Namespace, loader: Any, optimizer: Any, epoch: int, batches_done: int
    ) -> None:
        from accelerate import skip_first_batches

        self.batches.epoch = epoch
        rest = skip_first_batches(loader, batches_done) if batches_done else loader
        for number, items in enumerate(rest, start=batches_done):
            micro_step = epoch * len(self.batches) + number
            with self.accelerator.accumulate(self.network):
                loss = self._micro_step(args, items, micro_step)
                self.record_loss(loss, self._epoch, self.global_step + 1)
                if self.accelerator.sync_gradients and args.max_grad_norm:
                    self.accelerator.clip_grad_norm_(self.network.parameters(), args.max_grad_norm)
                optimizer.step()
                self.lr_scheduler.step()
                optimizer.zero_grad(set_to_none=True)
            if self.accelerator.sync_gradients:
                self.global_step += 1
                self.sample_images(self.accelerator, args, None, self.global_step)
                self._save_after_step(args)
                if self.global_step >= self.totals["total_steps"]:
                    return

    def _micro_step(self, args: argparse.Namespace, items: list[Item], micro_step: int) -> float:
        device = self.accelerator.device
        data_chance = begin_micro_step(args.seed, micro_step)
        batch = self.conditioning.batch(items, data_chance)
        chance = draw(batch["latents"].shape, micro_seed(args.seed, micro_step), args.noise_offset)
        on_device = {name: tensor.to(device) for name, tensor in batch.items()}
        with self.accelerator.autocast():
            loss = compute_loss(self.unet, self.schedule, on_device, chance.to(device), args.min_snr_gamma)
        self.accelerator.backward(loss)
        return float(loss.detach())

    def record_loss(self, loss: float, epoch: int, step: int) -> None:
        """The loss of one micro-batch that counts towards `step` (absolute, from 1) of `epoch` (from 1)."""
        logger.info("step %d/%d epoch %d loss %.4f", step, self.totals["total_steps"], epoch, loss)

    def sample_images(
        self, accelerator: Any, args: argparse.Namespace, epoch: int | None, global_step: int, *_: Any
    ) -> None:
        """Draw samples if they are due; called with `epoch` None after every optimizer step, else at epochs' ends."""
        if not sampling.is_due(args, epoch, global_step):
            return
        try:
            prompts = sampling.read_prompts(Path(args.sample_prompts))
        except InputError as error:  # as upstream: samples are not worth a training
            logger.warning("%s", error)
            return
        folder = Path(args.output_dir) / "sample"
        folder.mkdir(parents=True, exist_ok=True)
        when = f"e{epoch:06d}" if epoch else f"{global_step:06d}"
        name = saving.base_name(args, "sample")
        self.network.eval()  # no dropout in pictures
        for number, prompt in enumerate(prompts):
            seed = prompt.seed if prompt.seed is not None else args.seed + number
            with accelerator.autocast():
                image = sampling.draw_sample(self.unet, self.conditioning, prompt, seed, accelerator.device)
            path = folder / f"{name}_{when}_{number:02d}_{seed}.png"
            image.save(path)
            self.sample_saved(path, prompt.text, global_step)
        self.network.train()

    def sample_saved(self, path: Path, prompt: str, step: int) -> None:
        """A sample image is on the disk."""
        logger.info("step %d: sample %s (%s)", step, path.name, prompt)

    # ---- saving

    def _save_after_step(self, args: argparse.Namespace) -> None:
        if args.save_every_n_steps and self.global_step % args.save_every_n_steps == 0:
            self._save(args, f"{saving.base_name(args, 'at')}-step{self.global_step:08d}")

    def _save_after_epoch(self, args: argparse.Namespace) -> None:
        is_last = self.global_step >= self.totals["total_steps"]  # the final file follows anyway, as upstream
        if args.save_every_n_epochs and self._epoch % args.save_every_n_epochs == 0 and not is_last:
            self._save(args, f"{saving.base_name(args, 'epoch')}-{self._epoch:06d}")

    def _save(self, args: argparse.Namespace, stem: str) -> None:
        folder = Path(args.output_dir)
        at = Position(epoch=self._epoch, step=self.global_step)
        saving.save_lora(folder / f"{stem}.safetensors", self.network, args, self._metadata, at)
        if args.save_state:
            self.accelerator.save_state(str(folder / f"{stem}-state"))

    def _finish(self, args: argparse.Namespace) -> None:
        name = saving.base_name(args, "last")
        folder = Path(args.output_dir)
        if args.save_state or args.save_state_on_train_end:
            self.accelerator.save_state(str(folder / f"{name}-state"))
        at = Position(epoch=self._epoch, step=self.global_step)
        saving.save_lora(folder / f"{name}.safetensors", self.network, args, self._metadata, at)
        self.accelerator.end_training()
