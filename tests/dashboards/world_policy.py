"""The policy of the hand-made workspaces: three phases, five triggers, two certificates."""

POLICY = """
schema = 1
name = "bank-support"
owner = "ml-on-call"
baseline = "menu"
[budget]
false_rollback = 0.01
certificate = 0.05
[assignment]
salt = "s"
low_risk_intents = ["balance"]
[watch]
segments = ["business"]
freshness_seconds = 900
[[phases]]
name = "canary"
audience = "low_risk"
shares = [0.05]
min_minutes = 720
min_treated = 300
certificates = ["escalation"]
approvals = 1
[[phases]]
name = "ramp"
audience = "eligible"
shares = [0.2, 0.5]
min_minutes = 1440
min_treated = 2000
certificates = ["escalation", "csat"]
approvals = 1
[[phases]]
name = "full"
audience = "eligible"
shares = [0.97]
[[triggers]]
name = "escalation_increase"
metric = "escalation_rate"
kind = "two_sample"
limit = 0.04
block_seconds = 900
weight = 0.3
action = "rollback"
[[triggers]]
name = "csat_drop"
metric = "csat"
kind = "rating"
limit = 0.2
block_seconds = 900
weight = 0.2
action = "rollback"
[[triggers]]
name = "hallucination_breach"
metric = "hallucination_rate"
kind = "one_sample"
limit = 0.05
block_seconds = 900
weight = 0.2
action = "rollback"
[[triggers]]
name = "latency_slo_breach"
metric = "slow_share"
kind = "one_sample"
limit = 0.05
slo_ms = 4000
block_seconds = 900
weight = 0.2
action = "hold"
[[triggers]]
name = "timeouts"
metric = "timeout_rate"
kind = "one_sample"
limit = 0.03
block_seconds = 900
weight = 0.1
action = "hold"
[[certificates]]
name = "escalation"
metric = "escalation_rate"
kind = "two_sample"
margin = 0.03
block_seconds = 900
[[certificates]]
name = "csat"
metric = "csat"
kind = "rating"
margin = 0.05
block_seconds = 900
"""
