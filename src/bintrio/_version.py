"""The version of this release, here and nowhere else."""

# The build reads it from this line, which it knows in this plain form only.
__version__ = "0.1.0"
