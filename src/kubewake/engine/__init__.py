"""The engine: events in, findings and incidents out; deterministic, with state that can be saved and restored."""

from kubewake.engine.fold import Fold
from kubewake.engine.live import LiveFold, News
from kubewake.engine.read import Reader

__all__ = ["Fold", "LiveFold", "News", "Reader"]
