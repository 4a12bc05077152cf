"""The HTTP API: routes, schemas, problem documents, and middleware."""
