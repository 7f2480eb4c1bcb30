"""Failures of the graphics card: its memory, its driver, its numbers. The form: rule."""

from __future__ import annotations

from launcher.failures.rule import Kind

MEMORY = (
    Kind(
        name="gpu-memory",
        title="card's memory full",
        errors=frozenset({"OutOfMemoryError", "torch.OutOfMemoryError", "torch.cuda.OutOfMemoryError"}),
        signs=(
            r"cuda out of memory", r"cuda error: out of memory", r"cuda_error_out_of_memory", r"cublas_status_alloc_failed",
            r"cudnn_status_alloc_failed", r"cudaerrormemoryallocation", r"cublas_status_not_initialized", r"cudnn_status_not_initialized",
            r"graphics card has too little free memory", r"bitsandbytes[^\n]{0,200}out of memory at line",
        ),
        what="The graphics card's memory is full.",
        why="This training and the other programs on the card together need more than it has.",
        fix="Close what else uses the card (browser, games, a web UI), or go on with settings that need less.",
    ),
)  # fmt: skip

DRIVER = (
    Kind(
        name="gpu-assert",
        title="card refused a value",
        signs=(r"device-side assert triggered", r"indexselectlargeindex|srcindex < srcselectdimsize", r"cudaerrorassert"),
        what="The graphics card was given a number that is out of range.",
        why="Nearly always a setting or a file that does not fit the model: tokens beyond the tokenizer's, a damaged cache, a text encoder of another model.",
        fix="Delete the caches of this data folder and start again; if it comes back, take out the last setting that you changed.",
    ),
    Kind(
        name="gpu-lost",
        title="card lost",
        signs=(
            r"unspecified launch failure", r"cuda error: (?:an )?illegal memory access", r"cuda error: unknown error", r"cuda unknown error",
            r"fallen off the bus", r"gpu is lost", r"cuda error: device not ready", r"cuda error: the launch timed out", r"cudaerrorlaunchtimeout",
            r"cuda error: misaligned address", r"nvrm: xid", r"uncorrectable ecc error", r"cuda error: device(?:s|\(s\))? (?:is|are|is/are) busy",
            r"cudnn_status_(?:execution_failed|internal_error|mapping_error)", r"cublas_status_execution_failed", r"cuda error: hardware",
            r"cuda_error_(?:launch_failed|illegal_address|unknown|device_unavailable)", r"devicelost|device lost", r"no cuda-capable device is detected",
        ),
        what="The graphics card stopped answering.",
        why="The driver was reset or lost the card: overclocking, heat, a weak power supply, a driver fault, or Windows' limit of two seconds for one task (TDR).",
        fix="Restart the computer, then go on. If it comes back: take overclocking back, clean the fans, limit the card's power, and install the newest driver.",
        linux="Restart the computer, then go on (`sudo dmesg | grep -i xid` names the fault). If it comes back: limit the card's power (`sudo nvidia-smi -pl 150`), check its temperature and supply.",
    ),
)  # fmt: skip

UNSUPPORTED = (
    Kind(
        name="no-card",
        title="no card found",
        signs=(r"found no nvidia driver", r"no cuda gpus are available", r"torch not compiled with cuda enabled", r"expected a cuda device"),
        what="The training does not see a graphics card.",
        why="The driver was updated without a restart, torch was replaced by the build without CUDA, or CUDA_VISIBLE_DEVICES hides the card.",
        fix="Restart the computer; then type `python setup_env.py repair`, which puts the right torch back.",
        again=False,
    ),
    Kind(
        name="bf16-unsupported",
        title="card has no bf16",
        signs=(r"bf16 mixed precision requires", r"bfloat16 is (?:only )?(?:not )?supported", r"current cuda device does not support bfloat16", r"`bf16` is not supported"),
        what="This card cannot compute in bf16.",
        why="bf16 came with RTX 3000; older cards compute in fp16.",
        fix="Start a new run with --set mixed_precision=fp16 --set no_half_vae=true.",
        again=False,
        anew=("mixed_precision=fp16", "no_half_vae=true"),
    ),
    Kind(
        name="fp8-unsupported",
        title="fp8 does not work here",
        signs=(
            r"mixed dtype \(cpu\): expect", r"fp8_base requires mixed precision", r"not implemented for 'float8", r"float8_e4m3fn[^\n]{0,80}not (?:supported|implemented)",
            r"addmm_impl_cpu_[^\n]{0,40}not implemented", r"promotion for float8 types is not supported", r"unsupported scalartype float8",
            r"fp8_base requires torch",
        ),
        what="The base weights in fp8 cannot be used here.",
        why="fp8 storage needs a graphics card, mixed precision (bf16 or fp16), and layers that cast before they compute.",
        fix="Start a new run with --set mixed_precision=bf16 on a card; on a processor with --set fp8_base=false. With LyCORIS add bypass_mode=True to network_args.",
        again=False,
    ),
)  # fmt: skip

NUMBERS = (
    Kind(
        name="nan-latents",
        title="NaN in the latents",
        signs=(
            r"nan detected in latents: (?P<file>[^\n]{1,300})", r"nan detected in latents", r"nan found in latents",
            r"unable to convert[^\n]{0,60}nan[^\n]{0,60}latents", r"nan in latents of (?P<file>[^\n]{1,300})",
        ),
        what="The VAE made NaN (not a number) of {file}.",
        why="SDXL's own VAE overflows in half precision. Training on such latents teaches nothing.",
        fix="Start again with --set no_half_vae=true (the VAE computes in fp32), or with a VAE repaired for fp16 (--set vae=FILE). Nothing of yours was deleted.",
        again=False,
        anew=("no_half_vae=true",),
    ),
    Kind(
        name="nan-loss",
        title="loss is NaN",
        errors=frozenset({"LossIsNaN"}),
        signs=(r"loss is not a number", r"loss is nan", r"non-finite loss", r"found inf or nan in (?:loss|gradients)"),
        what="The loss is not a number any more: the training has broken down.",
        why="A learning rate that is too high, fp16 where bf16 would hold, or full_fp16. What is trained after that is lost.",
        fix="Start a new run with a lower learning rate (a third) or with --set mixed_precision=bf16. Or go on from the last sound state: if the same steps break again, it is the settings.",
    ),
)  # fmt: skip
