"""The second port: metrics, health, readiness, and in development the clock."""
