"""Training of models of healthy hosts: which rows may be used, what to try, and how candidates are set side by side."""
