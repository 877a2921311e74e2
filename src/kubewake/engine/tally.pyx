# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Counts ordinary lines without making objects of them.

Nine of ten lines of a log behave like one seen before, in a way that no rule can say anything about. Of such a line only
the part that tells its behaviour is compared, byte for byte, with what was seen; its event key is computed, and it is
counted in the stub that is open for its behaviour. Every other line goes to `Gathering.judge`, which decides everything:
a `Tally` only repeats decisions, and only where the bytes that they rest on are the same.

A line is walked as strict, compact, printable ASCII JSON. What is walked here is valid JSON; whatever the walker does not
vouch for (white space, other encodings, unknown or repeated keys, escapes where a value is looked at) it passes on.
"""

from cpython cimport array
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

import msgspec
import xxhash

from kubewake.engine.stub import end as end_stub
from kubewake.observation import MAX_MEMBERS, earliest

cdef enum:
    UNOWNED = 0xFFFFFFFF  # as `gathering.UNOWNED`
    TIME_LENGTH = 27  # of `2026-11-23T07:00:00.000000Z`
    HOUR_LENGTH = 13
    SPAN_LENGTH = 15  # as `gathering.SPAN_CHARACTERS`
    KEY_BYTES = 8192  # longest behaviour key that is kept; events with a longer one are judged each time
    IDENTITY_BYTES = 16384  # longest text that an event key is made of
    SLOTS = 131072
    MAX_KNOWN = 60000  # behaviours remembered; when there are more, all are forgotten and judged once more
    ID_BYTES = 64  # longest audit id of an event that is counted here; those of API servers have 36
    PLAIN = 0  # kinds of events, for which different rules can be open (see `behaviour.Behaviour`)
    ANNOTATED = 1
    WITH_BODIES = 2
    MAX_HELD = 256  # events that an open stub names before all but the earliest are dropped

include "line.pxi"


cdef class Open:
    """The stub of a behaviour that is open for one span of an observation, and what was counted in it here."""

    cdef object gathering
    cdef object stub
    cdef char span[SPAN_LENGTH]
    cdef uint32_t owner
    cdef char first_time[TIME_LENGTH]
    cdef uint64_t first_key
    cdef char last_time[TIME_LENGTH]
    cdef uint64_t last_key
    cdef char last_id[ID_BYTES]
    cdef Py_ssize_t last_id_length
    """0 where nothing was counted here."""
    cdef list members
    cdef bint is_full
    cdef char bound[TIME_LENGTH]
    """Once it is full, events after this time are not among those that the stub names."""

    cdef inline bint is_longer(self):
        """Whether more was counted here than the event that the stub began with."""
        return self.last_id_length != 0 and (
            self.last_key != self.first_key or memcmp(self.last_time, self.first_time, TIME_LENGTH) != 0
        )


cdef class Known:
    """A behaviour that was met, under the bytes that tell it."""

    cdef bytes texts
    """One after the other, so that they are read at once: its bytes, and what stands before the audit id and behind the
    request URI in the text that an event key is the digest of."""
    cdef Py_ssize_t key_length, prefix_length, suffix_length
    cdef object behaviour
    cdef object cluster
    cdef bint must_be_judged
    cdef bint is_ordinary
    """Whether its events are counted here; False where each must be judged."""
    cdef bint is_ignored
    cdef object left
    """The rules that are open for its events."""
    cdef dict answers
    """Where it is not ordinary: which rules match, by what was asked. What none matches is counted here too."""
    cdef uint64_t code
    cdef Open open

    cdef inline bint is_open(self, gathering, Line* line):
        """Whether a stub is open for it in the span of this line."""
        return (
            self.open is not None
            and self.open.gathering is gathering
            and memcmp(self.open.span, line.time.at + 1, SPAN_LENGTH) == 0
        )


cdef inline Py_ssize_t put(uint8_t* buffer, Py_ssize_t at, Span part, Text safe) noexcept nogil:
    """Append a part and a separator, which cannot stand in it. From up to `safe` on 32 bytes may be read."""
    if part.length:
        if part.length <= 32 and part.at <= safe:
            memcpy(buffer + at, part.at, 32)  # takes no call, as the length is known to the compiler
        else:
            memcpy(buffer + at, part.at, part.length)
    buffer[at + part.length] = 10
    return at + part.length + 1


cdef Py_ssize_t write_key(Line* line, uint8_t* buffer, Text safe) noexcept nogil:
    """Write all that behaviour depends on (see `Gathering.recognise`) into the buffer; answers 0 where it is too long."""
    cdef Span name, user = line.user
    cdef Py_ssize_t at = 9
    name.at, name.length = line.level.at, 0
    if line.resource.length == 9 and memcmp(line.resource.at, b'"secrets"', 9) == 0:
        name = line.name
    if line.user_number:
        user.length = 0
    if (
        line.level.length + line.stage.length + line.verb.length + user.length + line.impersonated.length
        + line.sources.length + line.agent.length + line.resource.length + line.subresource.length
        + line.api_group.length + line.namespace.length + line.code.length + line.decision.length
        + line.reason.length + line.manual.length + line.autogenerated.length + name.length
    ) > KEY_BYTES - 64:
        return 0
    buffer[0] = PLAIN
    if line.request_body.length or line.response_body.length:
        buffer[0] = WITH_BODIES
    elif line.has_other_annotations:
        buffer[0] = ANNOTATED
    memcpy(buffer + 1, &line.user_number, 8)
    at = put(buffer, at, line.level, safe)
    at = put(buffer, at, line.stage, safe)
    at = put(buffer, at, line.verb, safe)
    at = put(buffer, at, user, safe)
    at = put(buffer, at, line.impersonated, safe)
    at = put(buffer, at, line.sources, safe)
    at = put(buffer, at, line.agent, safe)
    at = put(buffer, at, line.resource, safe)
    at = put(buffer, at, line.subresource, safe)
    at = put(buffer, at, line.api_group, safe)
    at = put(buffer, at, line.namespace, safe)
    at = put(buffer, at, line.code, safe)
    at = put(buffer, at, line.decision, safe)
    at = put(buffer, at, line.reason, safe)
    at = put(buffer, at, line.manual, safe)
    at = put(buffer, at, line.autogenerated, safe)
    return put(buffer, at, name, safe)


cdef inline bint holds(Text p, Py_ssize_t length, const char* word, Py_ssize_t size) noexcept nogil:
    """Whether the text holds the word."""
    cdef Text end = p + length
    while end - p >= size:
        p = <Text>memchr(p, word[0], end - p - size + 1)
        if p == NULL:
            return False
        if memcmp(p, word, size) == 0:
            return True
        p += 1
    return False


cdef bint may_traverse(Text p, Py_ssize_t length) noexcept nogil:
    """Whether a URI could hold a `..` step (see `gathering.may_traverse`), or has escapes that could be part of one."""
    cdef Text end = p + length
    cdef uint8_t found = 0
    cdef Py_ssize_t index
    for index in range(length - 1):  # no way out, so that the compiler makes vectors of it
        found |= (p[index] == 46) & (p[index + 1] == 46)
        found |= (p[index] == 37) & (p[index + 1] == 50)
    if found:
        return True
    while True:
        p = <Text>memchr(p, 92, end - p)
        if p == NULL:
            return False
        # Of characters that need no escape Go's encoder writes just `&`, `<` and `>` as one.
        if p[1] == 117 and memcmp(p, b"\\u0026", 6) != 0 and memcmp(p, b"\\u003", 5) != 0:
            return True
        if p[1] == 117 and p[5] == 50:
            return True
        p += 2


cdef bint is_within_hour(Text p) noexcept nogil:
    """Whether 27 bytes end like a time in normal form: `:MM:SS.ffffffZ`."""
    cdef int index
    for index in range(14, 26):
        if not is_digit(p[index]) and index != 16 and index != 19:
            return False
    return p[13] == 58 and p[14] < 54 and p[16] == 58 and p[17] < 54 and p[19] == 46 and p[26] == 90


cdef inline str text_of(Text p, Py_ssize_t length):
    return PyUnicode_DecodeASCII(<const char*>p, length, NULL)


cdef struct Slot:
    uint64_t digest
    Py_ssize_t key_length
    const char* key  # of what is known, which need not be looked at to compare it
    void* known


cdef class Tally:
    """Counts the ordinary lines of blocks, for one `Gathering` after the other. Its memory saves work and is no state."""

    cdef uint64_t seed
    cdef list known
    cdef Slot* slots
    cdef Users users
    cdef uint64_t* marks
    cdef Py_ssize_t marked_bytes
    """Longest page that there is room for in `marks`."""
    cdef list opened
    cdef str cluster
    cdef object met
    """A cluster that the gathering knows of."""
    cdef bytes since
    cdef bytes until
    cdef char hour[HOUR_LENGTH]
    cdef object is_normal
    cdef object digest
    cdef object unescape

    def __cinit__(self, uint64_t seed, *_args, **_options):
        self.slots = <Slot*>calloc(SLOTS, sizeof(Slot))
        if self.slots == NULL or not prepare(&self.users, seed):
            raise MemoryError
        memset(self.hour, 0, HOUR_LENGTH)

    def __dealloc__(self):
        free(self.slots)
        free(self.marks)
        release(&self.users)

    def __init__(self, seed, is_normal, since="", until=""):
        """`seed` is 64 random bits; `is_normal` tells whether a text is a time in normal form."""
        self.seed = seed
        self.met = None
        self.known = []
        self.opened = []
        self.cluster = ""
        self.since = since.encode()
        self.until = until.encode()
        self.is_normal = is_normal
        self.digest = xxhash.xxh3_64_intdigest
        self.unescape = msgspec.json.Decoder(str).decode

    def count(self, gathering, lines):
        """Count the ordinary lines of a block (`head.Lines`); `gathering` judges every other line when its turn comes.

        What was counted is in `gathering.keys` and `owners` at once, and in its stubs after `flush`.
        """
        cdef bytes data = lines.data
        cdef Page page
        cdef Text beginning = <Text>PyBytes_AS_STRING(data), stop
        cdef Text p = beginning + <Py_ssize_t>lines.start
        cdef Text end = beginning + <Py_ssize_t>lines.end
        cdef Text safe = end - 32
        cdef array.array keys = gathering.keys
        cdef array.array owners = gathering.owners
        cdef uint8_t buffer[KEY_BYTES]
        cdef Line line
        cdef Py_ssize_t length, number = lines.first_line
        cdef uint64_t digest = 0, key
        cdef bint counted
        cdef Known known
        cdef char first[TIME_LENGTH]
        cdef char last[TIME_LENGTH]
        cdef bint is_timed = False
        load, file = lines.load, lines.file
        if lines.cluster != self.cluster:
            self.forget()
            self.cluster = lines.cluster
        self.met = None
        self.mark(p, end - p, &page)
        while p < end:
            if self.users.count >= MAX_USERS:
                self.forget()
            stop = page.start + next_mark(page.odd, p - page.start)
            known, length = None, 0
            if stop < end and stop[0] != 10:  # something in the line is not vouched for
                stop = <Text>memchr(stop, 10, end - stop)
                if stop == NULL:
                    stop = end
            else:
                page.end = stop
                if walk(p, &page, &line) and self.is_usual(&line):
                    if self.is_outside(&line):
                        p, number = stop + 1, number + 1
                        continue
                    length = write_key(&line, buffer, safe)
                    if length:
                        digest = digest_of(buffer, length, self.seed)
                        known = self.find(buffer, length, digest)
            if known is not None and not known.must_be_judged:
                key = self.event_key(known, &line)
                where, question, counted = None, None, known.is_ordinary
                if known.answers is not None:
                    question = (self.string_of(line.uri), self.string_of(line.name), self.string_of(line.message))
                    counted = known.answers.get(question) == ()
                if counted and not known.is_ignored and not known.is_open(gathering, &line):
                    where = (p - beginning, stop - beginning, number)
                    self.open(known, gathering, load, file, where, key, &line)
                if not counted or not self.note(known, gathering, key, keys, owners, &line):
                    gathering.count(
                        known.behaviour,
                        known.left,
                        text_of(line.time.at + 1, TIME_LENGTH),
                        key,
                        text_of(line.audit_id.at + 1, line.audit_id.length - 2),
                        question or (self.string_of(line.uri), self.string_of(line.name), self.string_of(line.message)),
                        load,
                        where or (p - beginning, stop - beginning, number),
                        file,
                        number,
                    )
                if not is_timed or memcmp(line.time.at + 1, last, TIME_LENGTH) > 0:
                    memcpy(last, line.time.at + 1, TIME_LENGTH)
                if not is_timed or memcmp(line.time.at + 1, first, TIME_LENGTH) < 0:
                    memcpy(first, line.time.at + 1, TIME_LENGTH)
                is_timed = True
            else:
                behaviour = gathering.judge_line(lines, p - beginning, stop - beginning, number)
                if length and known is None and behaviour is not None:
                    self.learn(buffer, length, digest, behaviour)
            p, number = stop + 1, number + 1
        lines.line_breaks = number - lines.first_line - (end > page.start and (end - 1)[0] != 10)
        if is_timed:
            gathering.stretch(text_of(<Text>first, TIME_LENGTH), text_of(<Text>last, TIME_LENGTH))

    def flush(self, gathering):
        """Let the stubs of the gathering end with the last event that was counted in each, and let go of it."""
        cdef Open open
        for open in self.opened:
            if open.gathering is gathering and open.is_longer():
                end_stub(
                    open.stub,
                    text_of(<Text>open.last_time, TIME_LENGTH),
                    open.last_key,
                    text_of(<Text>open.last_id, open.last_id_length),
                )
            open.gathering = open.stub = open.members = None
        self.opened = []

    def counts(self, owners, Py_ssize_t number):
        """Each of the first `number` owners that stands in the array more than once, with how often."""
        cdef array.array owned = owners
        cdef Py_ssize_t index
        cdef uint32_t owner
        cdef uint32_t* counted = <uint32_t*>calloc(number + 1, sizeof(uint32_t))
        if counted == NULL:
            raise MemoryError
        for index in range(len(owned)):
            owner = owned.data.as_uints[index]
            counted[owner if owner < number else number] += 1
        found = [(index, counted[index]) for index in range(number) if counted[index] > 1]
        free(counted)
        return found

    cdef int mark(self, Text start, Py_ssize_t length, Page* page) except -1:
        """Prepare a page to be walked."""
        cdef Py_ssize_t words = length // 64 + 1
        if self.marks == NULL or length > self.marked_bytes:
            free(self.marks)
            self.marked_bytes = length
            self.marks = <uint64_t*>malloc(2 * words * sizeof(uint64_t))
            if self.marks == NULL:
                raise MemoryError
        page.start, page.users = start, &self.users
        page.quotes, page.odd = self.marks, self.marks + words
        mark(start, length, page.quotes, page.odd)
        return 0

    cdef void forget(self):
        memset(self.slots, 0, SLOTS * sizeof(Slot))
        self.known = []
        forget_all(&self.users)

    cdef Known find(self, const uint8_t* key, Py_ssize_t length, uint64_t digest):
        cdef Py_ssize_t slot = digest & (SLOTS - 1)
        while self.slots[slot].known != NULL:
            if (
                self.slots[slot].digest == digest
                and self.slots[slot].key_length == length
                and memcmp(self.slots[slot].key, key, length) == 0
            ):
                return <Known>self.slots[slot].known
            slot = (slot + 1) & (SLOTS - 1)
        return None

    cdef Known learn(self, const uint8_t* key, Py_ssize_t length, uint64_t digest, behaviour):
        cdef Known known = Known()
        cdef Py_ssize_t slot
        if len(self.known) >= MAX_KNOWN:
            self.forget()
        known.behaviour = behaviour
        known.must_be_judged = behaviour.is_partial
        known.is_ignored = behaviour.ignored
        known.code = behaviour.code
        known.cluster = behaviour.cluster
        prefix, suffix = (behaviour.cluster + "\0").encode(), ("\0" + behaviour.user).encode()
        known.texts = PyBytes_FromStringAndSize(<const char*>key, length) + prefix + suffix
        known.key_length, known.prefix_length, known.suffix_length = length, len(prefix), len(suffix)
        known.left = behaviour.whole if key[0] == WITH_BODIES else behaviour.bare if key[0] == ANNOTATED else behaviour.plain
        known.is_ordinary = behaviour.is_ordinary(known.left)
        known.answers = behaviour.answers(known.left)
        if known.prefix_length + known.suffix_length >= IDENTITY_BYTES // 2:
            known.must_be_judged = True
        self.known.append(known)
        slot = digest & (SLOTS - 1)
        while self.slots[slot].known != NULL:
            slot = (slot + 1) & (SLOTS - 1)
        self.slots[slot].known, self.slots[slot].digest = <void*>known, digest
        self.slots[slot].key, self.slots[slot].key_length = PyBytes_AS_STRING(known.texts), length
        return known

    cdef bint is_usual(self, Line* line) except -1:
        """Whether the line says what ordering and counting need, and nothing that must be looked at each time."""
        if not (line.level.length and line.stage.length and line.verb.length and line.audit_id.length):
            return False
        if line.time.length != TIME_LENGTH + 2 or not is_within_hour(line.time.at + 1):
            return False
        if memcmp(line.time.at + 1, self.hour, HOUR_LENGTH) != 0:
            if not self.is_normal(text_of(line.time.at + 1, TIME_LENGTH)):
                return False
            memcpy(self.hour, line.time.at + 1, HOUR_LENGTH)
        if memchr(line.audit_id.at, 92, line.audit_id.length) != NULL:
            return False
        if line.received.length and memchr(line.received.at, 92, line.received.length) != NULL:
            return False
        if line.resource.length and memchr(line.resource.at, 92, line.resource.length) != NULL:
            return False
        if line.uri.length and may_traverse(line.uri.at, line.uri.length):
            return False
        if line.request_body.length and holds(line.request_body.at, line.request_body.length, b"\\u001", 5):
            return False
        return line.audit_id.length + line.uri.length + line.received.length + TIME_LENGTH < IDENTITY_BYTES // 2

    cdef bint is_outside(self, Line* line):
        """Whether the event is not of the time that is asked for."""
        cdef str time
        if not self.since and not self.until:
            return False
        time = text_of(line.time.at + 1, TIME_LENGTH)
        return time.encode() < self.since or (self.until != b"" and time.encode() >= self.until)

    cdef bint note(
        self, Known known, gathering, uint64_t key, array.array keys, array.array owners, Line* line
    ) except -1:
        """Count an event of a known behaviour; False where `Gathering.count` must do that."""
        cdef Open open = known.open
        cdef Text time = line.time.at + 1
        cdef uint32_t owner = UNOWNED
        cdef Py_ssize_t count = len(keys)
        cdef int order
        cdef Py_ssize_t id_length = line.audit_id.length - 2
        if known.is_ignored:
            if known.cluster is not self.met:
                if known.cluster not in gathering.observation.clusters:
                    return False
                self.met = known.cluster
        else:
            if id_length > ID_BYTES or id_length == 0 or not known.is_open(gathering, line):
                return False
            order = memcmp(time, open.first_time, TIME_LENGTH)
            if order < 0 or (order == 0 and key < open.first_key):
                return False
            owner = open.owner
            order = memcmp(time, open.last_time, TIME_LENGTH)
            if order > 0 or (order == 0 and key > open.last_key):
                memcpy(open.last_time, time, TIME_LENGTH)
                open.last_key = key
                memcpy(open.last_id, line.audit_id.at + 1, id_length)
                open.last_id_length = id_length
            if open.members is not None and not (open.is_full and memcmp(time, open.bound, TIME_LENGTH) > 0):
                open.members.append((text_of(time, TIME_LENGTH), key, text_of(line.audit_id.at + 1, id_length)))
                if len(open.members) > MAX_HELD:
                    open.members[:] = earliest(open.members)
                    open.is_full = len(open.members) == MAX_MEMBERS
                    if open.is_full:
                        memcpy(open.bound, PyBytes_AS_STRING(open.members[MAX_MEMBERS - 1][0].encode()), TIME_LENGTH)
        array.resize_smart(keys, count + 1)
        keys.data.as_ulonglongs[count] = key
        array.resize_smart(owners, count + 1)
        owners.data.as_uints[count] = owner
        return True

    cdef str string_of(self, Span part):
        """What a JSON string says; None where there is none."""
        if part.length == 0:
            return None
        if memchr(part.at, 92, part.length) == NULL:
            return text_of(part.at + 1, part.length - 2)
        return self.unescape(PyBytes_FromStringAndSize(<const char*>part.at, part.length))

    cdef uint64_t event_key(self, Known known, Line* line) except? 0:
        """The event's key, as `event.event_key` makes it."""
        cdef Span uri, received
        cdef bytes text, unescaped
        cdef char* at
        cdef const char* fixed = PyBytes_AS_STRING(known.texts) + known.key_length
        cdef Py_ssize_t id_length = line.audit_id.length - 2
        uri.at, uri.length = line.uri.at + 1, line.uri.length - 2
        if line.uri.length == 0:
            uri.at, uri.length = <Text>b"None", 4
        elif memchr(uri.at, 92, uri.length) != NULL:
            unescaped = self.string_of(line.uri).encode()
            uri.at, uri.length = <Text>PyBytes_AS_STRING(unescaped), PyBytes_GET_SIZE(unescaped)
        received.at, received.length = line.received.at + 1, line.received.length - 2
        if received.length <= 0:
            received.at, received.length = line.time.at + 1, TIME_LENGTH
        text = PyBytes_FromStringAndSize(
            NULL, known.prefix_length + id_length + 1 + received.length + 1 + uri.length + known.suffix_length
        )
        at = PyBytes_AS_STRING(text)
        memcpy(at, fixed, known.prefix_length)
        at += known.prefix_length
        memcpy(at, line.audit_id.at + 1, id_length)
        at[id_length] = 0
        at += id_length + 1
        memcpy(at, received.at, received.length)
        at[received.length] = 0
        at += received.length + 1
        memcpy(at, uri.at, uri.length)
        memcpy(at + uri.length, fixed + known.prefix_length, known.suffix_length)
        return (<uint64_t>self.digest(text) & ~<uint64_t>3) | known.code

    cdef int open(self, Known known, gathering, load, file, where, uint64_t key, Line* line) except -1:
        """Count from now on in the stub that is open for the behaviour in the span of this line, or begins with it."""
        cdef Open open = known.open
        cdef const char* time
        cdef Py_ssize_t time_length
        owner = gathering.open(
            known.behaviour,
            text_of(line.time.at + 1, TIME_LENGTH),
            key,
            text_of(line.audit_id.at + 1, line.audit_id.length - 2),
            self.string_of(line.name),
            self.string_of(line.uri),
            load,
            where,
            file,
            where[2],
        )
        if owner is None:
            return 0
        stub = gathering.observation.stubs[owner]
        time = PyUnicode_AsUTF8AndSize(stub.time, &time_length)
        if time_length != TIME_LENGTH:
            return 0
        if open is None or open.gathering is not None:  # else it was let go of by `flush`
            open = known.open = Open()
        open.gathering = gathering
        open.stub = stub
        open.owner = owner
        open.members = gathering.members.get(owner)
        open.is_full = False
        open.first_key = stub.key
        memcpy(open.first_time, time, TIME_LENGTH)
        memcpy(open.span, line.time.at + 1, SPAN_LENGTH)
        memset(open.last_time, 0, TIME_LENGTH)
        open.last_id_length = 0
        self.opened.append(open)
        return 0
