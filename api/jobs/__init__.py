"""Work that takes long: its durable queue, its workers, its processes, and the clock."""
