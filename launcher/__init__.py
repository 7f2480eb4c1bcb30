"""SDXL LoRA training for 8 GB cards: presets become runs that can be paused, killed and resumed.

The map, lowest layer first. A module imports only from layers below its own (`tests/test_layers.py`):

1. `errors` what may be said to the user, `paths` where everything lies
2. `files` atomic writes, locks, reading the tail of a growing file
3. `process` the only door to other programs, `events` the language of a run folder, `hashes` of large files; above them `states` (what makes
   a state trustworthy), `trainers` (what is known of each training script) and `machine` (what this computer can do)
4. `preset` TOML into records, `monitor` a run folder folded into numbers,
   `shim` our code inside the training process, `install` environments, `demo` sample images, `crash` the log of a bug,
   `pictures` image files, really decoded, `captions` caption files, read and counted, `checkpoint` model files by their header
5. `plan` everything about a run, decided before anything is touched; `failures` what went wrong, in words; above
   them `forecast`, what a run will need of card, memory, disk and time
6. `preflight` reasons not to start, `history` all run folders, `tagger` captions by a WD14 tagger, `guard` what goes wrong while a training runs,
   `importer` training scripts of others, read and never run
7. `run` starting and supervising, `report` the HTML page, `exporter` a plan as a script for sd-scripts alone; above them `resume`, going on from the newest good state, `bench`, stock against boosted on the user's own card, and
   `ending`, what to say and to offer when a run has ended
8. `ui` the only place that knows rich and questionary
9. `commands`, `cli`
10. `__main__` the error boundary

This file imports nothing: every command pays for what stands here.
"""

__version__ = "0.5.1"
