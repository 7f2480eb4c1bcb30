"""Parts of the shim that know the code of the pinned trainers."""
