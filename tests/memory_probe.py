"""Runs inside a training environment: the memory savings against what they stand in for; prints one JSON line.

python tests/memory_probe.py casts | rows | oddities | offloading | sampling | moves
python tests/memory_probe.py loading CODE CHECKPOINT   (shrink/ on PYTHONPATH: loads through the real trainer)
python tests/memory_probe.py convert CHECKPOINT DTYPE TARGET
"""

import contextlib
import copy
import functools
import json
import sys
import types
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def casts():
    """Every number of the small types: cast directly and by way of float32. Gives the count of different bits.

    A NaN must be a NaN; which of the NaNs it is differs between torch's paths of the same cast, too.
    """
    import torch

    small = {torch.float16: torch.int16, torch.bfloat16: torch.int16}
    small.update({torch.float8_e4m3fn: torch.uint8, torch.float8_e5m2: torch.uint8})
    bits = {**small, torch.float32: torch.int32}
    different = {}
    for source, view in small.items():
        count = 1 << (8 * torch.empty(0, dtype=view).element_size())
        every = torch.arange(count, dtype=torch.int32).to(view).view(source)
        for target in (torch.float8_e4m3fn, torch.bfloat16, torch.float16, torch.float32):
            # whole rows, a row that begins askew, and single numbers take different paths in torch
            for numbers in (
                every,
                every[3:],
                every[::7],
                *(every[at : at + 1] for at in range(0, count, 97)),
            ):
                direct, around = numbers.to(target), numbers.to(torch.float32).to(target)
                same = direct.view(bits[target]) == around.view(bits[target])
                same |= direct.isnan() & around.isnan()
                key = f"{source}->{target}"
                different[key] = different.get(key, 0) + int((~same).sum())
    return different


def tiny_vae(dtype):
    import torch
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=(8, 16, 32, 32), layers_per_block=2,
        latent_channels=4, norm_num_groups=4, sample_size=256,
    )  # fmt: skip
    for name, weight in vae.named_parameters():  # affine parts that are not 1 and 0
        if "norm" in name:
            torch.nn.init.normal_(weight, mean=float("weight" in name), std=0.5)
    return vae.eval().requires_grad_(requires_grad=False).to(dtype)


def rows():
    """Largest error over largest value, of latents and image, for sizes, batches, types, strip heights."""
    import torch

    from launcher.shim.memory import rows as layers
    from launcher.shim.memory.vae import work_in_rows

    errors = []
    shapes = ((1, 3, 128, 96), (1, 3, 24, 200), (2, 3, 136, 120), (1, 3, 101, 77))
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        # processors are slow at half precision: there a batch of two and odd sides only
        for shape in shapes if dtype in {torch.float32, torch.float64} else shapes[2:]:
            given = torch.randn(shape).to(dtype)
            stock = tiny_vae(dtype)
            latents = stock.encode(given).latent_dist.mean
            image = stock.decode(latents).sample
            for strip, lazy in ((1 << 15, 1 << 30), (1 << 16, 0)):
                layers.STRIP_BYTES, layers.LAZY_BYTES = strip, lazy
                ours = tiny_vae(dtype)
                refused = [work_in_rows(ours.encoder), work_in_rows(ours.decoder)]
                inputs = given.clone(), latents.clone()
                encoded, decoded = ours.encode(given).latent_dist.mean, ours.decode(latents).sample
                seen = {
                    "dtype": str(dtype).removeprefix("torch."), "shape": shape, "strip": strip, "refused": refused,
                    "latents": far(encoded, latents), "image": far(decoded, image),
                    "untouched": torch.equal(inputs[0], given) and torch.equal(inputs[1], latents),
                }  # fmt: skip
                errors.append(seen)
    return errors


def far(ours, stock):
    assert ours.shape == stock.shape
    assert ours.dtype == stock.dtype
    return float((ours - stock).abs().max() / stock.abs().max())


def oddities():
    """VAEs that are not SDXL's are left alone; one that learns takes stock's way."""
    import torch

    from launcher.shim.memory.vae import work_in_rows

    other = tiny_vae(torch.float32)
    other.encoder.down_blocks[0].resnets[0].conv1.padding = (0, 0)
    learning = tiny_vae(torch.float32).requires_grad_()
    work_in_rows(learning.encoder)
    given = torch.randn((1, 3, 64, 64))
    learning.encode(given).latent_dist.mean.sum().backward()
    return {
        "refused": work_in_rows(other.encoder),
        "still_works": other.encoder.forward.__name__ == "forward",
        "gradient": float(learning.encoder.conv_in.weight.grad.abs().sum()),
        "meta": str(learning.to("meta").dtype),
    }


