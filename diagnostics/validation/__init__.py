"""Validation of data in five stages: configuration, identification, summary, benchmark, interpretation.

Start at `diagnostics.validation.validate.validate`. Schema, features and drift get verdicts of their own.
"""
