"""Parts of `bench_gpu.py` and `bench_boosts.py`.

- `cases`      what can be measured, each with preset, way (stock or launcher), cap and settings
- `material`   random full-size checkpoint, images, prompts; run with the trainer's own Python
- `ways`       turns a case into one command: resolved plan, run folder, argument list, environment
- `watch`      starts a command and samples its memory from outside
- `hook/`      what measures inside the training process; on its PYTHONPATH, never part of the product
- `results`    one record for each run, read from what `watch` and `hook` wrote; ratios of alternating runs
- `prints`     hashes of what a run made
- `boosts`     rows, turns and tables of `bench_boosts.py`; `predictions.toml` says what is expected of them
- `curves`     loss curves of runs that ought to be the same
- `table`      the record as markdown
- `lora`       a LoRA file read by diffusers' own loader; run with the trainer's Python
"""
