"""Everything that a person sees. The only package that imports rich or questionary.

No rich, painted at once: `palette` colours and signs, `formats` numbers and safe text, `ink` styled lines, `menu`.
With rich: `console` the one way out, `tables` plans, presets, runs, check-up, `dashboard` a run live (`frame` and
`curve` draw it), `progress` an installation. `prompts` is the only door to questionary.
"""
