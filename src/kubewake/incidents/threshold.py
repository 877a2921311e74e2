"""The bars, windows and bounds of incidents; docs/incidents.md says how they were chosen."""

from kubewake.lineage.link import DAY_SECONDS

BAR_NATS = 3.0
"""Default bar, fixed on the development recording; see docs/incidents.md."""
MAX_CAMPAIGNS = 5_000
MAX_TOLD = 8
"""Ended stories remembered for each session: an exact link may show later what came of one."""
MAX_LATELY = 20_000
"""Events with signals remembered for correlations that complete later."""
MAX_EDGES = 16
"""Links remembered into and out of one session."""
MAX_EDGE_SESSIONS = 40_000
CANDIDATE_IDLE_SECONDS = 3 * DAY_SECONDS
"""A story below the bar waits this long for its next step."""
INCIDENT_IDLE_SECONDS = DAY_SECONDS
ESTABLISHED_IDLE_SECONDS = 120.0
"""In a session that the rightful owner uses too, two minutes without evidence, or longer than any pause so far, end
the story."""
WINDOW_SECONDS = 120.0
BLIND_WINDOW_SECONDS = 30.0
"""Evidence in such a session adds up over this long only; a person's day holds a little of everything."""
BLIND_IDLE_SECONDS = 12.0
"""Where neither address nor client is known, only the pace of a session's own evidence tells stories apart: a pause
longer than any so far, and at least this long, ends the story for it. An exact link that starts from a request of
the story takes it up again."""
LOUD_NATS = 3.0
"""In a session of the house, findings add up to an incident only around one that is this loud."""
ANCHOR_NATS = 1.5
"""In a session of the house, a story gathers around evidence this strong; weaker counts only near it."""
NEAR_NATS = 1.0
"""Weaker evidence at home is not taken even near strong evidence."""
MAX_ASIDE = 16
"""Weak pieces remembered for each session in case strong evidence comes soon."""
CARRYING_NATS = 2.0
"""Below the bar, suspicion flows over an inexact link only out of a visit with at least this much evidence."""
MOMENT_SECONDS = 0.001
"""The step from the end of one story to what may belong to the next."""
STRONG_TACTICS = 2
"""… or around strong evidence for this many tactics."""
PACE_FACTOR = 1.0
NEARBY_SECONDS = 60.0
BLIND_NEARBY_SECONDS = 20.0
"""How near a new kind of action must be to the evidence to belong to it, in a session that is not the intruder's alone."""
FORWARD_FROM_HUBS = frozenset({"L1", "L4"})
HABIT_FACTOR = 0.2
"""Weight of a rule that has hit the same identity often before, outside incidents: the house's own way of working."""
MERGING_STRENGTH = 0.25
"""Two stories are joined over a link of a session at least this strong."""
