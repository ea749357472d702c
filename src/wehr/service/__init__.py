"""Configuration, wiring, clock, supervision, logging: the only place that knows everything."""
