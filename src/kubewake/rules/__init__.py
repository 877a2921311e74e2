"""Sigma rules: parsed, compiled to predicates over facts, indexed, correlated, filtered, explained and tested."""
