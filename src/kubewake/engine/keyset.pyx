# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A set of event keys that takes sixteen to thirty-two bytes a key, and half the time of a `set`."""

from cpython.mem cimport PyMem_Free, PyMem_Calloc
from libc.stdint cimport uint64_t

import secrets

cdef enum:
    LEAST_BITS = 6  # an empty set has 64 places; always a power of two, of which at most half are taken

cdef uint64_t factor = secrets.randbits(64) | 1  # so that nobody can write requests whose keys crowd one place


cdef class KeySet:
    """Unsigned 64-bit numbers, each once. Does what `set` does, as far as ordering needs it."""

    cdef uint64_t* places
    cdef uint64_t mask
    cdef int shift
    cdef Py_ssize_t used
    cdef bint has_nought  # 0 marks a free place

    def __cinit__(self, keys=()):
        self.mask = (1 << LEAST_BITS) - 1
        self.shift = 64 - LEAST_BITS
        self.places = <uint64_t*>PyMem_Calloc(self.mask + 1, sizeof(uint64_t))
        if self.places == NULL:
            raise MemoryError

    def __init__(self, keys=()):
        cdef const uint64_t[::1] numbers
        cdef Py_ssize_t index
        if isinstance(keys, (list, tuple)):
            for key in keys:
                self.reserve(1)
                self.put(key)
            return
        numbers = keys
        self.reserve(numbers.shape[0])
        for index in range(numbers.shape[0]):
            self.put(numbers[index])

    def __dealloc__(self):
        PyMem_Free(self.places)

    def __len__(self):
        return self.used + self.has_nought

    def __contains__(self, uint64_t key):
        return self.holds(key)

    def __iter__(self):
        cdef uint64_t place
        if self.has_nought:
            yield 0
        for place in range(self.mask + 1):
            if self.places[place]:
                yield self.places[place]

    def add_all(self, keys):
        """Add an array("Q"); answers the indexes of those that were in already, also by standing further up in it."""
        cdef const uint64_t[::1] numbers = keys
        cdef Py_ssize_t index
        cdef list known = []
        self.reserve(numbers.shape[0])
        for index in range(numbers.shape[0]):
            if not self.put(numbers[index]):
                known.append(index)
        return known

    def indexes_of(self, keys):
        """The indexes of those in an array("Q") that are in this set."""
        cdef const uint64_t[::1] numbers = keys
        cdef Py_ssize_t index
        cdef list known = []
        if not len(self):
            return known
        for index in range(numbers.shape[0]):
            if self.holds(numbers[index]):
                known.append(index)
        return known

    def isdisjoint(self, others):
        """Whether none of the others is in this set."""
        for key in others:
            if self.holds(key):
                return False
        return True

    cdef bint holds(self, uint64_t key) noexcept nogil:
        cdef uint64_t place = key * factor >> self.shift
        if not key:
            return self.has_nought
        while self.places[place]:
            if self.places[place] == key:
                return True
            place = (place + 1) & self.mask
        return False

    cdef bint put(self, uint64_t key) noexcept nogil:
        """Add a key, for which there must be room; False where it was in already."""
        cdef uint64_t place = key * factor >> self.shift
        if not key:
            if self.has_nought:
                return False
            self.has_nought = True
            return True
        while self.places[place]:
            if self.places[place] == key:
                return False
            place = (place + 1) & self.mask
        self.places[place] = key
        self.used += 1
        return True

    cdef int reserve(self, Py_ssize_t more) except -1:
        """Make room for so many more keys."""
        cdef uint64_t size = self.mask + 1, before = size, place
        cdef uint64_t* old = self.places
        cdef uint64_t* new
        cdef int shift = self.shift
        while size < 2 * <uint64_t>(self.used + more):
            size *= 2
            shift -= 1
        if size == before:
            return 0
        new = <uint64_t*>PyMem_Calloc(size, sizeof(uint64_t))
        if new == NULL:
            raise MemoryError
        self.places, self.mask, self.shift, self.used = new, size - 1, shift, 0
        for place in range(before):
            if old[place]:
                self.put(old[place])
        PyMem_Free(old)
        return 0
