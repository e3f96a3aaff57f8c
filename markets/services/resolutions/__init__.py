"""Resolutions: lists of identifiers become assets, by OpenFIGI's answers and, where they leave a choice, a person's."""

from markets.services.resolutions.execution import outcome_counts
from markets.services.resolutions.inbox import accept, decide_by_rule, decline, inbox, postpone
from markets.services.resolutions.submission import RESOLVE, Submitted, resume_resolution, submit_resolution

__all__ = [
    "RESOLVE",
    "Submitted",
    "accept",
    "decide_by_rule",
    "decline",
    "inbox",
    "outcome_counts",
    "postpone",
    "resume_resolution",
    "submit_resolution",
]
