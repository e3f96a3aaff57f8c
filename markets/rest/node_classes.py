"""REST of DataNode classes: which can be registered, what their arguments are, and the request to register one."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_serializer
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from markets.exceptions import InvalidFields
from markets.rest import parameters
from markets.rest.base import MSMView
from markets.rest.pagination import DEFAULT_PAGE, FARTHEST_OFFSET, LARGEST_PAGE
from markets.rest.serializers import StrictCharField, StrictSerializer
from markets.services import node_classes

LIMIT = OpenApiParameter("limit", int, default=DEFAULT_PAGE, description=f"Classes on a page, 1 to {LARGEST_PAGE}.")
OFFSET = OpenApiParameter("offset", int, default=0, description="Classes to leave out before the page.")


class NodeClassSerializer(serializers.Serializer):
    path = serializers.CharField(help_text="What `node_class` takes; the module's name where it cannot be imported.")
    name = serializers.CharField(help_text="Empty for a module that cannot be imported.")
    module = serializers.CharField()
    summary = serializers.CharField(help_text="First sentence of the class's documentation.")
    arguments = serializers.DictField(
        source="schema",
        allow_null=True,
        help_text="JSON schema of the arguments; null where they cannot be given as JSON. A DataNode is given by name.",
    )
    problem = serializers.CharField(
        help_text="Why the class takes no configuration as JSON, or its module cannot be imported; else empty."
    )


@extend_schema_serializer(many=False)
class NodeClassListSerializer(serializers.Serializer):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = NodeClassSerializer(many=True)


class ArgumentsField(serializers.DictField):
    """Argument → JSON value; what is in it is judged by the class."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("not_a_dict", input_type=type(data).__name__)
        return data


class NodeRegistrationSerializer(StrictSerializer):
    node_class = StrictCharField(max_length=255, help_text="Path of a class of data-node-class/.")
    arguments = ArgumentsField(
        default=dict, help_text="Argument → value, as the class's JSON schema says. A DataNode is given by its name."
    )


class NodeClassViewSet(MSMView, GenericViewSet):
    """The classes of the registered modules: MSM's own and those of MSM_NODE_MODULES."""

    serializer_class = NodeClassListSerializer
    pagination_class = None
    action_permissions = {"list": ("markets.view_nodeupdate",)}
    query_parameters = {"list": ("limit", "offset")}

    def is_filtered_list(self, action_name: str) -> bool:
        return False

    @extend_schema(parameters=[LIMIT, OFFSET], responses=NodeClassListSerializer, filters=False)
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The DataNode classes that can be registered, and the registered modules that cannot be imported."""
        limit = parameters.number(request, "limit", least=1, most=LARGEST_PAGE) or DEFAULT_PAGE
        offset = parameters.number(request, "offset", least=0, most=FARTHEST_OFFSET) or 0
        found = node_classes.find_classes()
        rows = [*found.classes, *map(_of_module, found.broken)]
        address = request.build_absolute_uri(request.path)
        body = {
            "count": len(rows),
            "next": f"{address}?limit={limit}&offset={offset + limit}" if offset + limit < len(rows) else None,
            "previous": f"{address}?limit={limit}&offset={max(0, offset - limit)}" if offset else None,
            "results": rows[offset : offset + limit],
        }
        return Response(NodeClassListSerializer(body).data)


def register(request: Request) -> tuple[node_classes.Registration, int]:
    """Register what the body says; 201 where it is new, 200 where the same node is registered already."""
    serializer = NodeRegistrationSerializer(data=request.data)
    serializer.is_valid(raise_exception=True)
    chosen = node_classes.find_class(serializer.validated_data["node_class"])
    try:
        made = node_classes.register(chosen, serializer.validated_data["arguments"])
    except InvalidFields as error:
        raise InvalidFields({_within(name): fault for name, fault in error.by_field.items()}) from error
    return made, status.HTTP_201_CREATED if made.created else status.HTTP_200_OK


def _of_module(broken: node_classes.BrokenModule) -> dict[str, Any]:
    """A module that cannot be imported, in the list of classes."""
    row = {"path": broken.name, "module": broken.name, "problem": broken.error}
    return {**row, "name": "", "summary": "", "schema": None}


def _within(name: str) -> str:
    return name if name == "arguments" else f"arguments.{name}"
