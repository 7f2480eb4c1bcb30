"""Failures of what is trained on and with: base model, images, captions, caches, states, tokenizers. The form: rule."""

from __future__ import annotations

from launcher.failures.rule import Kind

QUOTED = r"[`'\"](?P<file>[^`'\"\n]{1,300})[`'\"]"
PATH = r"(?P<file>[^\n'\"]{1,300})"
IMAGE = r"[^'\"\n]{1,280}\.(?:png|jpe?g|webp|bmp|avif)"
GET_SDXL = "Name an SDXL checkpoint (SDXL 1.0, Pony, Illustrious, NoobAI and their kind): one .safetensors file of about 6.5 GB."
REPAIR = "Type `python setup_env.py repair`"

MODEL = (
    Kind(
        name="state-does-not-fit",
        title="state does not fit",
        signs=(
            r"error\(s\) in loading state_dict for loranetwork", r"error\(s\) in loading state_dict for lycoris", r"loaded state dict (?:has|contains)[^\n]{0,120}(?:parameter group|param)",
            r"size mismatch for (?:lora_unet|lora_te)\w{0,200}",
        ),
        what="The state (or LoRA) to go on from does not fit these settings.",
        why="network_dim, the kind of network or the trained parts differ from those it was made with.",
        fix="Go on with the run's own settings (`resume` does), or start a new run: another network_dim begins from nothing.",
        again=False,
    ),
    Kind(
        name="wrong-model",
        title="wrong base model",
        signs=(
            r"error\(s\) in loading state_dict for (?:sdxlunet2dconditionmodel|cliptextmodel|cliptextmodelwithprojection|autoencoderkl)", r"keyerror: '(?:conditioner|first_stage_model|model\.diffusion_model)",
            r"size mismatch for (?:input_blocks|middle_block|output_blocks|text_model)", r"keyerror: 'state_dict'",
        ),
        what="The base model is not an SDXL checkpoint.",
        why="Its tensors have other names or sizes: a Stable Diffusion 1.5 or 2 model, a LoRA, a VAE, only a U-Net, or another architecture.",
        fix=GET_SDXL,
        again=False,
    ),
    Kind(
        name="model-damaged",
        title="model file damaged",
        signs=(
            r"error while deserializing header", r"headertoo(?:large|small)", r"metadataincompletebuffer", r"invalidheader", r"unpicklingerror", r"invalid load key", r"pytorchstreamreader failed",
            r"weights only load failed", r"safetensors_rust\.safetensorerror",
        ),
        what="A file of weights is damaged or is no model.",
        why="A download broke off, or a web page or git's pointer was saved in its place.",
        fix="Download the file again and compare its size with the one on the page it comes from.",
        again=False,
    ),
    Kind(
        name="network-weights",
        title="weights not found",
        signs=(r"(?:load_weights|create_network_from_weights)\([^\n]{0,80}network_weights",),
        what="The LoRA to start from (network_weights) cannot be read.",
        why="The file is not there, or it is no LoRA that this trainer knows.",
        fix="Check its path, or start a new run without network_weights.",
        again=False,
    ),
)  # fmt: skip

WHERE = (
    Kind(
        name="tokenizer",
        title="tokenizers missing",
        signs=(
            r"can't load tokenizer for", r"open\(vocab_file", r"expected str, bytes or os\.pathlike object, not nonetype",
        ),
        what="The tokenizers of SDXL are not here.",
        why="They come from the model hub once, at the installation; the training itself never goes to the network.",
        fix=f"{REPAIR} with the network on, or name a mirror in the variable HF_ENDPOINT, or a folder that has them: `install --tokenizers DIR`.",
        again=False,
    ),
    Kind(
        name="model-missing",
        title="base model not found",
        signs=(
            r"model is not found as a file or in hugging face", r"is neither a valid local path nor a valid repo id", r"no file named model_index\.json", r"no file named (?:diffusion_pytorch_model|model)\.(?:bin|safetensors)",
            r"repo id must be in the form", r"repository not found for url", r"hfvalidationerror",
        ),
        what="The base model is not where the plan says.",
        why="The file was moved or renamed, its drive is not connected, or the folder is no model.",
        fix="Put it back (or connect the drive) and go on; or start a new run with --model FILE.",
    ),
    Kind(
        name="offline",
        title="a file is missing",
        signs=(r"outgoing traffic has been disabled", r"localentrynotfounderror", r"couldn't connect to 'https?://", r"cannot find the requested files in the (?:disk|local) cache", r"offlinemodeisenabled"),
        what="The training wanted to fetch a file from the network.",
        why="A name in the settings was taken for one of the model hub: mostly a path that does not exist. The launcher keeps trainings offline.",
        fix="Check the paths in the preset (base model, VAE, weights): each must be a file on this computer.",
        again=False,
    ),
)  # fmt: skip

