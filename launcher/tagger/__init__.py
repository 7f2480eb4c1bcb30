"""Captions by a WD14 tagger: images in, tags beside them, every change journalled so that it can be taken back.

The launcher's half (it never imports numpy or onnxruntime):

- `records` the wish, `images` what there is to tag, `captions` the text of a caption
- `models` which tagger, `hub` how it comes here, `runtime` the packages that run it
- `journal` what was there before each change, `writer` the changes, `undo` back again
- `work` the list of steps; it starts `worker/`, the half that runs in the training environment

This file imports nothing: the worker passes through it.
"""
