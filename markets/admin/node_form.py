"""The form of a DataNode class: a field for each value of its configuration, judged by the class's own models."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.http import QueryDict
from unfold.widgets import (
    UnfoldAdminSelect2Widget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from markets.admin.data_node_page import what_kind
from markets.data_nodes.access import APIDataNode
from markets.data_nodes.configuration import build_node
from markets.data_nodes.node import DataNode
from markets.exceptions import InvalidFields, MSMError
from markets.models import NodeUpdate, StorageNode
from markets.services import node_classes
from markets.services.node_classes import NodeClass, Registration
from markets.services.node_fields import NodeField, as_text, stored_values

MOST_NODES = 500  # in a list to choose from; of more, a hash can be given over REST
BUTTONS = ("preview", "save", "csrfmiddlewaretoken")
_HINTS = {
    "lines": "One on each line.",
    "time": "A time with its zone.",
    "structure": "JSON.",
}


class NodeForm(forms.Form):
    """`registration` is what saving did, or would do, once the form was found valid."""

    registration: Registration | None = None

    def __init__(
        self, chosen: NodeClass, data: QueryDict | None = None, *, initial: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(data, initial=dict(initial or {}))
        self.chosen = chosen
        for field in chosen.fields:
            self.fields[field.name] = _form_field(field, self.initial.get(field.name))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name in sorted(set(self.data) - set(self.fields) - set(BUTTONS)):
            self.add_error(None, f"{name[:60]!r} is no field of {self.chosen.name}. Open the form anew.")
        values = self._values(cleaned)
        if self.errors and not self._only_missing():
            return cleaned
        try:
            self.registration = node_classes.register(
                self.chosen, values, strict=False, dry_run=bool(self.errors) or "save" not in self.data
            )
        except InvalidFields as error:
            for place, fault in error.by_field.items():
                self._tell(place, fault)
        except MSMError as error:
            self.add_error(None, str(error))
        return cleaned

    def groups(self) -> Iterator[tuple[str, list[forms.BoundField]]]:
        """The fields under the titles of the nested models that they belong to."""
        title, bound = "", list[forms.BoundField]()
        for field in self.chosen.fields:
            if field.group != title and bound:
                yield title, bound
                bound = []
            title = field.group
            bound.append(self[field.name])
        if bound:
            yield title, bound

    def _only_missing(self) -> bool:
        """Whether nothing is wrong but what was left empty: then the class can tell what else is."""
        return all(error.code == "required" for errors in self.errors.as_data().values() for error in errors)

    def _values(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """The values as JSON would say them; what was left empty is left out."""
        values: dict[str, Any] = {}
        for field in self.chosen.fields:
            given = cleaned.get(field.name)
            is_given = given not in (None, "", [])
            if is_given:
                try:
                    given = _value(field, given)
                except ValueError:
                    self.add_error(field.name, "This is no JSON. Texts stand in double quotes.")
                    continue
            if is_given or field.in_required:
                at = values
                for part in field.path[:-1]:
                    at = at.setdefault(part, {})
                if is_given:
                    at[field.path[-1]] = given
        return values

    def _tell(self, place: str, fault: str) -> None:
        """Beside the field that it is about, else above the form with its name."""
        name = place
        while name and name not in self.fields:
            name = name.rpartition(".")[0]
        if not name:
            self.add_error(None, fault if place == "arguments" else f"{place}: {fault}")
        elif name not in self.errors:
            number = place.removeprefix(name).strip(".")
            self.add_error(name, f"Number {int(number) + 1}: {fault}" if number.isdigit() else fault)


def initial_of(chosen: NodeClass, update: NodeUpdate) -> dict[str, Any]:
    """What the form of a class shows to make a node like another one."""
    stored = stored_values(update.build_configuration.get("arguments", {}), chosen.fields)
    return {field.name: _shown(field, stored[field.name]) for field in chosen.fields if field.name in stored}


def _value(field: NodeField, given: Any) -> Any:
    if field.kind == "flag":
        return {"true": True, "false": False}.get(given, given)
    if field.kind in ("choice", "structure"):
        try:
            return json.loads(given)
        except RecursionError:
            raise ValueError("nested too deeply") from None
    if field.kind == "lines":
        return [line.strip() for line in given.splitlines() if line.strip()]
    return given


def _shown(field: NodeField, value: Any) -> Any:
    """A stored JSON value as the form's field wants it."""
    if value is None:
        return ""
    if field.kind in ("node", "nodes"):
        names = [_name_of(item) for item in (value if isinstance(value, list) else [value])]
        return names if field.kind == "nodes" else names[0]
    if field.kind == "flag":
        return "true" if value else "false"
    if field.kind in ("choice", "structure"):
        return json.dumps(value, ensure_ascii=False)
    if field.kind == "lines" and isinstance(value, list):
        return "\n".join(map(str, value))
    return str(value)


