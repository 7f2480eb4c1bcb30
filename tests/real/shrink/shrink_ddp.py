"""Several processes on a CPU behave as several cards do: only what is trained is wrapped for gradients.

accelerate wraps every module in its multi-CPU branch, a frozen U-Net too, which torch refuses; its multi-GPU branch
looks for a parameter that wants a gradient first. An evaluation model is what it calls one that is not wrapped.
"""


def accelerator(module):
    prepare = module.Accelerator.prepare_model

    def prepared(self, model, device_placement=None, evaluation_mode=False):
        is_frozen = not any(parameter.requires_grad for parameter in model.parameters())
        return prepare(
            self, model, device_placement=device_placement, evaluation_mode=evaluation_mode or is_frozen
        )

    module.Accelerator.prepare_model = prepared


AFTER = {"accelerate.accelerator": accelerator}
