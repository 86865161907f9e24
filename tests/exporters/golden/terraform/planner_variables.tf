variable "planner_node_pools" {
  description = "Machines of every pool by purchase (owned, committed, on_demand, spot), and when how many run."
  type = map(object({
    cluster  = string
    pool     = string
    purchase = string
    provider = string
    region   = string
    zone     = string
    machine  = string
    min      = number
    max      = number
    schedule = list(object({ from = string, until = string, size = number }))
  }))
}
