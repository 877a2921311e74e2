# cython: language_level=3, boundscheck=False, wraparound=False
"""Observations from one process to another. What all stubs of one kind share is sent once, and is one object there, as it
is in the process that read them: comparing and hashing it costs less.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from types import MemberDescriptorType
from typing import Optional

import msgspec
from msgspec.structs import replace

from kubewake.observation import Hit, Observation, Stub, intern_words

cdef extern from "descrobject.h":
    ctypedef struct PyMemberDef:
        Py_ssize_t offset
    ctypedef struct PyMemberDescrObject:
        PyMemberDef* d_member

MAX_KINDS = 30_000
"""Kinds that a sender takes as known before it starts anew; some 20 MB where they are received."""

OWN = {
    "time": str,
    "key": int,
    "audit_id": str,
    "name": str,
    "uri": str,
    "file": str,
    "line": int,
    "behaviour": int,
    "count": int,
    "last_time": str,
    "last_key": int,
    "last_audit_id": str,
    "hits": tuple[Hit, ...],
    "records": tuple[Hit, ...],
    "members": list[tuple[str, int, str]],
    "is_feed": bool,
    "issued_credential": str,
}
"""What stubs of one kind may differ in (see `Stub.kind`), but for their values, which mostly are those of the kind."""

cdef enum:
    FIELDS = 17  # as many as OWN has

Row = tuple[(int, *OWN.values(), Optional[dict[str, object]])]
"""A stub: the number of its kind, its own fields, and its values; None for those of the kind."""


class Parcel(msgspec.Struct, array_like=True):
    """An observation on its way."""

    sender: int
    starts_anew: bool
    """What the sender sent before is not referred to any more."""
    kinds: list[Stub]
    """The first stub of each kind that is new."""
    rows: list[Row]
    rest: Observation
    """The observation without stubs."""


cdef Py_ssize_t place_of(str name) except -1:
    """Where in a stub the reference to a field's value stands."""
    member = getattr(Stub, name)
    if type(member) is not MemberDescriptorType:
        raise ImportError(f"a stub's {name} is not where it is looked for")
    return (<PyMemberDescrObject*><PyObject*>member).d_member.offset


cdef Py_ssize_t[FIELDS] places = [place_of(name) for name in OWN]
cdef Py_ssize_t kind_place = place_of("kind")
cdef Py_ssize_t values_place = place_of("values")


cdef inline object held(stub, Py_ssize_t place):
    return <object>(<PyObject**>(<char*><PyObject*>stub + place))[0]


cdef inline void hold(stub, Py_ssize_t place, value):
    cdef PyObject** held = <PyObject**>(<char*><PyObject*>stub + place)
    cdef PyObject* before = held[0]
    Py_INCREF(value)
    held[0] = <PyObject*>value
    Py_XDECREF(before)


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Parcel).decode
copy = Stub.__copy__


cdef class Sender:
    """Packs observations for one receiver, which must unpack all of them in this order."""

    cdef object name
    cdef dict known  # number and values by kind
    cdef Py_ssize_t sent

    def __init__(self, name):
        """`name` is a number that no other sender to that receiver has."""
        self.name = name
        self.known = {}
        self.sent = 0

    def pack(self, observation):
        """The observation as bytes."""
        cdef list rows = [], kinds = []
        cdef bint starts_anew = self.sent > MAX_KINDS
        if starts_anew:
            self.known.clear()
            self.sent = 0
        for stub in observation.stubs:
            rows.append(self.row_of(stub, kinds))
        return encode(Parcel(self.name, starts_anew, kinds, rows, replace(observation, stubs=[])))

    cdef tuple row_of(self, stub, list kinds):
        cdef tuple known, row = PyTuple_New(FIELDS + 2)
        cdef Py_ssize_t index
        kind, values = held(stub, kind_place), held(stub, values_place)
        known = self.known.get(kind)
        if known is None:
            known = (self.sent, values)
            if kind:
                self.known[kind] = known
            kinds.append(stub)
            self.sent += 1
        put(row, 0, known[0])
        for index in range(FIELDS):
            put(row, index + 1, held(stub, places[index]))
        put(row, FIELDS + 1, None if values is known[1] else values)
        return row


cdef inline void put(tuple row, Py_ssize_t index, value):
    Py_INCREF(value)
    PyTuple_SET_ITEM(row, index, value)


cdef class Receiver:
    """Unpacks what senders have packed, in the order of each."""

    cdef dict kinds_of  # lists of stubs by sender

    def __init__(self):
        self.kinds_of = {}

    def unpack(self, data):
        """The observation as it was packed; raises msgspec.MsgspecError where these are no such bytes."""
        cdef list kinds, stubs = []
        cdef tuple row
        cdef Py_ssize_t index
        parcel = decode(data)
        kinds = self.kinds_of.setdefault(parcel.sender, [])
        if parcel.starts_anew:
            kinds.clear()
        for stub in parcel.kinds:
            intern_words(stub)
        kinds += parcel.kinds
        for row in parcel.rows:
            stub = copy(kinds[row[0]])
            for index in range(FIELDS):
                hold(stub, places[index], row[index + 1])
            if row[FIELDS + 1] is not None:
                hold(stub, values_place, row[FIELDS + 1])
            stubs.append(stub)
        observation = parcel.rest
        observation.stubs = stubs
        return observation
