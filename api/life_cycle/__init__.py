"""The steps of a plan from a draft into force and back."""
