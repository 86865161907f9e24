"""The database: its tables, their migrations, whose rows are seen, what is recorded, who is told of changes."""
