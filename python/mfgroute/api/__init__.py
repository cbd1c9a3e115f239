"""How others reach a node.

In reading order: `node` is the router with all services; `listener` is its HTTP server with the application
in `http`; `ingress` takes deliveries, with `body` and `problems`; `openapi` describes it; `control` serves
the operator's socket and `client` is its other end.
"""
