"""Which torch build fits this computer, and why: the card's compute capability first, then its driver, then the wish."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from launcher.errors import InstallError, UsageError

if TYPE_CHECKING:
    from launcher.install.pins import Pins, TorchSet, Version
    from launcher.machine import Machine

XFORMERS, SDPA = "xformers", "sdpa"
CPU_ADVICE = (
    "`--cuda cpu` installs without a GPU, which is enough for the rehearsal and for tests, not for training."
)
DRIVER_ADVICE = "Install a newer driver from https://www.nvidia.com/drivers, restart, then start this again"
NVIDIA = re.compile(r"\bnvidia\b|\bgeforce\b|\bquadro\b|\btesla\b", re.IGNORECASE)
NO_DRIVER = "its driver does not answer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """What of a computer decides the build."""

    os: str  # linux, windows, macos
    arch: str  # x86_64, arm64
    gpu_name: str | None = None
    capability: Version | None = None
    driver: str | None = None
    gpu_note: str = ""  # why there is no card, in words
    silent_gpu: str = ""  # an NVIDIA card that is there but has no working driver


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The build, the attention that training will use, and why."""

    torch_set: TorchSet
    attention: str  # "xformers" or "sdpa"
    reason: str
    attention_reason: str = ""  # the part of it that is about the attention


def host_of(machine: Machine) -> Host:
    """What of the machine decides the build; of several cards the first counts, which is the one that trains."""
    gpu = machine.gpu
    silent = next((name for name in machine.other_gpus if NVIDIA.search(name)), "")
    return Host(
        os=machine.os_name,
        arch=machine.arch,
        gpu_name=gpu.name if gpu else None,
        capability=gpu.capability if gpu and gpu.capability > (0, 0) else None,
        driver=(gpu.driver if gpu else None) or machine.driver,
        gpu_note=machine.gpu_note or ", ".join(machine.other_gpus),
        silent_gpu="" if gpu else silent,
    )


def choose_set(pins: Pins, host: Host, *, wish: str | None, attention: str | None = None) -> Choice:
    """The torch build for this computer.

    Args:
        pins: of the trainer, for this platform.
        host: what of this computer matters.
        wish: the build that was asked for (`--cuda`), or None.
        attention: "xformers", "sdpa", or None for the best that works.

    Raises:
        InstallError: nothing serves this computer, or what was asked for does not; `fix` says what would.
    """
    if wish is not None:
        chosen, reason = _wished(pins, host, wish)
    else:
        chosen, reason = _picked(pins, host)
    method, because = _attention(chosen, host, attention)
    return Choice(
        torch_set=chosen, attention=method, reason=f"{reason} {because}".strip(), attention_reason=because
    )


# --- the wish


def _wished(pins: Pins, host: Host, wish: str) -> tuple[TorchSet, str]:
    try:
        chosen = pins.torch_set(wish)
    except UsageError as error:
        raise InstallError(error.what, why=_who(host), fix=error.fix) from None
    if chosen.capabilities is None:
        return chosen, f"{chosen.title} was asked for."
    problem = _unserved(pins, chosen, host) or _too_old(chosen, host)
    if problem:
        raise InstallError(
            f"{chosen.title} (`--cuda {wish}`) cannot work on this computer.",
            why=problem,
            fix=_better(pins, host, wish),
        )
    return (
        chosen,
        f"{chosen.title} was asked for, and it serves this card. {_who(host)}{_warning(chosen, host)}",
    )


def _better(pins: Pins, host: Host, wish: str) -> str:
    """What to do instead of a wish that cannot be granted."""
    try:
        other, _ = _picked(pins, host)
    except InstallError as error:
        return error.fix
    if other.capabilities is None:
        return CPU_ADVICE
    if other.name != wish:
        return f"Leave `--cuda` out: {other.title} (`{other.name}`) serves this card."
    return CPU_ADVICE


# --- without a wish


def _picked(pins: Pins, host: Host) -> tuple[TorchSet, str]:
    default = pins.sets.get(pins.default_set)
    if default and default.capabilities is None:
        return default, f"{default.title} is what {pins.title} uses: it needs no GPU."
    cpu = next((it for it in pins.sets.values() if it.capabilities is None), None)
    if host.gpu_name is None:
        if host.silent_gpu:
            _refuse_silent(host)
        return _cpu(cpu, f"No NVIDIA card can be used here{f' ({host.gpu_note})' if host.gpu_note else ''}")
    if not any(it.capabilities for it in pins.sets.values()):
        return _cpu(cpu, f"There are no torch builds with CUDA for {pins.platform}")
    serving = [it for it in _gpu_sets(pins) if _unserved(pins, it, host) is None]
    if not serving:
        _refuse_card(pins, host)
    running = [it for it in serving if _too_old(it, host) is None]
    if not running:
        _refuse_driver(serving, host)
    return running[0], _why(pins, running[0], serving, host)


def _gpu_sets(pins: Pins) -> list[TorchSet]:
    """In the order of preference: the default first, the others as the pins list them."""
    found = [it for it in pins.sets.values() if it.capabilities]
    return sorted(found, key=lambda it: it.name != pins.default_set)


