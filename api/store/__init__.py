"""Jobs and what they made, as the service, its workers and the jobs' processes share them."""
