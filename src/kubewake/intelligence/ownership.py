"""Who owns an address: databases of networks and countries."""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from kubewake.errors import SettingsError
from kubewake.facts import Ownership

OWNERS_REMEMBERED = 8192


def open_databases(paths: Iterable[Path]) -> Callable[[str], Ownership | None]:
    """A function that looks addresses up in MaxMind-format databases of ASNs and countries, answers remembered."""
    import maxminddb  # noqa: PLC0415  # only where a database is given

    readers = []
    for path in paths:
        try:
            readers.append(maxminddb.open_database(path))
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise SettingsError(
                f"database {path} cannot be opened: {error}; it must be a MaxMind .mmdb file"
            ) from error

    @lru_cache(maxsize=OWNERS_REMEMBERED)
    def owner_of(address: str) -> Ownership | None:
        records = []
        for reader in readers:
            try:
                record = reader.get(address)
            except ValueError:
                continue
            if isinstance(record, dict):
                records.append(record)
        return merge_ownership(records) if records else None

    return owner_of


def merge_ownership(records: Iterable[Mapping[str, Any]]) -> Ownership:
    """One answer from the records of several databases (GeoLite2, DB-IP and IPinfo layouts); the first word counts."""
    asn: int | None = None
    organisation: str | None = None
    country: str | None = None
    for record in records:
        if asn is None:
            asn = number_of_asn(record.get("autonomous_system_number") or record.get("asn"))
        organisation = organisation or _text(
            record.get("autonomous_system_organization") or record.get("as_name") or record.get("name")
        )
        place = record.get("country") or record.get("registered_country")
        code = place.get("iso_code") if isinstance(place, Mapping) else record.get("country_code") or place
        country = country or _text(code)
    return Ownership(asn=asn, organisation=organisation, country=country)


def number_of_asn(value: object) -> int | None:
    """An AS number from `64496` or `AS64496`; None for anything else."""
    if isinstance(value, int):
        return value
    digits = value.upper().removeprefix("AS") if isinstance(value, str) else ""
    return int(digits) if digits.isdecimal() else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
