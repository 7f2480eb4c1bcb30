"""Which of torch's attention back ends may be used: BENCH_ATTENTION=flash, or a block of code."""

import contextlib

KINDS = {"cudnn": "cudnn", "flash": "flash", "efficient": "mem_efficient", "math": "math"}


def allow(only):
    """Only this one from now on (and `math`, which stands in where the other cannot); returns what undoes it."""
    from torch.backends import cuda

    before = {}
    for kind, name in KINDS.items():
        ask, change = getattr(cuda, f"{name}_sdp_enabled", None), getattr(cuda, f"enable_{name}_sdp", None)
        if ask is None or change is None:  # an older torch has no cuDNN attention
            continue
        before[change] = ask()
        change(kind in {only, "math"})

    def undo():
        for change, was_on in before.items():
            change(was_on)

    return undo


@contextlib.contextmanager
def allowed(only):
    """`None`: torch's own choice."""
    undo = allow(only) if only else (lambda: None)
    try:
        yield
    finally:
        undo()