def block(dtype):
    """Layers of a U-Net in small, frozen, and a trained layer beside each, hung on as networks/lora.py does."""
    import torch

    torch.manual_seed(1)
    frozen = torch.nn.ModuleDict(
        {
            "conv": torch.nn.Conv2d(4, 8, 3, padding=1),
            "norm": torch.nn.GroupNorm(2, 8),
            "wide": torch.nn.Linear(8, 64),
            "back": torch.nn.Linear(64, 8, bias=False),
            "out": torch.nn.Linear(8, 4),
        }
    ).requires_grad_(requires_grad=False)
    trained = torch.nn.ModuleList()
    for name in ("wide", "back", "out"):
        layer = frozen[name]
        lora = torch.nn.Sequential(
            torch.nn.Linear(layer.in_features, 2, bias=False),
            torch.nn.Linear(2, layer.out_features, bias=False),
        )
        original = layer.forward  # bound before the class is exchanged

        def forward(x, original=original, lora=lora):
            return original(x) + lora(x)

        layer.forward = forward
        trained.append(lora)
    return frozen.to(dtype), trained


def learn(frozen, trained, *, autocast):
    import torch
    from torch.utils.checkpoint import checkpoint

    def run(x):
        x = frozen["norm"](frozen["conv"](x)).flatten(2).transpose(1, 2)
        return frozen["out"](frozen["back"](torch.nn.functional.gelu(frozen["wide"](x))))

    x = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(2)).requires_grad_()
    if not autocast:
        x = x.to(next(frozen.parameters()).dtype)
        trained.to(x.dtype)
    with torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext():
        loss = checkpoint(run, x, use_reentrant=True).float().square().mean()
    loss.backward()
    return [loss.detach(), *(weight.grad for weight in trained.parameters())]


def offloading():
    import torch

    from launcher.shim.memory.load import caster
    from launcher.shim.memory.offload import offload

    def take_out(layers, dtype, device, budget_mib):
        return offload(layers, dtype, device, budget_mib, caster(dtype, device))

    found = {}
    for dtype, autocast in ((torch.float32, True), (torch.float32, False), (torch.bfloat16, False)):
        stock = learn(*block(dtype), autocast=autocast)
        frozen, trained = block(dtype)
        taken = take_out(frozen, dtype, torch.device("cpu"), 1)
        ours = learn(frozen, trained, autocast=autocast)
        found[f"{dtype} {autocast}"] = {
            "same": all(map(torch.equal, stock, ours)), "taken": taken, "count": len(ours),
            "names": [type(layer).__name__ for layer in frozen.values()],
            "left": [name for name, _ in frozen.named_parameters() if name.endswith("weight")],
        }  # fmt: skip
        frozen.to("meta")
        found[f"{dtype} {autocast}"]["stays"] = str(frozen["wide"].kept_weight.tensor.device)
    frozen, _ = block(torch.float32)
    cast = copy.deepcopy(frozen["wide"].weight.detach()).to(torch.float8_e4m3fn)
    budget = functools.partial(
        take_out, torch.nn.ModuleList([frozen["wide"], frozen["back"]]), device=torch.device("cpu")
    )
    found["fp8"] = {
        "taken": budget(dtype=torch.float8_e4m3fn, budget_mib=1),
        "same": torch.equal(frozen["wide"].weight.view(torch.uint8), cast.view(torch.uint8)),
    }
    return found


class Teller:
    def __init__(self, **more):
        self.told = []
        self.__dict__.update(more)

    def warn(self, message):
        self.told.append(message)


class SmallCard:
    """A U-Net that finds no room for two pictures at once."""

    in_channels = 4

    def __init__(self, dtype):
        self.dtype = dtype
        self.calls = []

    def __call__(self, latents, timestep, text, vector):
        import torch

        self.calls.append(len(latents))
        if len(latents) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return latents + timestep * text + vector


@contextlib.contextmanager
def leaky_autocast():
    """As accelerate's up to 1.6: an error that goes through it leaves it on."""
    import torch

    inner = torch.autocast("cpu", dtype=torch.bfloat16)
    inner.__enter__()
    yield
    inner.__exit__(None, None, None)


