"""The other end of an export, for tests: a real collector, receivers that misbehave as told, faults on the way there."""
