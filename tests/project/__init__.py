"""Tests of the Django project: settings, embedded servers, commands, health."""
