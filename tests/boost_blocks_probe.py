"""Run by the training environment's Python: the boosts `blocks` and `keep` on small blocks; prints one JSON record."""

import copy
import itertools
import json
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from boost_modules import Accelerator, BasicTransformerBlock, make_context, make_stack  # noqa: E402  (the path comes first)

from launcher.shim.boosts import blocks, keep  # noqa: E402
from launcher.shim.boosts.ops import Ops  # noqa: E402
from launcher.shim.boosts.scene import Machine, Scene, relative_error  # noqa: E402

WIDTH, TEXT, HEADS, TOKENS, WORDS = 64, 48, 4, 24, 11
FAILURE = "made to fail"


class Failing(Ops):
    """Raises in one operation, at its nth call."""

    def __init__(self, name, call):
        self._left = call
        stock = getattr(super(), name)

        def fail(*args, **more):
            self._left -= 1
            if self._left < 0:
                raise RuntimeError(FAILURE)
            return stock(*args, **more)

        setattr(self, name, fail)


class Training:
    """A stack of blocks, an input, and what a step over them gives."""

    def __init__(self, *, stored=torch.float8_e4m3fn, dtype=torch.bfloat16, images=2, count=2, **switches):
        self.stack, self.loras = make_stack(
            width=WIDTH, text_width=TEXT, heads=HEADS, blocks=count, rank=8, stored=stored
        )
        self.dtype = dtype
        self.context = make_context(keep_mib=0, **switches)
        self.scene = Scene(
            context=self.context, machine=Machine.of(torch.device("cpu")), accelerator=Accelerator(), unet=self.stack,
            network=self.loras, optimizer=None, dtype=dtype, processes=1, ops=Ops(),
        )  # fmt: skip
        self.scene.tell = lambda name, reason: self.context.warn(f"{name}: {reason}")
        draw = torch.Generator().manual_seed(1)
        self.x = torch.randn(images, TOKENS, WIDTH, generator=draw).to(dtype)
        self.text = torch.randn(images, WORDS, TEXT, generator=draw).to(dtype)
        self.grad = torch.randn(images, TOKENS, WIDTH, generator=draw)

    @property
    def params(self):
        return list(self.loras.parameters())

    def step(self, *, needs_text=False, dtype=None):
        """[result, gradient of x, (of the text,) of every LoRA weight]"""
        dtype = dtype or self.dtype
        x, text = self.x.to(dtype).requires_grad_(), self.text.to(dtype).requires_grad_(needs_text)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            hidden = x
            for block in self.stack:
                hidden = block(hidden, context=text)
        wanted = [x, *([text] if needs_text else []), *self.params]
        return [hidden, *torch.autograd.grad(hidden, wanted, self.grad.to(hidden.dtype))]

    def boost(self):
        assert blocks.reason_against(self.scene) is None, blocks.reason_against(self.scene)
        assert blocks.check(self.scene) is None
        self.scene.undo["blocks"] = blocks.install(self.scene)
        return self

    def keep(self, mib):
        self.context.switches["keep_mib"] = mib
        assert keep.reason_against(self.scene) is None
        assert keep.check(self.scene) is None
        self.scene.undo["keep"] = keep.install(self.scene)
        return self.scene.shared["keeper"]


def flat(gradients):
    return torch.cat([one.reshape(-1).double() for one in gradients])


def same(found, right):
    return all(torch.equal(one, other) for one, other in zip(found, right, strict=True))


def errors(needs_text=False):
    """Against fp64: result, gradients of x (and text) and LoRA; stock under autocast and the boost."""
    training = Training()
    stock = training.step(needs_text=needs_text)
    boosted = training.boost().step(needs_text=needs_text)
    exact = copy.deepcopy(training)
    exact.scene.undo["blocks"] = None
    for block in exact.stack:
        block.__dict__.pop("forward")
    exact.stack.double(), exact.loras.double()
    right = exact.step(needs_text=needs_text, dtype=torch.float64)
    first = 3 if needs_text else 2
    parts = [*range(first), slice(first, None)]
    names = ["result", "x", *(["text"] if needs_text else []), "lora"]

    def pick(found, part):
        return flat(found[part]) if isinstance(part, slice) else found[part]

    return {
        name: [relative_error(pick(found, part), pick(right, part)) for found in (stock, boosted)]
        for name, part in zip(names, parts, strict=True)
    }


