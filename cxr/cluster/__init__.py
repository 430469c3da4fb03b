"""Screening on many machines: Ray distributes, the rest is as on one."""
