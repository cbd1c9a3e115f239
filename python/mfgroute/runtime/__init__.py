"""The moving parts of a node.

In reading order: `app` is the router; `parts` are its tasks, `ingest` for a source and `deliver` for a sink;
`supervise` ends and begins connections with pauses from `backoff`; `wakes` brings wake-ups of the engine into
the event loop; `follower` brings effects into their database, `inquiry` and `reconcile` answer what people
ask of them; `rate`, `tempo` and `lock` are small; `daemon` makes a process of it.
"""
