"""Event times of undecoded lines, so that several files can be read in the order of their events."""

import re
from datetime import datetime, timedelta

from kubewake.formats.times import normalise

_STAGE_TIME = re.compile(rb'stageTimestamp\\*"\s*:\s*\\*"([0-9TtZz:.+ -]{19,40})')
_ANY_TIME = re.compile(
    rb'(?:requestReceivedTimestamp|StageReceivedTime|"timestamp|"time|TimeGenerated|@timestamp|eventTime)\\*"\s*:\s*'
    rb'\\*"?([0-9TtZz:.+ -]{10,40})'
)


def line_time(line: bytes) -> str | None:
    """The event time that a line states, normalised; None where it states none."""
    found = _STAGE_TIME.search(line) or _ANY_TIME.search(line)
    return None if found is None else normalise(found[1].decode("ascii").strip())


def first_time(data: bytes) -> str | None:
    """The time of the first line that states one."""
    start = 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        found = line_time(data[start:end])
        if found is not None:
            return found
        start = end
    return None


def last_time(data: bytes) -> str | None:
    """The time of the last line that states one."""
    end = len(data)
    while end > 0:
        start = data.rfind(b"\n", 0, end - 1) + 1
        found = line_time(data[start:end])
        if found is not None:
            return found
        end = start
    return None


def cut_before(data: bytes, time: str) -> int:
    """Where the lines at or behind `time` begin, by bisection: a log is in the order of time, give or take seconds."""
    low, high = 0, len(data)
    while low < high:
        start = data.rfind(b"\n", low, (low + high) // 2) + 1 or low
        end = data.find(b"\n", start) + 1 or len(data)
        found = line_time(data[start:end])
        if found is not None and found >= time:
            high = start
        else:
            low = end
    return low


def later(time: str, seconds: float) -> str:
    """The normalised time that is `seconds` behind `time`."""
    return f"{datetime.fromisoformat(time) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%f}Z"
