# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Counts line breaks from one to the next, which takes fewer steps than looking at every byte of long lines."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr


def count_breaks(bytes data not None):
    """How many line breaks there are."""
    cdef const char* p = PyBytes_AS_STRING(data)
    cdef const char* end = p + PyBytes_GET_SIZE(data)
    cdef Py_ssize_t found = 0
    while p < end:
        p = <const char*>memchr(p, 10, end - p)
        if p == NULL:
            break
        found += 1
        p += 1
    return found
