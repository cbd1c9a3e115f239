"""What a running node says about itself.

In reading order: `text` makes text safe to show; `logs` writes JSON lines; `health` knows whether parts make
progress; `stats` reads the engine's snapshot; `metrics` shows the counters to Prometheus.
"""
