"""How the impact of a deletion is shown."""

from typing import Any

from rest_framework import serializers


class RelationshipSerializer(serializers.Serializer):
    key = serializers.CharField()
    label = serializers.CharField()
    model = serializers.CharField()
    column = serializers.CharField()
    relationship_type = serializers.ChoiceField(choices=["direct", "indirect", "derived"])
    on_delete = serializers.ChoiceField(choices=["RESTRICT", "NO ACTION", "CASCADE", "SET NULL", "APPLICATION"])
    count = serializers.IntegerField()
    count_accuracy = serializers.CharField()
    effect = serializers.ChoiceField(
        choices=["blocks_delete", "blocks_cascade", "cascade_delete", "set_null", "informational"]
    )
    severity = serializers.ChoiceField(choices=["blocking", "destructive", "mutating", "warning", "info"])
    blocks_delete = serializers.BooleanField()
    description = serializers.CharField()


class DeleteImpactSerializer(serializers.Serializer):
    resource_type = serializers.CharField()
    uid = serializers.CharField()
    identifier = serializers.CharField()
    display_name = serializers.CharField()
    can_delete = serializers.BooleanField()
    blocking_count = serializers.IntegerField(help_text="Rows that block the deletion.")
    affected_count = serializers.IntegerField(help_text="Rows that point at it, or would go along.")
    delete_endpoint = serializers.SerializerMethodField()
    relationships = RelationshipSerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField())

    def get_delete_endpoint(self, _: Any) -> str:
        return self.context.get("delete_endpoint", "")
