"""Everything that a person sees. The only package that imports rich or questionary.

No rich, painted at once: `palette` colours and signs, `formats` numbers and safe text, `ink` styled lines, `menu`.
With rich: `console` the one way out, `tables` presets, runs, check-up, `plan_view` a plan and its settings,
`dashboard` a run live (`frame` arranges `parts` and `meters` as lines of a `sheet`, `curve` draws, `advice` knows what
to do next), `progress` an installation. `prompts` is the only door to questionary.
"""
