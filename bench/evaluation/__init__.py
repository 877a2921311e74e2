"""How well kubewake detects attacks, measured on labelled recordings: `python -m bench.evaluation --recordings DIR`."""
