"""Whole tables: what is wanted, the plan that leads there, its execution, its undoing, JSON."""
