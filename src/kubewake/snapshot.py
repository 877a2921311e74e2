"""State that outlives a run: read again from its bytes, or refused in words that say what to do."""

from typing import TypeVar

import msgspec
from msgspec import Struct

from kubewake.errors import StoreError

State = TypeVar("State")


class _Versioned(Struct):
    version: int = 0


START_AFRESH = "delete the state to start afresh"


def decode_state(data: bytes, form: type[State], what: str, *, version: int = 0, remedy: str = START_AFRESH) -> State:
    """State that was saved as msgpack in this form; `version` is what its field of that name must say, if it has one.

    Raises StoreError, in which `what` names the state and `remedy` what to do, where the bytes are of another form or
    version.
    """
    try:
        found = msgspec.msgpack.decode(data, type=_Versioned).version if version else version
        if found == version:
            return msgspec.msgpack.decode(data, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{what} cannot be read ({error}); {remedy}") from error
    raise StoreError(f"{what} has version {found}, this kubewake reads {version}; {remedy}")
