"""Which part of its table a node fills, asked of the node itself."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from markets.data_nodes.configuration import build_node
from markets.exceptions import MSMError
from markets.models import NodeUpdate

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodeScope:
    """The part of its table that a node fills, and why it cannot be built here, if it cannot."""

    dimensions: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def node_scope(update: NodeUpdate) -> NodeScope:
    """Build the node to ask it; whatever goes wrong is shown before anybody tries to run it."""
    try:
        return NodeScope(dict(build_node(update.build_configuration).statistics_scope()))
    except MSMError as error:
        return NodeScope(problem=str(error))
    except Exception as error:  # a user's class may raise anything; the page must open all the same
        logger.exception("cannot build %s", update)
        return NodeScope(problem=f"{update.class_name} cannot be built: {type(error).__name__}: {error}")