def checkpointed():
    """Upstream's checkpoint on or off: the boosted block does not care."""
    training = Training().boost()
    plain = training.step()
    for block in training.stack:
        block.gradient_checkpointing = True
    return {"same": same(training.step(), plain)}


def double():
    """In one precision without autocast the mathematics is the same to its last digits."""
    training = Training(stored=torch.float32, dtype=torch.float32)
    stock = training.step(needs_text=True)
    boosted = training.boost().step(needs_text=True)
    return {"errors": [relative_error(one, other) for one, other in zip(boosted, stock, strict=True)]}


def kept():
    training = Training().boost()
    right = training.step()
    keeper = training.keep(1)
    keeper._budget = 1 << 18  # what both blocks need is three quarters of it
    learning = [keeper.kept_mib for _ in range(2) if same(training.step(), right)]
    everything = same(training.step(), right), keeper.kept_mib
    had = keeper.lower()
    half = same(training.step(), right), keeper.kept_mib
    keeper._budget = 0
    keeper.lower()
    nothing = same(training.step(), right), keeper.kept_mib, keeper.lower()
    return {"learning": learning, "everything": everything, "had": had, "half": half, "nothing": nothing}


def failing(name, call):
    """One operation raises in the middle: the step ends with stock gradients for what was left, training goes on."""
    training = Training()
    stock = training.step()
    boosted = training.boost().step()
    training.scene.ops = Failing(name, int(call))
    broken = training.step()
    after = training.step()
    return {
        "told": training.context.told, "used": training.scene.is_on("blocks"), "after is stock": same(after, stock),
        "broken": relative_error(flat(broken), flat(stock)), "usual": relative_error(flat(boosted), flat(stock)),
        "finite": bool(torch.isfinite(flat(broken)).all()),
    }  # fmt: skip


def identity():
    """Parameters stay the same objects with the same values; undo gives the block its own forward back."""
    training = Training()
    before = {name: (id(value), value.detach().clone()) for name, value in training.loras.named_parameters()}
    weights = {name: value.detach().clone() for name, value in training.stack.named_parameters()}
    stock = training.step()
    training.boost()
    saved = training.scene.accelerator.state_of(training.loras)
    flats = {value.untyped_storage().data_ptr() for value in training.loras.parameters()}
    after = dict(training.loras.named_parameters())
    training.scene.undo.pop("blocks")()
    return {
        "same objects": all(id(after[name]) == number for name, (number, _) in before.items()),
        "same values": all(torch.equal(after[name], value) for name, (_, value) in before.items()),
        "same weights": all(torch.equal(value.view(torch.uint8), weights[name].view(torch.uint8))
                            for name, value in training.stack.named_parameters() if value.dtype.itemsize == 1),
        "saved apart": len({value.untyped_storage().data_ptr() for value in saved.values()}) == len(saved),
        "saved values": all(torch.equal(saved[name], value) for name, (_, value) in before.items()),
        "storages": len(flats), "blocks": len(training.stack), "stock again": same(training.step(), stock),
    }  # fmt: skip


def gradients_lie_together():
    """What the boost `optimizer` wants: a block's gradients are views of one tensor, in the order of the weights."""
    training = Training().boost()
    x = training.x.clone().requires_grad_()
    hidden = x
    for block in training.stack:
        hidden = block(hidden, context=training.text)
    hidden.backward(training.grad.to(hidden.dtype))
    found = []
    for plan in training.scene.shared["blocks"]:
        ends = [
            (param.grad.data_ptr(), param.grad.numel() * param.grad.element_size())
            for param in plan.laid.params
        ]
        found.append(all(one + size == other for (one, size), (other, _) in itertools.pairwise(ends)))
    return {"together": found}


def refused():
    """What a block must not have; each told with its reason, and nothing of it moved."""
    found = {}
    for name in ("dropout", "foreign", "rank", "partly"):
        training = Training()
        lora = training.loras[0]
        if name == "dropout":
            for one in training.loras:
                one.dropout = 0.1
        elif name == "foreign":
            for block in training.stack:
                block.attn1.to_q.forward = lambda x: x
        elif name == "rank":
            for block in training.stack:
                block.attn1.to_q.forward.__self__.lora_down.weight.data = torch.zeros(4, WIDTH)
        else:
            lora.dropout = 0.1
        data = [param.data_ptr() for param in training.stack[0].parameters()]
        reason = blocks.reason_against(training.scene)
        moved = data != [param.data_ptr() for param in training.stack[0].parameters()]
        found[name] = [reason, training.scene.shared.get("blocks.partly"), moved]
    return found


