"""The demonstration: a bundled slice of a real recording, and its replay through the real webhook."""
