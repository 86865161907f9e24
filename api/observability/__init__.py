"""What happens, as logs, figures and traces tell it."""
