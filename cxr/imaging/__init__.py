"""The one way from a file to a plane."""
