"""Deployments as data, and the demo."""
