"""The OpenAPI document: every operation with a summary, its answers with their schemas, and examples that work."""
