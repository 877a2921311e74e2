"""Incidents: evidence joined along links into one story for each attack."""

from kubewake.incidents.builder import IncidentBuilder
from kubewake.incidents.document import Reach
from kubewake.incidents.signal import rule_signal
from kubewake.incidents.stories import Accusation, Stories
from kubewake.incidents.threshold import BAR_NATS

__all__ = ["BAR_NATS", "Accusation", "IncidentBuilder", "Reach", "Stories", "rule_signal"]
