"""Where requests go by the plan in force, by what is there, and the plans that losses ask for."""
