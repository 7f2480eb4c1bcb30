"""What this computer can do, each answer with its reason. Looking changes nothing, never raises, never imports torch.

- `records` what is known of a computer; `look` finds it out
- `cards` the graphics cards: NVIDIA's library (`nvml`, `library`), `smi`, and `others`
- `folder` is this a good place to install?; `drives` what it lies on
- `pythons` the Pythons that are here; `places` where they are kept; `aliases` those that must not be started
"""

from launcher.machine.look import free_disk_mib, look_at_machine
from launcher.machine.records import MIB, Fact, Gpu, Machine

__all__ = ["MIB", "Fact", "Gpu", "Machine", "free_disk_mib", "look_at_machine"]
