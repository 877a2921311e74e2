"""What people who write and tune rules work with: tests, mutation, coverage, backtests, filter proposals, pages."""
