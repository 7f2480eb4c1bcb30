"""Parts of the shim that know the code of the pinned trainers.

`known` recognises it; `edits` changes a few lines of train_network in memory; `training` is what these lines call;
`wraps` watches the rest. `order` decides which image comes when, `rng` and `average` go on after a resume, `resumed`
checks the state to go on from, `saving` completes the states that are written, `groups` names learning rates.
`caches` (with `cache_*`, `caching`, `fingerprints`) redirects latents and text encoder outputs.
"""