def is_autocast():
    """Whether it is on, or torch believes that it is: then its copies of weights are never dropped."""
    import torch

    depth = torch.autocast_increment_nesting()
    torch.autocast_decrement_nesting()
    return torch.is_autocast_enabled("cpu") or depth != 1


def sampling():
    """The stand-in for the U-Net, and a round of sampling that fails."""
    import torch

    from launcher.shim.memory.sampling import UnetAsItIs, install

    accelerator = types.SimpleNamespace(autocast=leaky_autocast, device=torch.device("cpu"))
    small = SmallCard(torch.float8_e4m3fn)
    unet = UnetAsItIs(small, accelerator)
    parts = torch.randn((2, 4)), torch.tensor(3), torch.randn((2, 4)), torch.randn((2, 4))
    first, second = unet(*parts), unet.to(torch.float16)(*parts)
    left = [is_autocast()]
    right = parts[0] + parts[1] * parts[2] + parts[3]

    vae = torch.nn.Linear(1, 1)
    vae.device = torch.device("cpu")

    class Pipeline:
        def __init__(self, **parts):
            self.parts = parts

        def latents_to_image(self, latents):
            return latents

    def sample_images_common(pipe_class, _accelerator, _args, *_rest):
        pipe_class(unet=SmallCard(torch.float8_e4m3fn), vae=vae)
        torch.manual_seed(99)
        with leaky_autocast():
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    module = types.SimpleNamespace(sample_images_common=sample_images_common)
    context = Teller(modules={"library.train_util": module})
    install(context, keep_fp8=True)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    result = module.sample_images_common(Pipeline, accelerator, None, None, 3, None, vae)
    left.append(is_autocast())
    return {
        "left": left,
        "right": torch.equal(first, right) and torch.equal(second, right), "calls": small.calls,
        "dtype": str(unet.dtype), "plain": str(UnetAsItIs(SmallCard(torch.bfloat16), accelerator).dtype),
        "through": unet.in_channels, "result": result, "told": context.told,
        "chance": torch.equal(torch.get_rng_state(), before),
    }  # fmt: skip


def small_encoder():
    """Weights that no smaller type holds exactly, and numbers that are no floats."""
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.text_model = torch.nn.Sequential(torch.nn.Embedding(64, 16), torch.nn.Linear(16, 16))
            self.register_buffer("ids", torch.arange(300))

        dtype = property(lambda self: next(self.parameters()).dtype)
        device = property(lambda self: next(self.parameters()).device)

        def forward(self, tokens):
            return self.text_model(tokens)

    torch.manual_seed(3)
    return Encoder().eval()


def chains():
    """Calls of `to` as the trainers make them, and others."""
    import torch

    def cached(module):  # float32 of a number that was rounded to bfloat16 on the way
        return module.to("cpu", dtype=torch.bfloat16).to("cpu", dtype=torch.float32)

    def halved(module):
        return module.to(dtype=torch.float16).to(torch.bfloat16).to(device="cpu").to("cpu", torch.float64)

    def moved(module):
        return module.to("cpu").to(torch.device("cpu")).to()

    def by_a_tensor(module):
        return module.to(torch.ones(1, dtype=torch.float16))

    def gone(module):
        return module.to(dtype=torch.float16).to("meta", torch.bfloat16)

    return cached, halved, moved, by_a_tensor, gone


def says(module):
    return [str(module.dtype), str(module.device), type(module).__name__]


def held(module):
    return {str(weight.dtype) for weight in module.parameters()}


