"""Resolutions: lists of identifiers become assets, by OpenFIGI's answers and, where they leave a choice, a person's."""

from markets.services.resolutions.execution import outcome_counts
from markets.services.resolutions.inbox import (
    LONGEST_REASON,
    accept,
    candidates_of,
    decline,
    inbox,
    is_acceptable,
    plain_choice,
    postpone,
)
from markets.services.resolutions.listing import can_resume, items_of, known_sources, number_waiting, outcome_file
from markets.services.resolutions.pending import resolve_pending
from markets.services.resolutions.remembered import change_remembered, reopen
from markets.services.resolutions.rules import MOST_AT_ONCE, DecidedByRule, decide_by_rule, preview_rule
from markets.services.resolutions.submission import (
    LONGEST_SOURCE,
    RESOLVE,
    Submitted,
    home_markets,
    resume_resolution,
    submit_resolution,
)
from markets.services.resolutions.uploads import LARGEST_FILE, lines_of_file

__all__ = [
    "LARGEST_FILE",
    "LONGEST_REASON",
    "LONGEST_SOURCE",
    "MOST_AT_ONCE",
    "RESOLVE",
    "DecidedByRule",
    "Submitted",
    "accept",
    "can_resume",
    "candidates_of",
    "change_remembered",
    "decide_by_rule",
    "decline",
    "home_markets",
    "inbox",
    "is_acceptable",
    "items_of",
    "known_sources",
    "lines_of_file",
    "number_waiting",
    "outcome_counts",
    "outcome_file",
    "plain_choice",
    "postpone",
    "preview_rule",
    "reopen",
    "resolve_pending",
    "resume_resolution",
    "submit_resolution",
]
