"""Evaluation and throughput, reproducible by one command each."""
