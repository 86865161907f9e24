"""What each workload will need: from numbers given, from history, or from the description of a new task."""

from planner.profiles.build import predict_profile, profile, serving_replicas
from planner.profiles.model import Dataset, Figure, Profile, Profiles, Slots, TrainedModel
from planner.profiles.parts import Stated

__all__ = [
    "Dataset",
    "Figure",
    "Profile",
    "Profiles",
    "Slots",
    "Stated",
    "TrainedModel",
    "predict_profile",
    "profile",
    "serving_replicas",
]