def _why(pins: Pins, chosen: TorchSet, serving: list[TorchSet], host: Host) -> str:
    who = _who(host)
    if chosen.name == pins.default_set:
        second = pins.second
        other = pins.sets.get(second[0]) if second else None
        more = (
            f" {other.title} (`--cuda {other.name}`) would do as well: {second[1]}."
            if second and other
            else ""
        )
        return f"{who}: {chosen.title} is the build to prefer, and it serves this card.{more}{_warning(chosen, host)}"
    default = pins.sets.get(pins.default_set)
    if default is None:
        return f"{who}: {chosen.title} serves this card.{_warning(chosen, host)}"
    if default not in serving:
        return f"{who}: {_unserved(pins, default, host)}, {chosen.title} has.{_warning(chosen, host)}"
    return f"{who}: {_too_old(default, host)}; {chosen.title} runs with it. A newer driver would allow {default.title}."


def _cpu(cpu: TorchSet | None, because: str) -> tuple[TorchSet, str]:
    if cpu is None:
        raise InstallError(
            f"{because}, and there is no torch build without a GPU for this computer.",
            why="Training needs an NVIDIA card on Windows or Linux.",
            fix="Install on a computer with an NVIDIA card.",
        )
    return cpu, f"{because}: {cpu.title} is enough for the rehearsal and for tests, not for training."


# --- what serves what


def _unserved(pins: Pins, torch_set: TorchSet, host: Host) -> str | None:
    """Why the build has no code for this card, or None. A card of tomorrow is left to the newest build."""
    if torch_set.capabilities is None:
        return None
    if host.gpu_name is None:
        if host.silent_gpu:
            return f"{host.silent_gpu}: {NO_DRIVER}"
        return f"no NVIDIA card can be used here{f' ({host.gpu_note})' if host.gpu_note else ''}"
    if host.capability is None:
        return None
    first, last = torch_set.capabilities
    if first <= host.capability <= last or (host.capability > last and torch_set is _newest(pins)):
        return None
    return f"{torch_set.title} has no code for compute capability {_dotted(host.capability)}"


def _newest(pins: Pins) -> TorchSet:
    """The build that goes furthest; of equals the first. `pins` has at least one with a GPU."""
    return max(_gpu_sets(pins), key=lambda it: it.capabilities or ((0, 0), (0, 0)))


def _too_old(torch_set: TorchSet, host: Host) -> str | None:
    """Why the driver will not do, or None (also where it could not be read: the proof will tell)."""
    if not host.driver or not torch_set.driver or _numbers(host.driver) >= _numbers(torch_set.driver):
        return None
    return f"driver {host.driver} is too old for {torch_set.title}, which needs {torch_set.driver} or newer"


def _warning(chosen: TorchSet, host: Host) -> str:
    if host.capability is None:
        return " The card's compute capability could not be read: the proof will tell whether it works."
    if chosen.capabilities and host.capability > chosen.capabilities[1]:
        return (
            " The card is newer than every build that we know: this is the newest one, and it may not work."
        )
    return ""


def _attention(chosen: TorchSet, host: Host, asked: str | None) -> tuple[str, str]:
    problem = _no_xformers(chosen, host)
    if asked == XFORMERS and problem:
        raise InstallError(
            "xformers cannot be used here.",
            why=f"{problem}.",
            fix="Leave the attention to the launcher: SDPA, which is part of torch, does the same work.",
        )
    if asked == SDPA:
        return SDPA, "Attention: SDPA, as asked for."
    if problem:
        return SDPA, f"Attention: SDPA, because {problem}."
    return XFORMERS, "Attention: xformers."


def _no_xformers(chosen: TorchSet, host: Host) -> str | None:
    if not chosen.has_xformers:
        return f"{chosen.title} has no xformers"
    least = chosen.xformers_capability
    if host.capability is None:
        return "the card's compute capability could not be read" if least else None
    if least and host.capability < least:
        return f"xformers has no code for cards below compute capability {_dotted(least)}"
    if chosen.capabilities and host.capability > chosen.capabilities[1]:
        return "xformers has no code for a card as new as this"
    return None


# --- refusals


def _refuse_silent(host: Host) -> NoReturn:
    raise InstallError(
        f"{host.silent_gpu} cannot be used.", why=f"{host.silent_gpu}: {NO_DRIVER}.",
        fix=f"{DRIVER_ADVICE}. {CPU_ADVICE}",
    )  # fmt: skip


def _refuse_card(pins: Pins, host: Host) -> NoReturn:
    lowest = min(it.capabilities[0] for it in pins.sets.values() if it.capabilities)
    raise InstallError(
        f"{host.gpu_name} cannot be used for training.",
        why=f"{_who(host)}: no torch build has code for it. They begin with compute capability {_dotted(lowest)}.",
        fix=f"Train on a computer with a newer NVIDIA card. {CPU_ADVICE}",
    )


def _refuse_driver(serving: list[TorchSet], host: Host) -> NoReturn:
    least = min(serving, key=lambda it: _numbers(it.driver or ""))
    wanted = serving[0]
    also = "" if least is wanted else f" ({wanted.driver} for {wanted.title})"
    raise InstallError(
        f"The NVIDIA driver {host.driver} is too old.",
        why=f"{_who(host)}: {least.title} needs {least.driver} or newer{also}.",
        fix=f"{DRIVER_ADVICE}: version {wanted.driver} or newer. {CPU_ADVICE}",
    )


# --- words


def _who(host: Host) -> str:
    if host.gpu_name is None:
        return f"This computer: {host.os}, {host.arch}" + (f", {host.gpu_note}" if host.gpu_note else "")
    capability = (
        f"compute capability {_dotted(host.capability)}" if host.capability else "compute capability unknown"
    )
    return f"{host.gpu_name} ({capability}, driver {host.driver or 'unknown'})"


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def _numbers(version: str) -> tuple[int, ...]:
    """`525.60.13` as numbers: its parts are compared one by one."""
    return tuple(int(part) for part in re.findall(r"\d+", version))