def _name_of(stored: Any) -> str:
    """How the list names a stored node; empty where its class is gone, so that another is chosen."""
    try:
        node: Any = build_node(stored)
        return node.identifier if isinstance(node, APIDataNode) else node.update_hash
    except Exception:  # a user's class may raise anything
        return ""


def _form_field(field: NodeField, given: Any) -> forms.Field:
    options: dict[str, Any] = {"label": field.label, "required": field.required, "help_text": _help(field)}
    if field.kind == "nodes":
        choices = _node_choices(field, given or [])
        widget = UnfoldAdminSelectMultipleWidget()
        many = forms.MultipleChoiceField(choices=choices, widget=widget, **options)
        many.valid_value = lambda value: True  # type: ignore[method-assign] # the class judges what is no choice
        return many
    return forms.CharField(widget=_widget(field, given), **options)


def _widget(field: NodeField, given: Any) -> forms.Widget:
    if field.kind == "node":
        return UnfoldAdminSelect2Widget(choices=[("", ""), *_node_choices(field, [given] if given else [])])
    if field.kind == "choice":
        choices = [(json.dumps(item, ensure_ascii=False), as_text(item)) for item in field.choices]
        return UnfoldAdminSelectWidget(choices=[("", _empty(field)), *choices])
    if field.kind == "flag":
        return UnfoldAdminSelectWidget(choices=[("", _empty(field)), ("true", "yes"), ("false", "no")])
    if field.kind in ("lines", "structure"):
        return UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"})
    attrs = {"autocomplete": "off", "spellcheck": "false"}
    if field.kind == "number":
        attrs["inputmode"] = "decimal"
    if field.kind == "time":
        attrs["placeholder"] = "2026-01-31T21:00:00Z"
    if field.kind == "date":
        attrs["placeholder"] = "2026-01-31"
    return UnfoldAdminTextInputWidget(attrs=attrs)


def _empty(field: NodeField) -> str:
    if field.default is not None:
        return f"Default: {as_text(field.default)}"
    return "Choose…" if field.required else "Nothing"


def _help(field: NodeField) -> str:
    words = [field.help, _HINTS.get(field.kind, "")]
    if field.kind not in ("choice", "flag") and field.default not in (None, "", []):
        words.append(f"Left empty: {as_text(field.default)}.")
    return " ".join(filter(None, words))


def _node_choices(field: NodeField, given: list[str]) -> list[tuple[str, str]]:
    """Registered nodes that the argument takes; tables where it only reads."""
    if all(issubclass(kind, APIDataNode) for kind in field.node_types):
        tables = StorageNode.objects.exclude(identifier=None).order_by("identifier")
        names = [str(name) for name in tables.values_list("identifier", flat=True)[:MOST_NODES]]
        found = [(name, name) for name in names]
    else:
        updates = NodeUpdate.objects.select_related("storage").order_by("storage__identifier", "update_hash")
        if DataNode not in field.node_types:
            updates = updates.filter(node_class__in=node_classes.compatible_paths(field.node_types))
        found = [(row.update_hash, f"{row} · {what_kind(row)}") for row in updates[:MOST_NODES]]
    known = {value for value, _ in found}
    return [*found, *((name, name) for name in given if name not in known)]
