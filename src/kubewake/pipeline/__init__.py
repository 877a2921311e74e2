"""Wiring: sources, formats, engine and edges put together, for `scan` and for `serve`."""
