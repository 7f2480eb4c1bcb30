"""What a run will need of card, memory, disk and time, before it begins.

- `architecture` SDXL's layers, counted; `optimizers` what is kept of each LoRA matrix
- `recording` the tensors of a step, recorded from the trainers' own classes; `allocator` torch's rules on paper; `step` both together
- `setup` the settings that decide; `constants` what could not be counted, calibrated on a card
- `vram` the card phase by phase, `ram`, `disk`, `pace` the rest; `forecast` all of it against what is free
- `stepdown` smaller settings
"""

from launcher.forecast.forecast import FITS, TIGHT, TOO_LARGE, Card, Forecast, forecast

__all__ = ["FITS", "TIGHT", "TOO_LARGE", "Card", "Forecast", "forecast"]
