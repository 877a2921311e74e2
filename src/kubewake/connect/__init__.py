"""Connecting an API server: the audit policy, the webhook kubeconfig, and where they go on each distribution."""
