"""Our only code inside the training process: wraps a trainer script without editing it.

`__main__` is the script that is started; `session` loads the trainer and ends the story; `trainer` opens the
script, and `upstream` wraps the pinned sd-scripts from inside; `hooks` wraps the trainer's methods; `saving` makes states
and LoRA files atomic; `reporter` writes events; `pace` keeps the numbers of a step; `notices` catches warnings; `requests`
reads what the user asked for; `startup` makes the start quicker; `switches` reads the launcher's own options; `crew` is about several processes;
`beside` is for threads.

It fails open: reporting that breaks is told once on stderr, and training goes on.
Runs with the training environment's packages, so torch, accelerate and safetensors are imported inside functions.
"""
