"""The real sd-scripts on this computer's CPU, in seconds: its unmodified train loop around a shrunken model.

`shrink/` is put on PYTHONPATH of the training process and makes the classes small, records what was trained on and
kills where a test says so; nothing on disk of the trainer is changed. `material` makes a small checkpoint and images,
`forker` imports the trainer's libraries once and forks for each run, `rig` is what tests use.
"""