def moves():
    """Moves put off: what a module says meanwhile, what brings them about, and what it is afterwards."""
    import torch

    from launcher.shim.memory import late

    found = {"chains": {}, "needs": {}}
    for chain in chains():
        stock, ours = small_encoder(), small_encoder()
        chain(stock)
        weights_before = [weight.data_ptr() for weight in ours.parameters()]
        kind = type(ours)
        late.put_off(ours)
        assert chain(ours) is ours
        meanwhile = says(ours)
        untouched = [weight.data_ptr() for weight in ours.parameters()] == weights_before
        late.carry_out(ours)
        pairs = [(value, ours.state_dict()[key]) for key, value in stock.state_dict().items()]
        found["chains"][chain.__name__] = {
            "says": meanwhile == says(stock) == says(ours), "untouched": untouched,
            "same": all(a.dtype == b.dtype if a.is_meta and b.is_meta else same_bits(a, b) for a, b in pairs),
            "clean": type(ours) is kind and not ours._forward_pre_hooks and late.KEY not in ours.__dict__,
        }  # fmt: skip
    tokens = torch.arange(8)[None]
    picture, latents = torch.zeros((1, 3, 16, 16)).bfloat16(), torch.zeros((1, 4, 2, 2)).bfloat16()
    needs = {
        "forward": (small_encoder, lambda module: module(tokens)),
        "its part": (small_encoder, lambda module: module.text_model(tokens)),
        "encode": (functools.partial(tiny_vae, torch.float32), lambda module: module.encode(picture)),
        "decode": (functools.partial(tiny_vae, torch.float32), lambda module: module.decode(latents)),
        "double": (small_encoder, lambda module: module.double()),
        "state": (small_encoder, lambda module: module.state_dict()),
        "layout": (small_encoder, lambda module: module.to(memory_format=torch.preserve_format)),
        "caching": (small_encoder, lambda module: module.carry_out_moves()),
    }
    for name, (make, need) in needs.items():
        module = make()
        kind = type(module)
        late.put_off(module)
        module.to("cpu", torch.bfloat16)
        module.requires_grad_(requires_grad=False).eval()
        before = held(module)
        need(module)
        after = held(module), type(module) is kind
        module.to(torch.float16)
        found["needs"][name] = [sorted(before), sorted(after[0]), after[1], sorted(held(module))]
    wrong = small_encoder()
    late.put_off(wrong)
    wrong.to(torch.bfloat16)
    try:
        wrong.to(torch.int32)
    except TypeError:
        found["wrong"] = sorted(held(wrong))
    elsewhere = small_encoder().to("meta")
    late.put_off(elsewhere)
    found["elsewhere"] = late.KEY not in elsewhere.__dict__
    return found


def loading(code, checkpoint):
    """Bits of every weight after stock's casts, loaded by stock and lean, at each way to train."""
    sys.path.insert(0, code)
    import torch
    from library import sdxl_model_util, sdxl_train_util

    from launcher.shim.memory import load

    stock = sdxl_model_util.set_module_tensor_to_device
    bf16, fp8 = torch.bfloat16, torch.float8_e4m3fn
    ways = {
        "fp8": (True, None, fp8),
        "bf16": (False, None, bf16),
        "full": (True, bf16, fp8),
        "fp32": (False, None, torch.float32),
    }
    found = {}
    for name, (is_fp8, at_load, final) in ways.items():
        args = types.SimpleNamespace(fp8_base=is_fp8, network_module="networks.lora", base_weights=None)
        models = {}
        for lean in (False, True):
            sdxl_model_util.set_module_tensor_to_device = stock
            if lean:
                load.install(Teller(args=args, modules={"library.sdxl_model_util": sdxl_model_util}))
            first, second, vae, unet, *_ = sdxl_train_util._load_target_model(
                checkpoint, None, None, bf16, "cpu", at_load
            )[1:]
            at_first = {str(weight.dtype) for weight in unet.parameters()}
            unet.to(dtype=final)
            for encoder in (first, second):
                encoder.to("cpu", dtype=bf16)
            vae.to("cpu", dtype=torch.float32)
            models[lean] = (first, second, vae, unet)
        pairs = zip(map(weights, models[False]), map(weights, models[True]), strict=True)
        found[name] = {
            "as_loaded": sorted(at_first),
            "weights": sum(len(model.state_dict()) for model in models[True]),
            "different": [
                name
                for one, other in pairs
                for name in one.keys() | other.keys()
                if not same_bits(one.get(name), other.get(name))
            ],
        }
    return found


def weights(model):
    return dict(model.state_dict())


def same_bits(a, b):
    import torch

    if a is None or b is None or a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.equal(a.contiguous().flatten().view(torch.uint8), b.contiguous().flatten().view(torch.uint8))


def convert(checkpoint, dtype, target):
    import torch
    from safetensors.torch import load_file, save_file

    kind = getattr(torch, dtype)
    tensors = {
        name: value.to(kind) if value.is_floating_point() else value
        for name, value in load_file(checkpoint).items()
    }
    save_file(tensors, target)
    return len(tensors)


if __name__ == "__main__":
    commands = {f.__name__: f for f in (casts, rows, oddities, offloading, sampling, moves, loading, convert)}
    print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
