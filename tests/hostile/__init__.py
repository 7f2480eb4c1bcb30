"""Inputs that are broken, absurd or made to harm, each with its name and the verdict that it deserves.

They are made from code when a test asks for them, so that nothing harmful lies in the repository.
"""

from tests.hostile.captions import CAPTIONS
from tests.hostile.case import Case
from tests.hostile.datasets import DATASETS
from tests.hostile.images import IMAGES
from tests.hostile.models import MODELS
from tests.hostile.places import PLACES
from tests.hostile.presets import PRESETS

__all__ = ["CAPTIONS", "DATASETS", "IMAGES", "MODELS", "PLACES", "PRESETS", "Case"]
