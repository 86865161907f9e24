"""Performance diagnostics on recorded telemetry: seasonal alarms and drift verdicts, each with its chance under calm.

A library of its own: it knows telemetry frames and arrays, and nothing of planning or placement. Start at
`diagnostics.telemetry.read_telemetry` and `diagnostics.diagnose.diagnose`.
"""
