"""Models: what there is (catalogue), where it lies and whether it is right (store), how it comes (fetch)."""

from services.common.models.catalogue import CATALOGUE, Model, ModelUnknown, find
from services.common.models.fetch import FetchFailed, ensure
from services.common.models.store import ModelMissing, State, Status, locate, statuses

__all__ = [
    "CATALOGUE",
    "FetchFailed",
    "Model",
    "ModelMissing",
    "ModelUnknown",
    "State",
    "Status",
    "ensure",
    "find",
    "locate",
    "statuses",
]
