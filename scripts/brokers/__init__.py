"""The real message brokers of the tests: where they come from, and how each is started, killed and started again."""