DATA = (
    Kind(
        name="no-images",
        title="no images",
        signs=(r"no data found\. please verify arguments", r"no image files? found", r"there are no images", r"not directory: [^\n]{1,300}", r"num_samples should be a positive integer value, but got num_samples=0"),
        in_log=True,
        what="No images were found, so nothing was trained.",
        why="The folder is empty, was moved, or is not the one meant: sd-scripts ends without an error then.",
        fix="Check the data folder of the run (`check DIR` counts what is there), then start again.",
        again=False,
    ),
    Kind(
        name="empty-caption",
        title="empty caption",
        signs=(rf"caption file is empty[^\n:]{{0,60}}: {PATH}", r"caption file is empty"),
        what="A caption file has no words: {file}.",
        why="sd-scripts stops at an empty caption.",
        fix="Write a caption into it or delete it (the folder's class tokens are used then), and start again.",
        again=False,
    ),
    Kind(
        name="caption-encoding",
        title="caption not UTF-8",
        signs=(r"illegal char in file[^\n]{0,80}: (?P<file>[^\n]{1,300})", r"unicodedecodeerror: 'utf-8' codec can't decode"),
        what="A text file is not UTF-8: {file}.",
        why="A caption was saved in an old encoding (Shift-JIS, Windows-1252). The training environment reads UTF-8.",
        fix="`check DIR` names the files. Save them as UTF-8 (Notepad: Save as, Encoding), then start again.",
        again=False,
    ),
    Kind(
        name="cache-damaged",
        title="cache file damaged",
        signs=(
            r"\.npz[^\n]{0,300}", r"is_disk_cached_(?:latents|outputs)_expected", r"zipfile\.badzipfile", r"no data left in file", r"cannot load file containing pickled data", r"is_npz_valid|load_latents_from_disk|is_latents_expected",
        ),
        what="A cache file (.npz) of latents or captions is damaged.",
        why="An earlier run was cut off while it wrote, or the disk was full.",
        fix="Delete the .npz files beside the images (they are made again) and start again. Your images and captions are not touched.",
        again=False,
    ),
    Kind(
        name="image-unreadable",
        title="unreadable image",
        signs=(
            rf"cannot identify image file {QUOTED}", rf"error: {PATH}[^\n]{{0,10}}\n[^\n]{{0,200}}image file is truncated", r"image file is truncated", r"unidentifiedimageerror", r"broken (?:png|data stream)", r"unrecognized data stream contents",
            r"decompressionbomb", r"aspect_ratio = image_width / image_height", r"error processing image: (?P<file>[^\n]{1,300})",
        ),
        what="An image cannot be read: {file}.",
        why="The file is damaged, empty, or no image in spite of its name.",
        fix="`check DIR` names the damaged ones. Take them out or save them anew, then start again.",
        again=False,
    ),
    Kind(
        name="image-size",
        title="image of the wrong size",
        signs=(r"image too (?:large|small), but", r"image size is small", r"im_h == reso\[1\]", r"is too small for crop"),
        what="An image is larger or smaller than the resolution, and buckets are off.",
        why="Without buckets every image must have the training's size.",
        fix="Start a new run with --set enable_bucket=true.",
        again=False,
        anew=("enable_bucket=true",),
    ),
    Kind(
        name="state-damaged",
        title="state damaged",
        signs=(r"load_accelerator_state", r"accelerator\.load_state\([^\n]{0,4000}", r"in load_state\b", r"random_states_\d{1,3}\.pkl", r"resume_from_local_or_hf"),
        what="The state to go on from cannot be read.",
        why="Files are missing from it or are damaged: copied by hand, cut off, or a drive with errors.",
        fix="Go on with `resume`: it checks every state and takes the newest sound one.",
    ),
    Kind(
        name="prompt-file",
        title="prompt file not found",
        signs=(r"sample_prompts[^\n]{0,400}\n[^\n]{0,400}\n?[^\n]{0,400}no such file", r"prompts = json\.load\(", r"no such file or directory: '(?P<file>[^'\n]{0,280}prompts?[^'\n]{0,40})'"),
        what="The file with the sample prompts cannot be read.",
        why="It is no .txt, .toml or .json of prompts, is damaged, or was moved since the run was planned.",
        fix="Put it right and go on, or go on without samples: --set sample_every_n_steps=none.",
        going_on=("sample_every_n_steps=none", "sample_every_n_epochs=none"),
    ),
    Kind(
        name="image-missing",
        title="image not found",
        signs=(rf"(?:no such file or directory|can't open/read file)[^\n]{{0,20}}: ['\"](?P<file>{IMAGE})['\"]",),
        what="An image has gone: {file}.",
        why="It was moved or deleted while the training was going on, or its drive was disconnected.",
        fix="Put it back and go on; for a smaller set of images start a new run.",
    ),
)  # fmt: skip
