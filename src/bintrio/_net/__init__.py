"""Bytes over trio."""
