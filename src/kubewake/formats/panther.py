"""Events that Panther has normalised: the original with `p_` fields beside it."""

from collections.abc import Iterable

from kubewake.formats.format import Inner, Outcome, Record, format_


@format_
class Panther:
    """Any record with `p_` fields."""

    name = "panther"
    title = "Panther-normalised record"
    order = 5

    def recognises(self, record: Record) -> bool:
        """By a field that Panther adds to everything."""
        return "p_log_type" in record or "p_enrichment" in record or "p_event_time" in record

    def read(self, record: Record) -> Iterable[Outcome]:
        """The original; the enrichment goes to the envelope."""
        enrichment = record.get("p_enrichment")
        yield Inner(
            {key: value for key, value in record.items() if not key.startswith("p_")},
            time=record.get("p_event_time") or record.get("p_parse_time"),
            envelope={"p_enrichment": enrichment} if isinstance(enrichment, dict) else {},
        )