def no_grad():
    """Sampling and validation run upstream's own code."""
    training = Training()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        before = training.stack[0](training.x, context=training.text)
        training.boost()
        after = training.stack[0](training.x, context=training.text)
    return {"same": torch.equal(before, after)}


def multiplier():
    """Upstream changes the multiplier for some steps: followed at once."""
    training = Training().boost()
    one = training.step()[0]
    for lora in training.loras:
        lora.multiplier = 0.0
    none = training.step()
    training.scene.undo.pop("blocks")()
    return {"differs": relative_error(none[0], one), "stock": relative_error(none[0], training.step()[0]),
            "gradients": float(flat(none[2:]).norm())}  # fmt: skip


def multiplier_between():
    """Upstream sets it to 1 after a forward with another, where a prior is preserved: gradients are the forward's."""
    found = {}
    for name, mib in (("computed", 0), ("kept", 1 << 10)):
        training = Training().boost()
        for lora in training.loras:
            lora.multiplier = 0.5
        if mib:
            training.keep(mib)
            training.step()  # what it costs is known afterwards
        right = training.step()
        stock = torch.autograd.grad

        def grad(*given, stock=stock, loras=training.loras):
            if len(given[1]) > 2:  # the step's own, not that of an attention
                for lora in loras:
                    lora.multiplier = 1.0
            return stock(*given)

        torch.autograd.grad = grad
        try:
            found[name] = same(training.step(), right)
        finally:
            torch.autograd.grad = stock
        found[name] &= training.loras[0].multiplier == 1.0
    return found


def moved():
    """Something gives the parameters other memory, or another type: what is there now counts, and somebody is told."""
    found = {}
    for name, dtype in (("loras", None), ("stack", torch.bfloat16)):
        training = Training().boost()
        for weight in getattr(training, name).parameters():
            weight.data = (weight.data.float() * 1.5).to(dtype or weight.dtype)
        ours = training.step()
        found[name] = [training.scene.is_on("blocks"), same(ours, training.step()), training.context.told]
    return found


def moved_and_back():
    """As sampling does it that makes the U-Net fp16 and fp8 again; and with other numbers than before."""
    found = {}
    for name, factor in (("same", 1.0), ("others", 1.5)):
        training, fresh = Training(count=3).boost(), Training(count=3)
        for one in (training, fresh):
            for weight in one.stack.parameters():
                weight.data = (weight.data.to(torch.float16) * factor).to(weight.dtype)
        right = fresh.boost().step()
        before = [weight.data_ptr() for weight in training.params]
        found[name] = {
            "right": same(training.step(), right), "again": same(training.step(), right),
            "on": training.scene.is_on("blocks"), "told": training.context.told,
            "loras stay": before == [weight.data_ptr() for weight in training.params],
            "together": all(plan.laid.in_place() is plan.laid for plan in training.scene.shared["blocks"]),
        }  # fmt: skip
    return found


def shrunken():
    """Upstream's `scale_weight_norms` multiplies what `state_dict` gives."""
    training = Training().boost()
    for value in training.loras.state_dict().values():
        value.mul_(0.5)
    return {"seen": relative_error(training.step()[0], Training().boost().step()[0])}


def exact_switch():
    assert BasicTransformerBlock.__name__ == blocks.BLOCK
    from launcher.shim.boosts.records import is_wanted

    return {
        "exact": is_wanted(blocks.KIND, "auto", "exact"),
        "rounding": is_wanted(blocks.KIND, "auto", "rounding"),
    }


ASKED = {
    "errors": errors, "errors with text": lambda: errors(needs_text=True), "checkpointed": checkpointed, "double": double,
    "kept": kept, "forward fails": lambda: failing("geglu", 1), "recomputation fails": lambda: failing("geglu", 2),
    "backward fails": lambda: failing("geglu_backward", 0), "late backward fails": lambda: failing("layer_norm_backward", 4),
    "identity": identity, "together": gradients_lie_together, "refused": refused, "no_grad": no_grad,
    "multiplier": multiplier, "multiplier between": multiplier_between, "moved": moved, "back": moved_and_back, "shrunken": shrunken,
    "wanted": exact_switch,
}  # fmt: skip

if __name__ == "__main__":
    print(json.dumps({name: ask() for name, ask in ASKED.items()}))
