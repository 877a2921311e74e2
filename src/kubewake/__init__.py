"""Real-time threat detection on Kubernetes audit logs."""

__version__ = "0.1.0"
