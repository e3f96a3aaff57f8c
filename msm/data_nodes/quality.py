"""Quality checks that a DataNode can declare: return them from `quality_checks()`."""

from markets.engine.quality import CalendarGaps, Jump, Monotonic, NullShare, QualityCheck, ValueRange

__all__ = ["CalendarGaps", "Jump", "Monotonic", "NullShare", "QualityCheck", "ValueRange"]
