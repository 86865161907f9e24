"""The service: plans over HTTP, kept in SQLite, each solved in a process of its own. Start at `api.app.create_app`."""
