"""Management of the installation."""
